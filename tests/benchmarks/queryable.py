"""From an acknowledgement until the record can be queried."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from receiver.signals import Signal
from tests.benchmarks.latency import latency_figures
from tests.support.receiver_process import ReceiverProcess


class QueryableWatch:
    """Asks a receiver again and again how many records are stored: rows and this total are one transaction.

    A context manager. A record counts as queryable from the end of the first question whose answer holds it, so
    the figures are too high by up to an interval, and never too low.
    """

    def __init__(self, receiver: ReceiverProcess, signal: Signal, interval_s: float) -> None:
        """Prepare; ``interval_s`` is the pause between two questions."""
        self._receiver = receiver
        self._query = f"SELECT stored FROM record_totals WHERE signal = '{signal.value}'"
        self._interval_s = interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="queryable")
        self.times: list[float] = []
        self.stored: list[int] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; a last question is asked."""
        self._done.set()
        self._thread.join()
        self._ask()

    def figures(self, acknowledged: NDArray[np.float64], records: int) -> dict[str, float]:
        """Return percentiles in milliseconds over the acknowledged requests, which had so many records each."""
        return latency_figures(np.array(delays(acknowledged.tolist(), records, self.times, self.stored)))

    def _watch(self) -> None:
        while not self._done.wait(self._interval_s):
            self._ask()

    def _ask(self) -> None:
        ((stored,),) = self._receiver.sql(self._query) or [[0]]
        self.times.append(time.monotonic())
        self.stored.append(stored)


def delays(
    acknowledged: Iterable[float], records: int, times: Sequence[float], stored: Sequence[int]
) -> list[float]:
    """Return for each request, in the order of acknowledgement, the time until a total held it and all before it."""
    delays = []
    for number, at in enumerate(acknowledged, 1):
        seen = bisect_left(stored, number * records)
        while seen < len(times) and times[seen] < at:  # stored before it was acknowledged
            seen += 1
        if seen < len(times):
            delays.append(times[seen] - at)
    return delays
