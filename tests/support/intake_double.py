"""A double of the port ``Intake``: keeps what it got and answers as it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from receiver.budget import ByteBudget
from receiver.errors import BusyError
from receiver.ports import ExportRequest, Outcome


class IntakeDouble:
    """An intake that writes nothing."""

    def __init__(self, *, budget_bytes: int = 192 << 20) -> None:
        """Accept everything with full success until told otherwise."""
        self._budget = ByteBudget(budget_bytes)
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Condition()
        self.outcome = Outcome()
        self.error: Exception | None = None
        self.requests: list[ExportRequest] = []
        self.waits_s: list[float] = []
        self.finished = 0
        self._working: set[asyncio.Task[Outcome]] = set()

    @property
    def budget(self) -> ByteBudget:
        """Return the budget."""
        return self._budget

    @property
    def used_bytes(self) -> int:
        """Return how much of the budget is reserved."""
        return self._budget.statistics().used_bytes

    async def accept(
        self,
        request: ExportRequest,
        *,
        wait_s: float,
        import_keys: Sequence[bytes] = (),  # noqa: ARG002 - the port's signature
    ) -> Outcome:
        """Keep the request, wait while blocked, then raise ``error`` or return ``outcome``."""
        working = asyncio.create_task(self._work(request, wait_s))
        self._working.add(working)
        working.add_done_callback(self._worked)
        done, _ = await asyncio.wait({working}, timeout=wait_s)  # leaves it alone when it is cancelled
        if not done:
            raise BusyError("the double is blocked")
        return working.result()

    async def _work(self, request: ExportRequest, wait_s: float) -> Outcome:
        async with self._changed:
            self.requests.append(request)
            self.waits_s.append(wait_s)
            self._changed.notify_all()
        await self._open.wait()
        self._budget.release(len(request.body))
        async with self._changed:
            self.finished += 1
            self._changed.notify_all()
        if self.error is not None:
            raise self.error
        return self.outcome

    def _worked(self, working: asyncio.Task[Outcome]) -> None:
        self._working.discard(working)
        working.exception()  # read, as nobody may be left to do so

    def block(self) -> None:
        """Let requests wait from here on."""
        self._open.clear()

    def release(self) -> None:
        """Let every request go on."""
        self._open.set()

    async def arrived(self, count: int) -> None:
        """Return once ``count`` requests in all were handed in."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def done(self, count: int) -> None:
        """Return once ``count`` requests in all were answered, whether or not anyone still listened."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.finished >= count)
