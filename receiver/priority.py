"""The priority of a thread: who answers a client goes before who works for nobody in particular."""

from __future__ import annotations

import contextlib
import os
import sys
import threading


def step_back(niceness: int) -> None:
    """Let the calling thread, and those that it starts, have the processor after others that want it.

    Only on Linux, where the nice value is a thread's own; elsewhere it is the whole process's and stays as it is.
    Source: setpriority(2), "C library/kernel differences", and sched(7).

    Args:
        niceness: Added to what the thread has; each step is about a tenth of the share. It cannot be taken back.

    Threads: any.
    """
    if not sys.platform.startswith("linux"):
        return
    own = threading.get_native_id()
    with contextlib.suppress(OSError):  # forbidden by a seccomp profile: it works all the same
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + niceness)
