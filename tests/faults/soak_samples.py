"""What a receiver uses, sampled from outside, and whether it settles."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MIB = 1 << 20
_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a measure may grow from the second quarter of a soak to its last."""

    unit: int
    """What a table shows it in."""
    share: float
    """Of its median in the second quarter."""
    absolute: float
    """Or this, if that is more."""


BOUNDS: Mapping[str, Bound] = {
    "resident memory, MiB": Bound(MIB, 0.10, 16 * MIB),
    "file handles": Bound(1, 0.10, 8),
    "threads": Bound(1, 0.0, 2),
    "spool and its log, MiB": Bound(MIB, 0.10, 8 * MIB),
    "database and its log, MiB": Bound(MIB, 0.15, 12 * MIB),
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one measure."""

    measure: str
    quarters: tuple[float, float, float, float]
    """Medians of the four quarters, in the unit of the measure."""
    highest: float
    growth_per_hour: float
    """From the middle of the second quarter to that of the last, as if it went on so."""
    allowed: float
    """Most growth between the two, in the unit of the measure."""

    @property
    def holds(self) -> bool:
        """Return True if it settled."""
        return self.quarters[3] - self.quarters[1] <= self.allowed


class Samples:
    """Samples a process and its folder in a thread; a context manager."""

    def __init__(self, pid: int, data_dir: Path) -> None:
        """Prepare; nothing is sampled yet."""
        self._pid = pid
        self._data_dir = data_dir
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak samples")
        self.taken: list[tuple[float, dict[str, float]]] = []
        """Time in seconds and the measures by name."""

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            self.taken.append((time.monotonic(), measure(self._pid, self._data_dir)))


def measure(pid: int, data_dir: Path) -> dict[str, float]:
    """Return every measure of ``BOUNDS`` for a process, now."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "resident memory, MiB": int(status["VmRSS"].split()[0]) * 1024,
        "file handles": len(list((process / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "spool and its log, MiB": _size(data_dir, "spool.db", "spool.db-wal"),
        "database and its log, MiB": _size(data_dir, "telemetry.duckdb", "telemetry.duckdb.wal"),
    }


def settled(taken: Sequence[tuple[float, Mapping[str, float]]], *, slack: float = 1.0) -> list[Settled]:
    """Return for each measure how its quarters compare.

    Args:
        taken: At least one sample in each quarter.
        slack: Times the absolute bounds are allowed: a short soak ends before every cache is full.
    """
    begin, end = taken[0][0], taken[-1][0]
    quarter_s = (end - begin) / 4
    found = []
    for name, bound in BOUNDS.items():
        parts: list[list[float]] = [[], [], [], []]
        for at, values in taken:
            place = min(int((at - begin) / quarter_s), 3) if quarter_s else 0
            parts[place].append(values[name] / bound.unit)
        medians = [statistics.median(part) for part in parts]
        found.append(
            Settled(
                name,
                (medians[0], medians[1], medians[2], medians[3]),
                highest=max(map(max, parts)),
                growth_per_hour=(medians[3] - medians[1]) / (2 * quarter_s) * 3600,
                allowed=max(bound.share * medians[1], slack * bound.absolute / bound.unit),
            )
        )
    return found


def _size(folder: Path, *names: str) -> int:
    size = 0
    for name in names:
        try:
            size += (folder / name).stat().st_size
        except FileNotFoundError:  # a log that was just removed
            continue
    return size
