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

from receiver.config import Settings
from receiver.errors import RetryableError, StoreRejectedError, UnloadableRequestError
from receiver.loader.batch import Batch
from receiver.loader.checkpoints import Checkpoints
from receiver.loader.freed_memory import give_back
from receiver.loader.gathering import Gathering
from receiver.loader.position_note import PositionNote
from receiver.loader.spool_room import SpoolRoom
from receiver.loader.store_thread import StoreThread
from receiver.loader.transactions import Transactions
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
        self._metrics = metrics
        self._on_stored = on_stored
        self._thread = StoreThread(self.doubt)
        self._gathering = Gathering(spool, self._transactions, settings.loader)
        noted = self._note.read(spool.uuid)
        self._room = SpoolRoom(
            spool,
            settings.spool.max_bytes,
            has_gone_back=noted > self._gathering.highest_sequence,
        )
        self.checkpoints = Checkpoints(
            spool=spool,
            room=self._room,
            transactions=self._transactions,
            thread=self._thread,
            settings=settings.store,
            metrics=metrics,
            wake=self._gathering.wake,
        )
        """When the store completes one."""
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self._stopping = False
        self._settled = False
        self._is_wrong = False
        self._position = noted if noted <= self._gathering.highest_sequence else 0
        self._bytes_since_rest = 0
        self._doubtful = False
        self.problem: str | None = "the store is not open yet"
        """Why nothing is loaded at all; see :attr:`problems` for what fails now."""
        self._waiting_since: float | None = None
        self._reading = Trouble(_LOG, "the spool cannot be read", over="the spool can be read again")
        self._writing = Trouble(_LOG, "the store cannot be written", over="the store can be written again")
        self.last_stored_at = time.time()

    @property
    def position(self) -> int:
        """Return the highest sequence that is in the store or was set aside; until it is open, as far as was noted."""
        return self._position

    @property
    def problems(self) -> list[str]:
        """Return what keeps it from loading or from making room, in words for an operator."""
        troubles = (self._reading, self._writing, *self.checkpoints.troubles)
        return [*([self.problem] if self.problem else []), *(str(each) for each in troubles if each.text)]

    @property
    def is_writing(self) -> bool:
        """Return False while the store's last transaction or checkpoint failed."""
        return not (self._writing.text or self.checkpoints.is_failing)

    @property
    def spool_bytes(self) -> int:
        """Return the payload bytes in the spool."""
        return self._room.payload_bytes

    @property
    def stalled_s(self) -> float:
        """Return for how long nothing was stored although something waits; 0 while nothing waits."""
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    def offer(self, group: CommittedGroup) -> None:
        """Take a committed group over; see the port."""
        self._gathering.offer(group)
        self._note_waiting()
        self._room.add(group.payload_bytes)

    def notice(self, highest_sequence: int) -> None:
        """Look into the spool up to this sequence: requests came into it by another way than ``offer``."""
        self._gathering.notice(highest_sequence)
        self._note_waiting()

    def doubt(self) -> None:
        """See whether the store still works: a question has failed in it."""
        self._doubtful = True
        self._gathering.wake()

    @property
    def has_room(self) -> bool:
        """Return True if the spool holds less than it may, and is the right one."""
        return self._room.has_room

    async def wait_for_room(self) -> None:
        """Return as soon as the spool holds less than it may.

        Raises:
            SpoolUnavailableError: It is not the spool that the store was loaded from, or may not be; see
                :meth:`SpoolRoom.wait`.
        """
        await self._room.wait()

    async def pace(self) -> None:
        """Return at once, or a moment later while the loader moves and has more in memory than it can hold."""
        await self._gathering.pace()

    async def start(self, writer: StoreWriter) -> None:
        """Begin loading into an open store, from its position for this spool."""
        self._position = await self._thread.run(lambda: self._transactions.begin(writer))
        highest = self._gathering.highest_sequence
        if self._position > highest:
            self._is_wrong = True
            self.problem = (
                f"the store is at position {self._position} of spool {self._spool.uuid}, which has only"
                f" {highest}: this is not the spool that the store was loaded from, or the"
                " end of its log was lost; stop and put the right spool.db back, or, if there is none, move all files"
                " spool.db* away to begin a new one"
            )
            self._room.close_for_ever(self.problem)
            _LOG.error("loading has stopped: %s", self.problem)
            return
        self.problem = None
        self._room.confirm()
        self._waiting_since = None
        self._note_waiting()
        if backlog := highest - self._position:
            _LOG.info("%d spooled requests are not in the store yet; loading them", backlog)
            self._gathering.wake()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="loader")

    async def flush(self) -> None:
        """Return when everything that was committed before the call is in the store (or in quarantine).

        Raises:
            RetryableError: The store is not open, or has stopped.
        """
        target = self._gathering.highest_sequence
        async with self._moved:
            while self._position < target or self._task is None:
                if self._task is None or self._task.done():
                    raise RetryableError(self.problem or "the loader is not running", hint="see /readyz")
                self._gathering.hasten()
                await self._moved.wait()

    async def write_embeddings(self, rows: list[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors between two batches; a text that has some keeps them, unless told to replace them."""
        writer = self._transactions.opened()
        await self._thread.try_run(lambda: writer.write_embeddings(rows, model=model, replace=replace))

    async def retire(self, before_ns: int) -> Retired:
        """Delete old records between two batches and give their space back."""
        writer = self._transactions.opened()
        retired = await self._thread.try_run(lambda: writer.retire(before_ns=before_ns))
        self._metrics.retired(retired.records)
        await self._checkpoint()
        return retired

    async def age_at(self, share: float) -> int | None:
        """Return the time before which that share of the records lies."""
        writer = self._transactions.opened()
        return await self._thread.try_run(lambda: writer.age_at(share))

    async def used_bytes(self) -> int:
        """Return how much of the database file holds something."""
        writer = self._transactions.opened()
        return await self._thread.try_run(writer.used_bytes)

    async def settle(self) -> None:
        """Load what is committed, complete a checkpoint, and load what was committed meanwhile.

        The spool has forgotten what the checkpoint covers. Requests may come in all the time.

        Raises:
            RetryableError: The store is not open, or loading has stopped.
        """
        await self.flush()
        await self._checkpoint()
        self._settled = True
        await self.flush()
        await self.checkpoints.forgotten()

    async def close(self) -> None:
        """Load what is committed and stop; call after the intake has closed.

        A checkpoint is completed unless :meth:`settle` did so: the little that came after it is in the store's log.
        """
        self._stopping = True
        self._gathering.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            if self.problem is None and not self._settled:
                await self._checkpoint()
        await self._end()

    def let_go(self) -> None:
        """Begin no other transaction; the spool may be closed from here on. :meth:`abandon` follows."""
        self._stopping = True
        self._gathering.close()  # the transaction in hand may wait for more
        self._transactions.give_up()
        if self._task is not None:
            self._task.cancel()

    async def abandon(self) -> None:
        """Stop after the part in hand of a transaction; what is not loaded stays in the spool."""
        self.let_go()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        writer = self._transactions.writer
        if writer is not None and not self._is_wrong:
            # The transaction in hand may have been completed, and nobody was left to note its position.
            with contextlib.suppress(RetryableError):
                self._position = await self._thread.run(lambda: writer.position(self._spool.uuid))
        await self._end()

    async def _end(self) -> None:
        await self.checkpoints.forgotten()
        await self._thread.close()
        await asyncio.to_thread(self._transactions.close)
        self._note.close()

    async def _checkpoint(self) -> None:
        await self.checkpoints.complete(even_if_held=self._stopping)

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
            if self._position >= self._gathering.highest_sequence:
                if self._stopping:
                    return
                await self._wait_for_more()
                continue
            try:
                batch = await self._gathering.begin(self._position)
            except RetryableError as error:
                self._reading.happened(str(error))
                if self._stopping:
                    return
                await self._pause(self._reading)
                continue
            self._reading.ended()
            if batch.position > self._position:
                await self._load(batch)
            if self.checkpoints.is_due:
                await self._checkpoint()

    async def _wait_for_more(self) -> None:
        """Wait until something is committed; meanwhile complete the checkpoint that is due."""
        self._gathering.begin_rest()
        if self._position < self._gathering.highest_sequence or self._stopping or self._doubtful:
            return
        if self._bytes_since_rest > _LARGE_BYTES:
            self._bytes_since_rest = 0
            await self._thread.run(give_back)
        if not await self._gathering.rest(self.checkpoints.due_in_s):
            await self._checkpoint()

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
        self.checkpoints.loaded(batch.payload_bytes)
        self._bytes_since_rest += batch.payload_bytes
        await self._advance(batch.position)
        self._on_stored()

    async def _attempt(self, batch: Batch) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()

        def grow() -> None:
            asyncio.run_coroutine_threadsafe(self._gathering.grow(batch), loop).result()

        try:
            await self._thread.run(lambda: self._transactions.write(batch, grow))
        except (StoreRejectedError, UnloadableRequestError) as error:
            _LOG.warning("a batch cannot be loaded, looking for the request at fault: %s", error)
            await self._thread.run(lambda: self._transactions.load_by_halves(batch.position))
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
        if position >= self._gathering.highest_sequence:
            self._writing.ended()
        self.checkpoints.store_recovered()

    async def _position_of_usable_store(self) -> int | None:
        """Return its position; None, after a while, where it is not usable yet."""
        self._doubtful = False
        try:
            return await self._thread.run(self._transactions.revived)
        except (RetryableError, OSError) as error:
            self._writing.happened(str(error))
            if self._stopping:
                raise
            self.checkpoints.try_again()  # what comes next is another disk
            await asyncio.sleep(_LOOK_S)
            return None

    async def _pause(self, trouble: Trouble) -> None:
        await asyncio.sleep(_RETRY_S[min(trouble.failures, len(_RETRY_S)) - 1])

    def _note_waiting(self) -> None:
        if self._waiting_since is None and self._position < self._gathering.highest_sequence:
            self._waiting_since = time.monotonic()

    async def _advance(self, position: int) -> None:
        async with self._moved:
            self._position = position
            self._waiting_since = None
            self._note_waiting()
            self._moved.notify_all()
