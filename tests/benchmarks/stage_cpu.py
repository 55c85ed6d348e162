"""CPU time of a process by thread, and of its children; read from /proc (Linux)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_STAGES = (
    (re.compile("^intake"), "decode and commit"),
    (re.compile("^store-reader"), "queries"),
    (re.compile("^store"), "store"),
    (re.compile("^rows"), "rows"),
    (re.compile("^(asyncio|uvloop)_"), "loop's pool"),
    (re.compile("^embed"), "embed"),
    (re.compile(r"^(grpc|event_engine|resolver|timer|ev_|Thread-\d+ \(_poll)"), "gRPC"),
)
MAIN, CHILDREN, QUERIES = "event loop", "embedding workers", "queries"


class StageCpu:
    """CPU seconds of a process since this was made, by stage."""

    def __init__(self, pid: int) -> None:
        """Begin to count."""
        self._pid = pid
        self._before = self._seconds()
        self._total_before = process_seconds(pid)

    def seconds(self) -> dict[str, float]:
        """Return what each stage has used so far; threads that have ended are in ``other``."""
        now = {stage: value - self._before.get(stage, 0.0) for stage, value in self._seconds().items()}
        used = {stage: round(value, 3) for stage, value in now.items() if value > 0}
        total = process_seconds(self._pid) - self._total_before
        threads = sum(value for stage, value in used.items() if stage != CHILDREN)
        if total - threads > _TICK_S * 2:
            used["other"] = round(total - threads, 3)
        return dict(sorted(used.items()))

    def total(self) -> float:
        """Return what the process has used so far, its children not counted."""
        return process_seconds(self._pid) - self._total_before

    def _seconds(self) -> dict[str, float]:
        found: defaultdict[str, float] = defaultdict(float)
        for task in Path(f"/proc/{self._pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                used = _thread_seconds(task)
            except OSError:  # it has ended
                continue
            found[MAIN if task.name == str(self._pid) else stage_of(name)] += used
        for child in children(self._pid):
            found[CHILDREN] += process_seconds(child)
        return found


def stage_of(thread: str) -> str:
    """Return the stage that a thread of this name belongs to; its own name where no stage is known."""
    return next((stage for pattern, stage in _STAGES if pattern.match(thread)), thread.rstrip("0123456789_"))


def children(pid: int) -> list[int]:
    """Return the ids of the child processes."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        if parent == pid:
            found.append(int(process.name))
    return found


def process_seconds(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads, those that have ended too; 0 if it is gone."""
    try:
        return _seconds_of(Path(f"/proc/{pid}/stat"))
    except OSError:
        return 0.0


def _thread_seconds(task: Path) -> float:
    """Return the CPU seconds of a thread: nanoseconds of the scheduler's, in ticks where it keeps no such figures."""
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        return _seconds_of(task / "stat")


def _seconds_of(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def memory_mb(pid: int, key: str) -> float:
    """Return a figure of /proc/PID/status in MB: ``VmRSS``, ``VmHWM``; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)
