"""Committed requests on their way into batches: taken from memory in their order, or read from the spool."""

from __future__ import annotations

import asyncio
import contextlib
import time

from receiver.config import LoaderConfig
from receiver.errors import RetryableError
from receiver.loader.batch import Batch
from receiver.loader.handover import Handover
from receiver.loader.transactions import READ_BYTES, Transactions
from receiver.ports import CommittedGroup, Spool

_LARGE_ROWS = 24_576
_GROW_S = 1.75
"""Longer for a batch that has become so large within the configured wait: it is about to fill one row group and a half,
and rows of whole row groups are written once, others three times (docs/adr/0002-one-duckdb-writer.md)."""
_PIECE_BYTES = 16 << 20
"""Of columns that become rows together: smaller ones cost more, larger ones let the writer wait for the first."""
_MOVING_S = 1.0
_PACE_S = 0.15  # well below what any client notices, and long enough for most transactions


class Gathering:
    """What is committed and not in a batch yet, and who waits for it. Threads: the event loop's."""

    def __init__(self, spool: Spool, transactions: Transactions, settings: LoaderConfig) -> None:
        """Begin with what the spool holds."""
        self._spool = spool
        self._transactions = transactions
        self._settings = settings
        self._handover = Handover(settings.memory_bytes)
        self._handover.highest_sequence = spool.statistics().highest_sequence
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        self._taken = asyncio.Event()
        self._taken_at = -_MOVING_S
        self._deadline = 0.0
        self._closed = False

    @property
    def highest_sequence(self) -> int:
        """Return the highest sequence that is known to be committed."""
        return self._handover.highest_sequence

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
        """Return at once, or a moment later while groups are taken and more are in memory than can be held.

        Decoding everything twice (once more from the spool) would cost all clients more than this wait.
        """
        if self._handover.is_full and time.monotonic() - self._taken_at < _MOVING_S:
            self._taken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PACE_S):
                    await self._taken.wait()

    async def begin(self, position: int) -> Batch:
        """Return what follows ``position``: a piece that is worth writing, or what there is after the configured wait.

        Raises:
            RetryableError: The spool cannot be read; nothing is lost.
        """
        batch = Batch(position)
        self._deadline = time.monotonic() + self._settings.batch_wait_s
        await self._add_piece(batch)
        return batch

    async def grow(self, batch: Batch) -> None:
        """Add the next piece to a batch whose columns have become rows; see afterwards whether it is complete.

        A spool that cannot be read completes the batch; the next one says why.
        """
        try:
            await self._add_piece(batch)
        except RetryableError:
            batch.is_complete = True

    async def _add_piece(self, batch: Batch) -> None:
        full = batch.nbytes + _PIECE_BYTES
        while not self._is_full(batch):
            if batch.nbytes >= full:
                return
            group = self._handover.take(batch.position)
            if group is not None:
                self._taken.set()
                self._taken_at = time.monotonic()
                batch.add(group.sequences[-1], group.columns, group.records, group.payload_bytes)
            elif batch.position < self._handover.highest_sequence:
                await self._read_spool(batch)
            elif not await self._more_for(batch):
                break
        batch.is_complete = True
        self._hurry.clear()  # it was about this batch; who still waits in flush asks again

    def _is_full(self, batch: Batch) -> bool:
        return batch.rows >= self._settings.batch_rows or batch.nbytes >= self._settings.memory_bytes

    async def _more_for(self, batch: Batch) -> bool:
        deadline = self._deadline + (_GROW_S if batch.rows >= _LARGE_ROWS else 0)
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
        # Nobody else decodes or makes rows meanwhile: the thread for rows waits for what comes of it.
        await asyncio.to_thread(self._transactions.decode_into, batch, requests)
        batch.position = requests[-1].sequence
