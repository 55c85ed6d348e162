"""Committed requests on their way into batches: taken from memory in their order, or read from the spool."""

from __future__ import annotations

import asyncio
import contextlib
import time

from receiver.config import LoaderConfig
from receiver.loader.batch import Batch
from receiver.loader.handover import Handover
from receiver.loader.store_thread import StoreThread
from receiver.loader.transactions import READ_BYTES, Transactions
from receiver.ports import CommittedGroup, Spool

_LARGE_ROWS = 61_440
_GROW_S = 0.75  # longer for a large batch: rows of whole row groups are written once, others three times
_PACE_S = 0.15  # well below what any client notices, and long enough for most transactions


class Gathering:
    """What is committed and not in a batch yet, and who waits for it. Threads: the event loop's."""

    def __init__(
        self, spool: Spool, transactions: Transactions, thread: StoreThread, settings: LoaderConfig
    ) -> None:
        """Begin with what the spool holds."""
        self._spool = spool
        self._transactions = transactions
        self._thread = thread
        self._settings = settings
        self._handover = Handover(settings.memory_bytes)
        self._handover.highest_sequence = spool.statistics().highest_sequence
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed = False

    @property
    def highest_sequence(self) -> int:
        """Return the highest sequence that is known to be committed."""
        return self._handover.highest_sequence

    @property
    def is_full(self) -> bool:
        """Return True if the columns of the next group would not be kept."""
        return self._handover.is_full

    def offer(self, group: CommittedGroup) -> None:
        """Take a committed group over; its columns may be let go, as the spool has the bytes."""
        self._handover.offer(group)
        self.wake()
        if group.records and sum(group.records.values()) >= self._settings.batch_rows:
            self._hurry.set()

    def notice(self, highest_sequence: int) -> None:
        """Look into the spool up to this sequence, too."""
        self._handover.highest_sequence = max(self._handover.highest_sequence, highest_sequence)
        self.wake()

    def wake(self) -> None:
        """End :meth:`rest`."""
        self._woken.set()

    def hasten(self) -> None:
        """Let the batch in hand be what is there now."""
        self._hurry.set()
        self._woken.set()

    def close(self) -> None:
        """Wait for nothing any more: batches are what is there."""
        self._closed = True
        self.hasten()

    def begin_rest(self) -> None:
        """Forget what woke the loader until now; look for work once more before :meth:`rest`."""
        self._woken.clear()
        self._hurry.clear()

    async def rest(self, wait_s: float | None) -> bool:
        """Return True as soon as there may be something to do, False after ``wait_s``."""
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def pace(self) -> None:
        """Return when a group was taken from memory, or a moment later."""
        self._taken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PACE_S):
                await self._taken.wait()

    async def batch(self, position: int) -> Batch:
        """Return what follows ``position``: a full batch, or what there is after the configured wait.

        Raises:
            SpoolUnavailableError: The spool cannot be read; nothing is lost.
        """
        batch = Batch(position)
        deadline = time.monotonic() + self._settings.batch_wait_s
        while batch.rows < self._settings.batch_rows:
            group = self._handover.take(batch.position)
            if group is not None:
                self._taken.set()
                batch.add(group.sequences[-1], group.columns, group.records, group.payload_bytes)
            elif batch.position < self._handover.highest_sequence:
                await self._read_spool(batch)
            elif not await self._more_before(deadline + (_GROW_S if batch.rows >= _LARGE_ROWS else 0)):
                break
            if batch.nbytes >= self._settings.memory_bytes:
                break
        self._hurry.clear()  # it was about this batch; who still waits in flush asks again
        return batch

    async def _more_before(self, deadline: float) -> bool:
        wait_s = deadline - time.monotonic()
        if wait_s <= 0 or self._closed or self._hurry.is_set():
            return False
        self._woken.clear()  # whoever sets the one sets the other: no task is made for each group
        return await self.rest(wait_s)

    async def _read_spool(self, batch: Batch) -> None:
        following = self._handover.next_sequence(batch.position)
        until = self._handover.highest_sequence if following is None else following - 1
        requests = await asyncio.to_thread(
            self._spool.read, batch.position, max_bytes=READ_BYTES, until=until
        )
        if not requests:
            batch.position = until  # everything up to there was set aside
            return
        await self._thread.run(lambda: self._transactions.decode_into(batch, requests))
        batch.position = requests[-1].sequence
