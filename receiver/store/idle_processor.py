"""Whether a processor of this machine has nothing to do."""

from __future__ import annotations

import os
from pathlib import Path

_PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_LOAD = Path("/proc/loadavg")


def processor_is_idle() -> bool:
    """Return True if fewer threads of this machine want to run now than this process may use processors.

    Two threads on one busy processor take longer than one does. Linux only; elsewhere nothing is said to be idle.
    Source: proc(5), /proc/loadavg, the fourth field. It takes 10 µs; not for an event loop.
    """
    try:
        running = int(_LOAD.read_bytes().split()[3].partition(b"/")[0])
    except (OSError, ValueError, IndexError):
        return False
    return running < _PROCESSORS
