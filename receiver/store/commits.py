"""When the store's content changes: between two commits a question need not ask again what was learnt before.

Each statement costs half a millisecond and more however little it reads, and most questions about newer rows, deleted
records or the size of tables are answered by: nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Commits:
    """Counts commits of the one writer. Threads: one writer at a time, any number of questions."""

    def __init__(self) -> None:
        """Begin with nothing committed."""
        self._begun = 0
        self._ended = 0
        self._deletions = 0

    @contextmanager
    def committing(self, *, deletes: bool = False) -> Iterator[None]:
        """What was written may become visible within the block, be it left by an error or not."""
        self._begun += 1
        if deletes:
            self._deletions += 1
        try:
            yield
        finally:
            self._ended += 1

    @property
    def count(self) -> int | None:
        """Return a number that every commit changes; None during one.

        Where it is the same before a transaction's first statement and after one of its statements, what the
        transaction sees is what there was at that number.
        """
        ended = self._ended  # first: a commit that begins after this makes the numbers differ
        return ended if self._begun == ended else None

    @property
    def deletions(self) -> int:
        """Return how many commits that delete have begun.

        What was read while :attr:`count` was a number is there for as long as this stays.
        """
        return self._deletions
