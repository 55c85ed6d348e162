"""A budget in bytes that many coroutines draw on: what makes every waiting place bounded.

Counted are bytes of request bodies (wire or inflated, whichever the holder says) that are in memory and
not yet durable. The budget is given back when the work is *done*, not when it is taken up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from receiver.errors import BusyError


class BudgetStatistics(NamedTuple):
    """What a budget looks like at one moment."""

    used_bytes: int
    #: Upper bound of ``used_bytes``; one request larger than it is let in when nothing else is.
    capacity_bytes: int
    #: Coroutines that wait for room.
    waiting: int


class ByteBudget:
    """First come, first served reservations of bytes, with a bounded wait.

    Threads: the event loop's thread only.
    """

    def __init__(self, capacity_bytes: int) -> None:
        """Start with nothing reserved."""
        self._capacity = capacity_bytes
        self._used = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def statistics(self) -> BudgetStatistics:
        """Return how much is reserved, how much may be, and how many wait."""
        return BudgetStatistics(self._used, self._capacity, len(self._waiters))

    async def reserve(self, size: int, *, wait_s: float) -> None:
        """Hold ``size`` bytes of the budget from here until ``release``.

        Args:
            size: Bytes; a size above the capacity is granted alone.
            wait_s: Upper bound of the wait in seconds.

        Raises:
            BusyError: There was no room within ``wait_s``; nothing is held.

        Cancellation: nothing is held afterwards.
        """
        if not self._waiters and self._fits(size):
            self._used += size
            return
        granted = asyncio.get_running_loop().create_future()
        entry = (size, granted)
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(wait_s):
                await granted
        except TimeoutError:
            self._withdraw(entry)
            raise BusyError(
                f"the receiver holds {self._used} bytes of requests that are not on disk yet"
                f" and {wait_s:.1f} s were not enough to get room for {size} more",
                hint="retry; if it persists, the disk is too slow for this load",
            ) from None
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise

    def release(self, size: int) -> None:
        """Give ``size`` bytes back and let in those who wait, in their order."""
        self._used -= size
        self._admit()

    @asynccontextmanager
    async def held(self, size: int, *, wait_s: float) -> AsyncIterator[None]:
        """Hold ``size`` bytes for the length of the block; see :meth:`reserve`."""
        await self.reserve(size, wait_s=wait_s)
        try:
            yield
        finally:
            self.release(size)

    def _fits(self, size: int) -> bool:
        return self._used == 0 or self._used + size <= self._capacity

    def _admit(self) -> None:
        while self._waiters and self._fits(self._waiters[0][0]):
            size, granted = self._waiters.popleft()
            if granted.done():
                continue
            self._used += size
            granted.set_result(None)

    def _withdraw(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        size, granted = entry
        if granted.done() and not granted.cancelled():
            self.release(size)  # granted in the same turn of the loop in which the wait ended
            return
        if entry in self._waiters:
            self._waiters.remove(entry)
        self._admit()
