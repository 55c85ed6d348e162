"""What a commit to the spool takes, alone and beside a thread that is busy in Python.

    python -m tests.benchmarks.commits

Each statement lets go of the GIL and waits to get it back, up to a switch interval (2 ms, as in the receiver) while
another thread is busy: see docs/adr/0017-few-hand-overs.md.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from receiver.ports import Outcome, SpoolEntry
from receiver.signals import Signal
from receiver.spool import SqliteSpool

_SWITCH_INTERVAL_S = 0.002
_REQUEST_BYTES = 1300  # one realistic span
_GROUPS = (1, 8, 24, 63)
_SLICE_REQUESTS = 256  # as in `receiver.spool.sqlite_spool`


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep a thread busy in Python."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measured(spool: SqliteSpool, requests: int, rounds: int) -> tuple[float, float, float]:
    """Return the median time of an append, its CPU time, and the time of the removal for each slice of 256 requests."""
    took: list[float] = []
    groups = [
        [
            SpoolEntry(Signal.TRACES, os.urandom(_REQUEST_BYTES), 1, Outcome(0, ""), os.urandom(16))
            for _ in range(requests)
        ]
        for _ in range(rounds)
    ]
    last, cpu = 0, time.thread_time()
    for entries in groups:
        began = time.perf_counter()
        last = spool.append(entries)[-1]
        took.append(time.perf_counter() - began)
    cpu = time.thread_time() - cpu
    began = time.perf_counter()
    removed = spool.remove_through(last)
    removal = time.perf_counter() - began
    return statistics.median(took), cpu / rounds, removal / math.ceil(removed / _SLICE_REQUESTS)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    print(
        "| requests a commit | alone: append, ms (CPU), removal of 256 | beside a busy thread |\n| ---: | ---: | ---: |"
    )
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
        closing(SqliteSpool(Path(folder) / "spool.db")) as spool,
    ):
        for requests in _GROUPS:
            alone = measured(spool, requests, options.rounds)
            with busy_thread():
                beside = measured(spool, requests, options.rounds)
            cells = (
                f"{append * 1e3:.2f} ({cpu * 1e3:.2f}), {removal * 1e3:.1f}"
                for append, cpu, removal in (alone, beside)
            )
            print(f"| {requests} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
