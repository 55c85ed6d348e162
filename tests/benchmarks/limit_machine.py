"""What the disk and the scheduler of this machine do, without any receiver."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tests.benchmarks.latency import latency_figures

_SYNCS, _SYNC_BYTES = 300, 4096
_STREAM_BYTES, _STREAM_PIECE = 256 << 20, 4 << 20
_SLEEPS, _SLEEP_S = 3000, 0.001


def disk(folder: Path) -> dict[str, Any]:
    """Return what a sync of 4 KiB takes, and the bandwidth of a large write that is synced at its end."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        syncs = []
        with Path(name, "syncs").open("wb", buffering=0) as file:
            for _ in range(_SYNCS):
                file.write(os.urandom(_SYNC_BYTES))
                started = time.perf_counter()
                os.fsync(file.fileno())
                syncs.append(time.perf_counter() - started)
        piece = os.urandom(_STREAM_PIECE)
        started = time.perf_counter()
        with Path(name, "stream").open("wb", buffering=0) as file:
            for _ in range(_STREAM_BYTES // _STREAM_PIECE):
                file.write(piece)
            os.fsync(file.fileno())
        seconds = time.perf_counter() - started
    return {
        "fsync_ms": latency_figures(np.array(syncs)),
        "write_mb_per_s": round(_STREAM_BYTES / 1e6 / seconds),
    }


def scheduler() -> dict[str, float]:
    """Return how late a sleep of one millisecond ends."""
    late = []
    for _ in range(_SLEEPS):
        due = time.perf_counter() + _SLEEP_S
        time.sleep(_SLEEP_S)
        late.append(time.perf_counter() - due)
    return latency_figures(np.array(late))


def machine() -> dict[str, Any]:
    """Return what the figures were taken on, and when."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
