"""Whether the spool may take more requests."""

from __future__ import annotations

import asyncio

from receiver.errors import SpoolUnavailableError
from receiver.ports import Spool

_REMOVED_ENOUGH = 0.9  # of the limit: room is announced a little late, so that it is worth it


class SpoolRoom:
    """Knows the payload bytes in the spool, and whether it is the right one. Threads: the event loop's; never blocks."""

    def __init__(self, spool: Spool, limit_bytes: int, *, has_gone_back: bool) -> None:
        """Ask the spool what it holds.

        Args:
            spool: Whose room this is.
            limit_bytes: Of payloads in it.
            has_gone_back: It ends before what was loaded from it, as far as is known before the store is open.
        """
        self._spool = spool
        self._limit_bytes = limit_bytes
        self._has_gone_back = has_gone_back
        self._wrong: str | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.measure()

    @property
    def payload_bytes(self) -> int:
        """Return the payload bytes in the spool."""
        return self._payload_bytes

    @property
    def has_room(self) -> bool:
        """Return True if the spool holds less than it may, and is the right one."""
        return self._free.is_set() and not (self._wrong or self._has_gone_back)

    async def wait(self) -> None:
        """Return as soon as the spool holds less than it may.

        Raises:
            SpoolUnavailableError: This is not the spool that the store was loaded from, or may not be and the store
                is not open yet; what came in now would be taken for loaded, up to the store's position.
        """
        if self._wrong:
            raise SpoolUnavailableError(self._wrong)
        if self._has_gone_back:
            raise SpoolUnavailableError(
                "the spool ends before what was loaded from it; the store is asked as soon as it is open",
                hint="see /readyz",
            )
        if not self._free.is_set():
            await self._free.wait()

    def add(self, payload_bytes: int) -> None:
        """Count what was committed."""
        self._payload_bytes += payload_bytes
        self._judge()

    def measure(self) -> None:
        """Count what is in it now."""
        self._payload_bytes = self._spool.statistics().payload_bytes
        self._judge()

    def close_for_ever(self, reason: str) -> None:
        """Take nothing more: it is not the spool that the store was loaded from."""
        self._wrong = reason

    def confirm(self) -> None:
        """Take note that the store was loaded from this spool, and no further than it goes."""
        self._has_gone_back = False

    def _judge(self) -> None:
        if self._payload_bytes >= self._limit_bytes:
            self._free.clear()
        elif self._free.is_set() or self._payload_bytes < self._limit_bytes * _REMOVED_ENOUGH:
            self._free.set()
