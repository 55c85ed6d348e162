"""Consecutive requests on their way into one store transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from receiver.ports import Columns
from receiver.signals import Signal


@dataclass
class Batch:
    """Requests, and the position that they bring the spool to; it may grow while its first rows are written already."""

    position: int
    """The highest sequence in it."""
    columns: list[Columns] = field(default_factory=list)
    """What no rows were made of yet."""
    records: Counter[Signal] = field(default_factory=Counter)
    payload_bytes: int = 0
    nbytes: int = 0
    """What all columns took in memory that were ever in it."""
    is_complete: bool = False
    """True: nothing more comes into it."""

    @property
    def rows(self) -> int:
        """Return the number of records."""
        return self.records.total()

    def add(self, position: int, columns: list[Columns], records: Mapping[Signal, int], size: int) -> None:
        """Put one more request, or group of requests, behind those that are in it."""
        self.position = position
        self.columns += columns
        self.records.update(records)
        self.payload_bytes += size
        self.nbytes += sum(one.nbytes for one in columns)
