"""One step ahead: the next part is made in a thread of its own while its predecessor is used.

Rows are made without Python's lock, and DuckDB works without it, so both run at the same time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

T = TypeVar("T")


class _End:
    """Comes behind the last part."""


_END: Final = _End()


class Ahead:
    """Owns the thread. Threads: one at a time."""

    def __init__(self, name: str) -> None:
        """Start nothing; the thread comes with the first part."""
        self._thread = ThreadPoolExecutor(1, name)

    def parts(self, source: Iterator[T]) -> Generator[T, None, None]:
        """Yield what ``source`` yields, the next one being made meanwhile; raises what it raises.

        ``source`` is used by no thread any more when the iteration has ended, or was closed.
        """
        coming = self._thread.submit(_next, source)
        try:
            while not isinstance(part := coming.result(), _End):
                coming = self._thread.submit(_next, source)
                yield part
        finally:
            wait((coming,))

    def close(self) -> None:
        """Return when the thread has ended; safe to call twice."""
        self._thread.shutdown(wait=True)


def _next(source: Iterator[T]) -> T | _End:
    return next(source, _END)
