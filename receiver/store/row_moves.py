"""When places of rows (``rowid``) may change: DuckDB's checkpoint closes the gaps that deletions have left.

It does so beside transactions that run, so that a place which a question's first statement has found may be another
row's, or nobody's, in its second, and even within one statement that reads a table twice (DuckDB 2.0: 2,700 of
198,000 rows in a loop of appends, deletions and checkpoints). So a question is asked again if rows may have moved
while it ran. Only deletions leave gaps: a store without retention never moves a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_MOVE_S = 30.0


class RowMoves:
    """Tells questions whether rows may have moved. Threads: one mover at a time, any number of questions."""

    def __init__(self) -> None:
        """Begin with nothing moved."""
        self._count = 0
        self._still = threading.Event()
        self._still.set()

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Rows may move within the block."""
        self._still.clear()
        self._count += 1
        try:
            yield
        finally:
            self._still.set()

    @property
    def count(self) -> int:
        """Return a number that changes whenever rows may move; what was learnt of places holds as long as it stays."""
        return self._count if self._still.is_set() else -1

    def mark(self) -> int:
        """Return a mark for :meth:`none_since`, as soon as no row moves. Blocks."""
        self._still.wait(_LONGEST_MOVE_S)
        return self._count if self._still.is_set() else -1

    def none_since(self, mark: int) -> bool:
        """Return True if no row can have moved since the mark was taken."""
        return self._count == mark and self._still.is_set()
