"""Sets that grow together: which of many things turned out to be the same one."""

from __future__ import annotations

from collections import defaultdict


class Union:
    """Numbers from 0 on, joined pairwise; joined with a joined one is joined with all."""

    def __init__(self, count: int) -> None:
        """Begin with each number alone."""
        self._parent = list(range(count))

    def find(self, number: int) -> int:
        """Return the number that stands for all that are joined with this one."""
        root = number
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[number] != root:
            self._parent[number], number = root, self._parent[number]
        return root

    def join(self, one: int, other: int) -> int:
        """Make two the same; the lower number stands for both from now on."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first
        return first

    def groups(self) -> dict[int, list[int]]:
        """Return the joined numbers, in order, by the one that stands for them."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._parent)):
            found[self.find(number)].append(number)
        return found
