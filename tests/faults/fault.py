"""What a fault is: something bad that is done to a real receiver, a number of times, and what it cost.

A fault is done in rounds. Each round breaks something while records are acknowledged, lets the receiver get
well again, and compares what was acknowledged with what is stored.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass
class FaultReport:
    """What some rounds of one fault cost; records of all signals together."""

    tried: int = 0
    """How often the fault was done."""
    acknowledged: int = 0
    """Records that a client was told are accepted."""
    stored: int = 0
    """Records that the store holds, each copy counted."""
    lost: int = 0
    """Acknowledged records that the store does not hold and that are in no quarantine either."""
    duplicated: int = 0
    """Stored copies beyond the first."""
    healthy_s: list[float] = field(default_factory=list)
    """For each round the seconds from the end of the fault until /readyz said 200 and all was stored."""
    notes: list[str] = field(default_factory=list)
    """What else a reader of the table should know, a few words each."""

    def compare(self, acknowledged: Collection[object], stored: Iterable[object]) -> None:
        """Add one comparison: the acknowledged records of one signal by their numbers, and all stored ones."""
        found = list(stored)
        distinct = set(found)
        self.acknowledged += len(acknowledged)
        self.stored += len(found)
        self.lost += len(set(acknowledged) - distinct)
        self.duplicated += len(found) - len(distinct)


class Fault(Protocol):
    """**Protocol:** one kind of trouble."""

    @property
    def name(self) -> str:
        """Return a few words for the table."""
        ...

    @property
    def short_rounds(self) -> int:
        """Return how often it is done in the test suite: a few seconds' worth."""
        ...

    @property
    def long_rounds(self) -> int:
        """Return how often ``make faults`` does it."""
        ...

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it ``rounds`` times and report.

        Args:
            rounds: How often.
            folder: Empty, for this fault alone.
            chance: Decides everything that is random, so that a failure can be had again.

        Raises:
            AssertionError: Another promise than "nothing lost, nothing twice" was broken: what was not said in
                the log, in /readyz or in /metrics although it should have been.
            FaultNotPossibleError: This machine cannot do it (no rights to mount, no Node).
        """
        ...


class FaultNotPossibleError(Exception):
    """This machine cannot do the fault; the message says what is missing."""
