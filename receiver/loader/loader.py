"""Turns committed requests into store transactions: implements ``receiver.ports.Loading``.

One task: gather a batch, flatten it, load it together with the position it brings the spool to, now and then
complete a checkpoint and let the spool forget what it covers. The store's failures are of two kinds: those
that pass (tried again for ever, visible in /readyz; a store that gave up as a whole is opened again, and what it
lost comes from the spool) and rows it will never take (bisected down to the single
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
    BusyError,
    RetryableError,
    SpoolUnavailableError,
    StoreRejectedError,
    UnloadableRequestError,
)
from receiver.loader.batch import Batch
from receiver.loader.freed_memory import give_back
from receiver.loader.handover import Handover
from receiver.loader.position_note import PositionNote
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
from receiver.telemetry.trouble import Trouble

_LOG = logging.getLogger(__name__)
_RETRY_S = (0.1, 0.3, 1.0, 3.0, 5.0)
_LOOK_S = 0.5  # between two looks at a disk that cannot be written
_LARGE_BYTES = 8 << 20  # of payload loaded: what it left free is worth giving back
_LARGE_ROWS = 61_440
_GROW_S = 0.75  # longer for a large batch: rows of whole row groups are written once, others three times
_PACE_S = 0.15  # well below what any client notices, and long enough for most transactions
_MOVING_S = 1.0
_LONGEST_PUT_OFF_S = 60.0  # between two checkpoints that fail: each may cost a store that is opened again
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
        spool_path = settings.spool_path
        self._note = PositionNote(spool_path.with_name(f"{spool_path.name}.position"))
        self._transactions = Transactions(
            spool=spool, decoder=decoder, flattener=flattener, metrics=metrics, note=self._note
        )
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
        self._settled = False
        self._wrong_spool: str | None = None
        self._position = 0
        self._bytes_since_checkpoint = 0
        self._bytes_since_rest = 0
        self._checkpoint_due: float | None = None
        self._no_checkpoint_before = 0.0
        self._held = False
        self._doubtful = False
        self._forgetting: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._taken = asyncio.Event()
        statistics = spool.statistics()
        self._spool_bytes = statistics.payload_bytes
        self._handover.highest_sequence = statistics.highest_sequence
        self._went_back = self._note.read(spool.uuid) > statistics.highest_sequence
        self._judge_room()
        self.problem: str | None = "the store is not open yet"
        """Why nothing is loaded at all; see :attr:`problems` for what fails now."""
        self._waiting_since: float | None = None
        self._reading = Trouble(_LOG, "the spool cannot be read", over="the spool can be read again")
        self._writing = Trouble(_LOG, "the store cannot be written", over="the store can be written again")
        self._saving = Trouble(
            _LOG, "the store cannot complete a checkpoint", over="the store completes checkpoints again"
        )
        self._removing = Trouble(
            _LOG, "the spool cannot remove what is stored", over="the spool removes what is stored again"
        )
        self.last_stored_at = time.time()

    @property
    def position(self) -> int:
        """Return the highest sequence that is in the store or was set aside."""
        return self._position

    @property
    def problems(self) -> list[str]:
        """Return what keeps it from loading or from making room, in words for an operator."""
        troubles = (self._reading, self._writing, self._saving, self._removing)
        return [*([self.problem] if self.problem else []), *(str(each) for each in troubles if each.text)]

    @property
    def is_writing(self) -> bool:
        """Return False while the store's last transaction or checkpoint failed."""
        return not (self._writing.text or self._saving.text)

    @property
    def spool_bytes(self) -> int:
        """Return the payload bytes in the spool."""
        return self._spool_bytes

    def offer(self, group: CommittedGroup) -> None:
        """Take a committed group over; see the port."""
        self._handover.offer(group)
        self._note_waiting()
        self._spool_bytes += group.payload_bytes
        self._judge_room()
        self._arrived.set()
        if group.records and sum(group.records.values()) >= self._settings.loader.batch_rows:
            self._hurry.set()

    def notice(self, highest_sequence: int) -> None:
        """Look into the spool up to this sequence: requests came into it by another way than ``offer``."""
        self._handover.highest_sequence = max(self._handover.highest_sequence, highest_sequence)
        self._note_waiting()
        self._arrived.set()

    def doubt(self) -> None:
        """See whether the store still works: a question has failed in it."""
        self._doubtful = True
        self._arrived.set()

    @property
    def stalled_s(self) -> float:
        """Return for how long nothing was stored although something waits; 0 while nothing waits."""
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    @property
    def has_room(self) -> bool:
        """Return True if the spool holds less than it may, and is the right one."""
        return self._has_room.is_set() and not (self._wrong_spool or self._went_back)

    async def wait_for_room(self) -> None:
        """Return as soon as the spool holds less than it may.

        Raises:
            SpoolUnavailableError: This is not the spool that the store was loaded from, or may not be and the store
                is not open yet; what came in now would be taken for loaded, up to the store's position.
        """
        if self._wrong_spool:
            raise SpoolUnavailableError(self._wrong_spool)
        if self._went_back:
            raise SpoolUnavailableError(
                "the spool ends before what was loaded from it; the store is asked as soon as it is open",
                hint="see /readyz",
            )
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
        self._position = await self._in_thread(lambda: self._transactions.begin(writer))
        if self._position > self._handover.highest_sequence:
            self.problem = self._wrong_spool = (
                f"the store is at position {self._position} of spool {self._spool.uuid}, which has only"
                f" {self._handover.highest_sequence}: this is not the spool that the store was loaded from, or the"
                " end of its log was lost; stop and put the right spool.db back, or, if there is none, move all files"
                " spool.db* away to begin a new one"
            )
            _LOG.error("loading has stopped: %s", self.problem)
            return
        self.problem = None
        self._went_back = False
        self._waiting_since = None
        self._note_waiting()
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
        """Complete a store checkpoint; what it covers leaves the spool in a task of its own.

        While checkpoints are held back nothing happens, unless the loader stops.
        """
        if self._transactions.writer is None:
            return
        try:
            if not self._held or self._stopping:
                await self._checkpoint(self._transactions.writer)
                return
        except BusyError as error:
            _LOG.debug("%s", error)
        except RetryableError as error:
            self._saving.happened(str(error))
        interval = self._settings.store.checkpoint_interval_s
        if self._saving.text:
            interval = min(interval * 2 ** min(self._saving.failures, 16), max(_LONGEST_PUT_OFF_S, interval))
        self._checkpoint_due = self._no_checkpoint_before = time.monotonic() + interval

    async def hold_checkpoints(self) -> None:
        """Complete a checkpoint and let none follow it until :meth:`release_checkpoints` or :meth:`close`.

        Between two checkpoints DuckDB writes only to blocks that the last one does not refer to, so the file without
        its log stays what it is now, whatever is loaded meanwhile.
        Source: duckdb/storage/storage_info.hpp, and tests/integration/test_backup.py.

        Raises:
            RetryableError: The store is not open, or the checkpoint did not complete; nothing is held.
        """
        self._held = True  # a checkpoint that has begun is in the thread before ours, and none comes after it
        try:
            await self._checkpoint(self._transactions.opened())
        except BaseException:
            self.release_checkpoints()
            raise
        await self.forgotten()

    def release_checkpoints(self) -> None:
        """Let checkpoints be made again; the one that was put off comes soon."""
        self._held = False
        self._no_checkpoint_before = 0.0
        if self._checkpoint_due is not None:
            self._checkpoint_due = time.monotonic()
            self._arrived.set()

    async def _checkpoint(self, writer: StoreWriter) -> None:
        started = time.perf_counter()
        covered = await self._on_store(writer.checkpoint)
        self._metrics.checkpointed(time.perf_counter() - started)
        self._saving.ended()
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
            await asyncio.shield(
                self._forgetting
            )  # who waits for it may be cancelled, and others wait for it too

    async def _forget(self, position: int) -> None:
        """Remove what is stored from the spool: hundreds of MB take a second, and loading goes on meanwhile."""
        try:
            await asyncio.to_thread(self._spool.remove_through, position)
            await asyncio.to_thread(self._spool.maintain)
        except RetryableError as error:
            self._removing.happened(str(error))
            if self._checkpoint_due is None:  # the next one removes it
                self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
                self._arrived.set()
        else:
            self._removing.ended()
        self._spool_bytes = self._spool.statistics().payload_bytes
        self._judge_room()

    async def write_embeddings(self, rows: list[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors between two batches; a text that has some keeps them, unless told to replace them."""
        writer = self._transactions.opened()
        await self._on_store(lambda: writer.write_embeddings(rows, model=model, replace=replace))

    async def retire(self, before_ns: int) -> Retired:
        """Delete old records between two batches and give their space back."""
        writer = self._transactions.opened()
        retired = await self._on_store(lambda: writer.retire(before_ns=before_ns))
        self._metrics.retired(retired.records)
        await self.checkpoint()
        return retired

    async def age_at(self, share: float) -> int | None:
        """Return the time before which that share of the records lies."""
        writer = self._transactions.opened()
        return await self._on_store(lambda: writer.age_at(share))

    async def used_bytes(self) -> int:
        """Return how much of the database file holds something."""
        writer = self._transactions.opened()
        return await self._on_store(writer.used_bytes)

    async def settle(self) -> None:
        """Load what is committed, complete a checkpoint, and load what was committed meanwhile.

        The spool has forgotten what the checkpoint covers. Requests may come in all the time.

        Raises:
            RetryableError: The store is not open, or loading has stopped.
        """
        await self.flush()
        await self.checkpoint()
        self._settled = True
        await self.flush()
        await self.forgotten()

    async def close(self) -> None:
        """Load what is committed and stop; call after the intake has closed.

        A checkpoint is completed unless :meth:`settle` did so: the little that came after it is in the store's log.
        """
        self._stopping = True
        self._hurry.set()
        self._arrived.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            if self.problem is None and not self._settled:
                await self.checkpoint()
        await self.forgotten()
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        await asyncio.to_thread(self._transactions.close)
        self._note.close()

    def let_go(self) -> None:
        """Begin no other transaction; the spool may be closed from here on. :meth:`abandon` follows."""
        self._stopping = True
        self._transactions.give_up()
        if self._task is not None:
            self._task.cancel()

    async def abandon(self) -> None:
        """Stop after the part in hand of a transaction; what is not loaded stays in the spool."""
        self.let_go()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self.forgotten()
        writer = self._transactions.writer
        if writer is not None and self._wrong_spool is None:
            # The transaction in hand may have been completed, and nobody was left to note its position.
            with contextlib.suppress(RetryableError):
                self._position = await self._in_thread(lambda: writer.position(self._spool.uuid))
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        await asyncio.to_thread(self._transactions.close)
        self._note.close()

    def _judge_room(self) -> None:
        limit = self._settings.spool.max_bytes
        if self._spool_bytes >= limit:
            self._has_room.clear()
        elif self._has_room.is_set() or self._spool_bytes < limit * _REMOVED_ENOUGH:
            self._has_room.set()

    async def _on_store(self, work: Callable[[], T]) -> T:
        try:
            return await self._in_thread(work)
        except RetryableError:
            self.doubt()
            raise

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
            if self._doubtful:
                await self._recover()
            if self._position >= self._handover.highest_sequence:
                if self._stopping:
                    return
                await self._wait_for_more()
                continue
            try:
                batch = await self._gather()
            except RetryableError as error:
                self._reading.happened(str(error))
                if self._stopping:
                    return
                await self._pause(self._reading)
                continue
            self._reading.ended()
            if batch.position > self._position:
                await self._load(batch)
            if self._checkpoint_is_due():
                await self.checkpoint()

    async def _wait_for_more(self) -> None:
        """Wait until something is committed; meanwhile complete the checkpoint that is due."""
        self._arrived.clear()
        self._hurry.clear()
        if self._position < self._handover.highest_sequence or self._stopping or self._doubtful:
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
        if time.monotonic() < self._no_checkpoint_before:
            return False
        if (
            self._transactions.crowded
            or self._bytes_since_checkpoint >= self._settings.store.checkpoint_bytes
        ):
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
            elif not await self._more_before(deadline + (_GROW_S if batch.rows >= _LARGE_ROWS else 0)):
                break
            if batch.nbytes >= self._settings.loader.memory_bytes:
                break
        self._hurry.clear()  # it was about this batch; who still waits in flush asks again
        return batch

    async def _more_before(self, deadline: float) -> bool:
        wait_s = deadline - time.monotonic()
        if wait_s <= 0 or self._stopping or self._hurry.is_set():
            return False
        self._arrived.clear()  # whoever sets the one sets the other: no task is made for each group
        try:
            async with asyncio.timeout(wait_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

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
        """Load the batch: afterwards the position is the batch's, or the store is in doubt and all is as before."""
        try:
            await self._attempt(batch)
        except (RetryableError, OSError) as error:
            self._metrics.load_failed()
            self._writing.happened(str(error))
            if self._stopping:
                raise
            self._doubtful = True
            await self._pause(self._writing)
            return
        self._writing.ended()
        self.last_stored_at = time.time()
        self._bytes_since_checkpoint += batch.payload_bytes
        self._bytes_since_rest += batch.payload_bytes
        if self._checkpoint_due is None:
            self._checkpoint_due = time.monotonic() + self._settings.store.checkpoint_interval_s
        await self._advance(batch.position)
        self._on_stored()

    async def _attempt(self, batch: Batch) -> None:
        started = time.perf_counter()
        try:
            await self._in_thread(lambda: self._transactions.write(batch))
        except (StoreRejectedError, UnloadableRequestError) as error:
            _LOG.warning("a batch cannot be loaded, looking for the request at fault: %s", error)
            await self._in_thread(lambda: self._transactions.load_by_halves(batch.position))
        else:
            self._metrics.loaded(batch.records, time.perf_counter() - started)

    async def _recover(self) -> None:
        """Return once the store works, and go on from its own position.

        Only here, between two batches: a store that gave up may have lost what no checkpoint covered, which the
        spool still has, or have kept a commit whose failure was reported.
        """
        while (position := await self._position_of_usable_store()) is None:
            continue
        if position != self._position:
            _LOG.info("the store is at position %d, not %d: loading goes on there", position, self._position)
            await self._advance(position)
        if position >= self._handover.highest_sequence:
            self._writing.ended()
        if self._no_checkpoint_before == 0.0 and self._checkpoint_due is not None:
            self._checkpoint_due = time.monotonic()

    async def _position_of_usable_store(self) -> int | None:
        """Return its position; None, after a while, where it is not usable yet."""
        self._doubtful = False
        try:
            return await self._in_thread(self._transactions.revived)
        except (RetryableError, OSError) as error:
            self._writing.happened(str(error))
            if self._stopping:
                raise
            self._no_checkpoint_before = 0.0  # what comes next is another disk
            await asyncio.sleep(_LOOK_S)
            return None

    async def _pause(self, trouble: Trouble) -> None:
        await asyncio.sleep(_RETRY_S[min(trouble.failures, len(_RETRY_S)) - 1])

    def _note_waiting(self) -> None:
        if self._waiting_since is None and self._position < self._handover.highest_sequence:
            self._waiting_since = time.monotonic()

    async def _advance(self, position: int) -> None:
        async with self._moved:
            self._position = position
            self._waiting_since = None
            self._note_waiting()
            self._moved.notify_all()
