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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from receiver.config import Settings
from receiver.errors import (
    RetryableError,
    SpoolUnavailableError,
    StoreRejectedError,
    UnloadableRequestError,
)
from receiver.loader.batch import Batch
from receiver.loader.freed_memory import give_back
from receiver.loader.handover import Handover
from receiver.loader.transactions import READ_BYTES, Transactions
from receiver.ports import (
    CommittedGroup,
    Decoder,
    Flattener,
    Retired,
    Spool,
    StoreWriter,
    TextVectors,
)
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)
_RETRY_S = (0.1, 0.3, 1.0, 3.0, 5.0)
_LARGE_BYTES = 8 << 20  # of payload loaded: what it left free is worth giving back
_PACE_S = 0.15  # well below what any client notices, and long enough for most transactions
_MOVING_S = 1.0
_REMOVED_ENOUGH = 0.9  # of spool.max_bytes: room is announced a little late, so that it is worth it
T = TypeVar("T")


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
        self._transactions = Transactions(spool=spool, decoder=decoder, flattener=flattener, metrics=metrics)
        self._settings = settings
        self._metrics = metrics
        self._on_stored = on_stored
        self._handover = Handover(settings.loader.memory_bytes)
        self._thread = ThreadPoolExecutor(1, "store")
        self._task: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()
        self._stopping = False
        self._wrong_spool: str | None = None
        self._position = 0
        self._bytes_since_checkpoint = 0
        self._bytes_since_rest = 0
        self._checkpoint_due: float | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._taken = asyncio.Event()
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
        """Return as soon as the spool holds less than it may.

        Raises:
            SpoolUnavailableError: This is not the spool that the store was loaded from; what came in now would
                be taken for loaded once its sequences pass the store's position.
        """
        if self._wrong_spool:
            raise SpoolUnavailableError(self._wrong_spool)
        if not self._has_room.is_set():
            await self._has_room.wait()

    async def pace(self) -> None:
        """Return at once, or a moment later while the loader moves and has more in memory than it can hold.

        Decoding everything twice (once more from the spool) would cost all clients more than this wait.
        """
        if self._handover.is_full and time.time() - self.last_stored_at < _MOVING_S:
            self._taken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PACE_S):
                    await self._taken.wait()

    async def start(self, writer: StoreWriter) -> None:
        """Begin loading into an open store, from its position for this spool."""
        self._transactions.writer = writer
        self._position = await self._in_thread(lambda: writer.position(self._spool.uuid))
        if self._position > self._handover.highest_sequence:
            self.problem = self._wrong_spool = (
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
        """Complete a store checkpoint; what it covers leaves the spool in a task of its own."""
        if self._transactions.writer is None:
            return
        writer = self._transactions.writer
        started = time.perf_counter()
        try:
            covered = await self._in_thread(writer.checkpoint)
        except RetryableError as error:
            _LOG.warning("%s; it is tried again", error)
            self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
            return
        self._metrics.checkpointed(time.perf_counter() - started)
        self._checkpoint_due = None
        self._bytes_since_checkpoint = 0
        await self.forgotten()
        position = covered.get(self._spool.uuid, 0)
        self._forgetting = asyncio.get_running_loop().create_task(
            self._forget(position), name="forget loaded"
        )

    async def forgotten(self) -> None:
        """Return when the spool has forgotten what the checkpoint before covers."""
        if self._forgetting is not None:
            await self._forgetting

    async def _forget(self, position: int) -> None:
        """Remove what is stored from the spool: hundreds of MB take a second, and loading goes on meanwhile."""
        try:
            await asyncio.to_thread(self._spool.remove_through, position)
            await asyncio.to_thread(self._spool.maintain)
        except RetryableError as error:
            _LOG.warning("the spool keeps what is stored until the next checkpoint: %s", error)
        self._spool_bytes = self._spool.statistics().payload_bytes
        self._judge_room()

    async def write_embeddings(self, rows: list[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors between two batches; a text that has some keeps them, unless told to replace them."""
        writer = self._transactions.opened()
        await self._in_thread(lambda: writer.write_embeddings(rows, model=model, replace=replace))

    async def retire(self, before_ns: int) -> Retired:
        """Delete old records between two batches and give their space back."""
        writer = self._transactions.opened()
        retired = await self._in_thread(lambda: writer.retire(before_ns=before_ns))
        self._metrics.retired(retired.records)
        await self.checkpoint()
        return retired

    async def age_at(self, share: float) -> int | None:
        """Return the time before which that share of the records lies."""
        writer = self._transactions.opened()
        return await self._in_thread(lambda: writer.age_at(share))

    async def used_bytes(self) -> int:
        """Return how much of the database file holds something."""
        writer = self._transactions.opened()
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
        await self.forgotten()
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    async def abandon(self) -> None:
        """Stop after the transaction in hand; what is not loaded stays in the spool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.forgotten()
        await asyncio.to_thread(self._thread.shutdown, wait=True)

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
        if self._bytes_since_rest > _LARGE_BYTES:
            self._bytes_since_rest = 0
            await self._in_thread(give_back)
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

    async def _gather(self) -> Batch:
        """Return the next batch: a full one, or what there is after the configured wait."""
        batch = Batch(self._position)
        deadline = time.monotonic() + self._settings.loader.batch_wait_s
        while batch.rows < self._settings.loader.batch_rows:
            group = self._handover.take(batch.position)
            if group is not None:
                self._taken.set()
                batch.add(group.sequences[-1], group.columns, group.records, group.payload_bytes)
            elif batch.position < self._handover.highest_sequence:
                await self._read_spool(batch)
                if batch.payload_bytes > READ_BYTES:
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

    async def _read_spool(self, batch: Batch) -> None:
        following = self._handover.next_sequence(batch.position)
        until = self._handover.highest_sequence if following is None else following - 1
        requests = await asyncio.to_thread(
            self._spool.read, batch.position, max_bytes=READ_BYTES, until=until
        )
        if not requests:
            batch.position = until  # everything up to there was set aside
            return
        await self._in_thread(lambda: self._transactions.decode_into(batch, requests))
        batch.position = requests[-1].sequence

    async def _load(self, batch: Batch) -> None:
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
        self._bytes_since_rest += batch.payload_bytes
        if self._checkpoint_due is None:
            self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
        await self._advance(batch.position)
        self._on_stored()

    async def _attempt(self, batch: Batch) -> None:
        started = time.perf_counter()
        if not batch.from_spool:
            batch.from_spool = True
            try:
                await self._in_thread(lambda: self._transactions.write(batch))
            except (StoreRejectedError, UnloadableRequestError) as error:
                _LOG.warning("a batch cannot be loaded, looking for the request at fault: %s", error)
            else:
                self._metrics.loaded(batch.records, time.perf_counter() - started)
                return
        await self._in_thread(lambda: self._transactions.load_by_halves(batch.position))

    async def _advance(self, position: int) -> None:
        async with self._moved:
            self._position = position
            self._moved.notify_all()
