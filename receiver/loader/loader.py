"""Turns committed requests into store transactions: implements ``receiver.ports.Loading``.

One task: gather a batch, flatten it, load it together with the position it brings the spool to, now and then
complete a checkpoint and let the spool forget what it covers. The store's failures are of two kinds: those
that pass (tried again for ever, visible in /readyz) and rows it will never take (bisected down to the single
request, which goes to quarantine byte for byte while loading goes on).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from receiver.config import Settings
from receiver.errors import (
    ReceiverError,
    RetryableError,
    StoreRejectedError,
    UnloadableRequestError,
)
from receiver.loader.freed_memory import give_back
from receiver.loader.handover import Handover
from receiver.ports import (
    Columns,
    CommittedGroup,
    Decoder,
    ExportRequest,
    Flattener,
    LoadBatch,
    Retired,
    Spool,
    SpooledRequest,
    StoreWriter,
    TextVectors,
    Verdict,
)
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)
_READ_BYTES = 8 << 20
_LARGE_BATCH_BYTES = 8 << 20
_RETRY_S = (0.1, 0.3, 1.0, 3.0, 5.0)
_PACE_S = 0.15  # well below what any client notices, and long enough for most transactions
_MOVING_S = 1.0
_REMOVED_ENOUGH = 0.9  # of spool.max_bytes: room is announced a little late, so that it is worth it
T = TypeVar("T")


@dataclass
class _Batch:
    """Columns of consecutive requests on their way into one transaction."""

    position: int
    """The highest sequence in it."""
    columns: list[Columns] = field(default_factory=list)
    records: Counter[Signal] = field(default_factory=Counter)
    payload_bytes: int = 0
    from_spool: bool = False
    """True once an attempt failed: its columns are gone, the spool has the bytes."""

    @property
    def rows(self) -> int:
        return self.records.total()

    def add(self, position: int, columns: list[Columns], records: Mapping[Signal, int], size: int) -> None:
        self.position = position
        self.columns += columns
        self.records.update(records)
        self.payload_bytes += size


class Loader:
    """The store's only client that writes. Threads: the event loop's; blocking work in one thread of its own."""

    def __init__(
        self,
        *,
        spool: Spool,
        decoder: Decoder,
        flattener: Flattener,
        settings: Settings,
        metrics: Metrics,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """Wire the stage up; it takes groups from now on and loads them once :meth:`start` gave it a store."""
        self._spool = spool
        self._decoder = decoder
        self._flattener = flattener
        self._settings = settings
        self._metrics = metrics
        self._on_stored = on_stored
        self._handover = Handover(settings.loader.memory_bytes)
        self._thread = ThreadPoolExecutor(1, "store")
        self._writer: StoreWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()
        self._stopping = False
        self._position = 0
        self._bytes_since_checkpoint = 0
        self._checkpoint_due: float | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._stored_some = asyncio.Event()
        statistics = spool.statistics()
        self._spool_bytes = statistics.payload_bytes
        self._handover.highest_sequence = statistics.highest_sequence
        self._judge_room()
        self.problem: str | None = "the store is not open yet"
        self.last_stored_at = time.time()

    @property
    def position(self) -> int:
        """Return the highest sequence that is in the store or was set aside."""
        return self._position

    @property
    def spool_bytes(self) -> int:
        """Return the payload bytes in the spool."""
        return self._spool_bytes

    def offer(self, group: CommittedGroup) -> None:
        """Take a committed group over; see the port."""
        self._handover.offer(group)
        self._spool_bytes += group.payload_bytes
        self._judge_room()
        self._arrived.set()
        if group.records and sum(group.records.values()) >= self._settings.loader.batch_rows:
            self._hurry.set()

    def notice(self, highest_sequence: int) -> None:
        """Look into the spool up to this sequence: requests came into it by another way than ``offer``."""
        self._handover.highest_sequence = max(self._handover.highest_sequence, highest_sequence)
        self._arrived.set()

    @property
    def stalled_s(self) -> float:
        """Return for how long nothing was stored although something waits; 0 while nothing waits."""
        if self._position >= self._handover.highest_sequence:
            return 0.0
        return time.time() - self.last_stored_at

    async def wait_for_room(self) -> None:
        """Return as soon as the spool holds less than it may."""
        if not self._has_room.is_set():
            await self._has_room.wait()

    async def pace(self) -> None:
        """Return at once, or a moment later while the loader moves and has more in memory than it can hold.

        Decoding everything twice (once more from the spool) would cost all clients more than this wait.
        """
        if self._handover.is_full and time.time() - self.last_stored_at < _MOVING_S:
            self._stored_some.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PACE_S):
                    await self._stored_some.wait()

    async def start(self, writer: StoreWriter) -> None:
        """Begin loading into an open store, from its position for this spool."""
        self._writer = writer
        self._position = await self._in_thread(lambda: writer.position(self._spool.uuid))
        if self._position > self._handover.highest_sequence:
            self.problem = (
                f"the store is at position {self._position} of spool {self._spool.uuid}, which has only"
                f" {self._handover.highest_sequence}: this is not the spool that the store was loaded from;"
                " put the right spool.db back, or move this one away to begin a new one"
            )
            _LOG.error("loading has stopped: %s", self.problem)
            return
        self.problem = None
        backlog = self._handover.highest_sequence - self._position
        if backlog:
            _LOG.info("%d spooled requests are not in the store yet; loading them", backlog)
            self._arrived.set()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="loader")

    async def flush(self) -> None:
        """Return when everything that was committed before the call is in the store (or in quarantine).

        Raises:
            RetryableError: The store is not open, or has stopped.
        """
        target = self._handover.highest_sequence
        async with self._moved:
            while self._position < target or self._task is None:
                if self._task is None or self._task.done():
                    raise RetryableError(self.problem or "the loader is not running", hint="see /readyz")
                self._hurry.set()
                self._arrived.set()
                await self._moved.wait()

    async def checkpoint(self) -> None:
        """Complete a store checkpoint and let the spool forget what it covers."""
        writer = self._writer
        if writer is None:
            return
        started = time.perf_counter()
        try:
            covered = await self._in_thread(writer.checkpoint)
            await asyncio.to_thread(self._forget, covered.get(self._spool.uuid, 0))
        except RetryableError as error:
            _LOG.warning("%s; it is tried again", error)
            self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
            return
        self._metrics.checkpointed(time.perf_counter() - started)
        self._checkpoint_due = None
        self._bytes_since_checkpoint = 0
        self._spool_bytes = (await asyncio.to_thread(self._spool.statistics)).payload_bytes
        self._judge_room()

    async def write_embeddings(self, rows: list[TextVectors], *, model: str) -> None:
        """Write vectors between two batches."""
        writer = self._opened()
        await self._in_thread(lambda: writer.write_embeddings(rows, model=model))

    async def retire(self, before_ns: int) -> Retired:
        """Delete old records between two batches and give their space back."""
        writer = self._opened()
        retired = await self._in_thread(lambda: writer.retire(before_ns=before_ns))
        self._metrics.retired(retired.records)
        await self.checkpoint()
        return retired

    async def age_at(self, share: float) -> int | None:
        """Return the time before which that share of the records lies."""
        writer = self._opened()
        return await self._in_thread(lambda: writer.age_at(share))

    async def used_bytes(self) -> int:
        """Return how much of the database file holds something."""
        writer = self._opened()
        return await self._in_thread(writer.used_bytes)

    async def close(self) -> None:
        """Load what is committed, complete a checkpoint and stop; call after the intake has closed."""
        self._stopping = True
        self._hurry.set()
        self._arrived.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            if self.problem is None:
                await self.checkpoint()
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    async def abandon(self) -> None:
        """Stop after the transaction in hand; what is not loaded stays in the spool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    def _opened(self) -> StoreWriter:
        if self._writer is None:
            raise RetryableError(self.problem or "the store is not open", hint="see /readyz")
        return self._writer

    def _forget(self, position: int) -> None:
        self._spool.remove_through(position)
        self._spool.maintain()

    def _judge_room(self) -> None:
        limit = self._settings.spool.max_bytes
        if self._spool_bytes >= limit:
            self._has_room.clear()
        elif self._has_room.is_set() or self._spool_bytes < limit * _REMOVED_ENOUGH:
            self._has_room.set()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _run(self) -> None:
        try:
            await self._load_for_ever()
        except Exception as error:  # noqa: BLE001 - task boundary: a stopped loader must show in /readyz
            self.problem = f"loading has stopped: {error}"
            _LOG.exception("loading has stopped; what is acknowledged stays in the spool")
            await self._advance(self._position)  # wakes those who wait in flush

    async def _load_for_ever(self) -> None:
        while True:
            if self._position >= self._handover.highest_sequence:
                if self._stopping:
                    return
                await self._wait_for_more()
                continue
            try:
                batch = await self._gather()
            except RetryableError as error:
                self.problem = f"the spool cannot be read: {error}"
                _LOG.error("%s; it is tried again", self.problem)
                if self._stopping:
                    return
                await asyncio.sleep(_RETRY_S[-1])
                continue
            if batch.position > self._position:
                await self._load(batch)
            if self._checkpoint_is_due():
                await self.checkpoint()

    async def _wait_for_more(self) -> None:
        """Wait until something is committed; meanwhile complete the checkpoint that is due."""
        self._arrived.clear()
        self._hurry.clear()
        if self._position < self._handover.highest_sequence or self._stopping:
            return
        wait_s = None if self._checkpoint_due is None else max(self._checkpoint_due - time.monotonic(), 0)
        try:
            async with asyncio.timeout(wait_s):
                await self._arrived.wait()
        except TimeoutError:
            await self.checkpoint()

    def _checkpoint_is_due(self) -> bool:
        if self._bytes_since_checkpoint >= self._settings.store.checkpoint_bytes:
            return True
        return self._checkpoint_due is not None and time.monotonic() >= self._checkpoint_due

    async def _gather(self) -> _Batch:
        """Return the next batch: a full one, or what there is after the configured wait."""
        batch = _Batch(self._position)
        deadline = time.monotonic() + self._settings.loader.batch_wait_s
        while batch.rows < self._settings.loader.batch_rows:
            group = self._handover.take(batch.position)
            if group is not None:
                batch.add(group.sequences[-1], group.columns, group.records, group.payload_bytes)
            elif batch.position < self._handover.highest_sequence:
                await self._read_spool(batch)
                if batch.payload_bytes > _READ_BYTES:
                    break
            elif not await self._more_before(deadline):
                break
        self._hurry.clear()  # it was about this batch; who still waits in flush asks again
        return batch

    async def _more_before(self, deadline: float) -> bool:
        wait_s = deadline - time.monotonic()
        if wait_s <= 0 or self._stopping or self._hurry.is_set():
            return False
        self._arrived.clear()
        arrived = asyncio.ensure_future(self._arrived.wait())
        hurried = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((arrived, hurried), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            return arrived.done()
        finally:
            arrived.cancel()
            hurried.cancel()

    async def _read_spool(self, batch: _Batch) -> None:
        following = self._handover.next_sequence(batch.position)
        until = self._handover.highest_sequence if following is None else following - 1
        requests = await asyncio.to_thread(
            self._spool.read, batch.position, max_bytes=_READ_BYTES, until=until
        )
        if not requests:
            batch.position = until  # everything up to there was set aside
            return
        await self._in_thread(lambda: self._decode_into(batch, requests))
        batch.position = requests[-1].sequence

    def _decode_into(self, batch: _Batch, requests: list[SpooledRequest]) -> None:
        for signal, run in groupby(requests, key=lambda r: r.signal):
            self._decode_run(batch, signal, list(run))

    def _decode_run(self, batch: _Batch, signal: Signal, requests: list[SpooledRequest]) -> None:
        """Decode consecutive requests of one signal together; one by one only if there is one at fault."""
        decoded = self._decoder.decode([ExportRequest(signal, r.payload) for r in requests])
        counts = [v.records if isinstance(v, Verdict) else -1 for v in decoded.verdicts]
        if counts == [r.records for r in requests]:
            size = sum(len(r.payload) for r in requests)
            batch.add(requests[-1].sequence, decoded.columns, {signal: sum(counts)}, size)
            return
        for request in requests:
            try:
                columns = self._columns(request)
            except UnloadableRequestError as error:
                self._set_aside(request, error)
                columns, records = [], {}
            else:
                records = {request.signal: request.records}
            batch.add(request.sequence, columns, records, len(request.payload))

    def _columns(self, request: SpooledRequest) -> list[Columns]:
        decoded = self._decoder.decode([ExportRequest(request.signal, request.payload)])
        verdict = decoded.verdicts[0]
        if not isinstance(verdict, Verdict):
            raise UnloadableRequestError(f"it does not decode any more: {verdict}")
        if verdict.records != request.records:
            raise UnloadableRequestError(f"{verdict.records} records decode instead of {request.records}")
        return decoded.columns

    def _set_aside(self, request: SpooledRequest, error: ReceiverError) -> None:
        _LOG.error("request %d goes to quarantine: %s", request.sequence, error)
        self._spool.quarantine(request.sequence, str(error))

    async def _load(self, batch: _Batch) -> None:
        """Load the batch however long it takes; afterwards the position is the batch's."""
        attempt = 0
        while True:
            try:
                await self._attempt(batch)
                break
            except (RetryableError, OSError) as error:
                self.problem = f"the store cannot be written: {error}"
                self._metrics.load_failed()
                _LOG.error("%s; it is tried again", self.problem)
                if self._stopping:
                    raise
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
        self.problem = None
        self.last_stored_at = time.time()
        self._bytes_since_checkpoint += batch.payload_bytes
        if self._checkpoint_due is None:
            self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
        await self._advance(batch.position)
        self._on_stored()

    async def _attempt(self, batch: _Batch) -> None:
        started = time.perf_counter()
        if not batch.from_spool:
            batch.from_spool = True
            try:
                await self._in_thread(lambda: self._write(batch))
            except (StoreRejectedError, UnloadableRequestError) as error:
                _LOG.warning("a batch cannot be loaded, looking for the request at fault: %s", error)
            else:
                self._metrics.loaded(batch.records, time.perf_counter() - started)
                return
        await self._in_thread(lambda: self._load_by_halves(batch.position))

    def _write(self, batch: _Batch) -> None:
        tables = self._flattener.flatten(batch.columns)
        self._opened().load(LoadBatch(self._spool.uuid, batch.position, tables, batch.records))
        if batch.payload_bytes > _LARGE_BATCH_BYTES:
            del tables
            give_back()

    async def _advance(self, position: int) -> None:
        self._stored_some.set()
        async with self._moved:
            self._position = position
            self._moved.notify_all()

    def _load_by_halves(self, position: int) -> None:
        """Load what the store has not yet, up to ``position``, from the spool; set aside what it refuses."""
        writer = self._opened()
        requests: list[SpooledRequest] = []
        after = writer.position(self._spool.uuid)
        while found := self._spool.read(after, max_bytes=_READ_BYTES, until=position):
            requests += found
            after = found[-1].sequence
        self._bisect(requests)
        writer.load(LoadBatch(self._spool.uuid, position, {}, {}))

    def _bisect(self, requests: list[SpooledRequest]) -> None:
        if not requests:
            return
        try:
            part = _Batch(requests[-1].sequence)
            for request in requests:
                part.add(request.sequence, self._columns(request), {request.signal: request.records}, 0)
            self._write(part)
        except (StoreRejectedError, UnloadableRequestError) as error:
            if len(requests) == 1:
                self._set_aside(requests[0], error)
                return
            middle = len(requests) // 2
            self._bisect(requests[:middle])
            self._bisect(requests[middle:])
        else:
            self._metrics.loaded(part.records, 0.0)
