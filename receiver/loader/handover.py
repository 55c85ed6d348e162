"""Committed requests whose columns are still in memory, waiting for the loader; bounded in bytes."""

from __future__ import annotations

from collections import deque

from receiver.ports import CommittedGroup

_FULL = 0.8  # a group more may still fit; two lanes commit at the same time


class Handover:
    """Keeps groups in the order of their commit and lets the columns of the newest go when it is full.

    A group that was let go is read from the spool again, and so is everything behind it until the loader has
    caught up: order is never changed. Threads: the event loop's.
    """

    def __init__(self, capacity_bytes: int) -> None:
        """Start empty."""
        self._capacity = capacity_bytes
        self._groups: deque[CommittedGroup] = deque()
        self._bytes = 0
        self.highest_sequence = 0

    @property
    def is_full(self) -> bool:
        """Return True if the next group would not be kept."""
        return self._bytes >= self._capacity * _FULL

    def offer(self, group: CommittedGroup) -> None:
        """Keep the group if there is room; remember in any case that it is in the spool."""
        self.highest_sequence = max(self.highest_sequence, group.sequences[-1])
        size = _size(group)
        if self._bytes + size <= self._capacity or not self._groups:
            self._groups.append(group)
            self._bytes += size

    def take(self, position: int) -> CommittedGroup | None:
        """Return the group that directly follows ``position``, or None if it has to be read from the spool."""
        while self._groups and self._groups[0].sequences[-1] <= position:
            self._bytes -= _size(self._groups.popleft())
        if self._groups and self._groups[0].sequences[0] == position + 1:
            group = self._groups.popleft()
            self._bytes -= _size(group)
            return group
        return None

    def next_sequence(self, position: int) -> int | None:
        """Return the first sequence above ``position`` that is in memory; None if there is none."""
        return next((g.sequences[0] for g in self._groups if g.sequences[0] > position), None)


def _size(group: CommittedGroup) -> int:
    return sum(c.nbytes for c in group.columns)
