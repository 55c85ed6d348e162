"""Runs the receiver with threads whose names the operating system knows, so that their CPU time can be told apart.

    python -m tests.benchmarks.named_threads serve --data-dir …

Python gives its threads' names to the operating system from 3.14 on. Here each writes its own, as it begins, to
``/proc/self/task/ID/comm`` (proc(5): a process may write those of its own threads; 15 characters are kept).
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


def name_threads() -> None:
    """Let every thread that begins from now on tell its name to the operating system."""
    run = threading.Thread.run

    def named_run(self: threading.Thread) -> None:
        with contextlib.suppress(OSError):
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(self.name[:15])
        run(self)

    threading.Thread.run = named_run  # type: ignore[method-assign]


def main() -> None:
    """Run the receiver's command line."""
    name_threads()
    from receiver.cli.main import main as receiver_main  # noqa: PLC0415 - its threads begin after this

    receiver_main()


if __name__ == "__main__":
    main()
