"""What a process still has to say on standard output, after some lines of it were read.

``Popen.communicate`` with a time limit reads the pipe itself and passes over what ``readline`` read ahead.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

_END_S = 60.0


def lines_to_the_end(process: subprocess.Popen[str], *, within_s: float = _END_S) -> Iterator[str]:
    """Yield the lines that are left; at the end the process is gone. Killed if it takes longer."""
    assert process.stdout is not None
    limit = threading.Timer(within_s, process.kill)
    limit.start()
    try:
        yield from process.stdout
        process.wait()
    finally:
        limit.cancel()


def rest_of_output(process: subprocess.Popen[str], *, within_s: float = _END_S) -> str:
    """Return what is left of the output once the process has ended. Killed if it takes longer."""
    return "".join(lines_to_the_end(process, within_s=within_s))
