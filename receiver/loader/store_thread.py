"""The one thread in which the store's writer works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from receiver.errors import RetryableError

T = TypeVar("T")


class StoreThread:
    """Runs one thing after the other, in the order in which they were asked for. Threads: the event loop's."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """Start nothing; the thread comes with the first work.

        Args:
            on_failure: Called when work that was asked for with :meth:`try_run` failed in a way that may pass.
        """
        self._thread = ThreadPoolExecutor(1, "store")
        self._on_failure = on_failure

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, raise what it raises; work that has begun is not cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def try_run(self, work: Callable[[], T]) -> T:
        """Do the same; a failure of the store is also a reason to look at it."""
        try:
            return await self.run(work)
        except RetryableError:
            self._on_failure()
            raise

    async def close(self) -> None:
        """Return when the thread has ended."""
        await asyncio.to_thread(self._thread.shutdown, wait=True)
