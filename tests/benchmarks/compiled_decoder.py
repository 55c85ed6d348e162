"""What decoding costs on both routes: ``python -m tests.benchmarks.compiled_decoder``.

CPU µs a record, the best of several rounds over the same requests of 512 records: *decode* stands before the answer,
*flatten* makes rows of what was decoded, behind it. Both routes take turns in each round.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from receiver.config import LimitsConfig
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import is_compiled, open_decoder, open_flattener
from receiver.ports import Decoder, ExportRequest
from receiver.signals import Signal
from tests.benchmarks.payload import pool_of
from tests.benchmarks.template import Chance

_RECORDS = 512
_REQUESTS = 64
T = TypeVar("T")


class Route:
    """One route and the least CPU time that its two steps took."""

    def __init__(self, *, compiled: bool) -> None:
        """Open decoder and flattener."""
        nested = NestedValues()
        self._decoder: Decoder = open_decoder(LimitsConfig(), nested, compiled=compiled)
        self._flattener = open_flattener(nested) if compiled else ColumnFlattener(nested)
        self.decode_s = self.flatten_s = float("inf")

    def round(self, requests: list[ExportRequest]) -> int:
        """Decode and flatten the requests; return how many rows of all tables that made."""
        decoded, took = _timed(lambda: self._decoder.decode(requests))
        self.decode_s = min(self.decode_s, took)
        rows, took = _timed(
            lambda: sum(
                len(table) for part in self._flattener.parts(list(decoded.columns)) for table in part.values()
            )
        )
        self.flatten_s = min(self.flatten_s, took)
        return rows

    def close(self) -> None:
        """Free the flattener's connection."""
        self._flattener.close()


def _timed(step: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = step()
    return result, time.process_time() - began


def main() -> int:
    """Print a table; return 1 if the compiled decoder was not built."""
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.compiled_decoder", description=__doc__)
    options.add_argument("--rounds", type=int, default=9, help="the best of so many counts (default 9)")
    rounds = options.parse_args().rounds
    if not is_compiled():
        print("the compiled decoder was not built", file=sys.stderr)
        return 1
    print(f"| {_RECORDS} a request | bytes a record | Python: decode + flatten | compiled | ratio |")
    print("|---|---|---|---|---|")
    for payload in ("small", "realistic"):
        for signal in Signal:
            print(_row(payload, signal, rounds), flush=True)
    return 0


def _row(payload: str, signal: Signal, rounds: int) -> str:
    pool = pool_of(payload, signal, records=_RECORDS)
    chance = Chance(1, distinct_texts=100_000)
    bodies = [pool[n % len(pool)].fresh(time.time_ns(), chance) for n in range(_REQUESTS)]
    requests = [ExportRequest(signal, body) for body in bodies]
    routes = Route(compiled=False), Route(compiled=True)
    try:
        for _ in range(rounds):
            for route in routes:
                route.round(requests)
    finally:
        for route in routes:
            route.close()
    records = _RECORDS * _REQUESTS
    costs = [(r.decode_s / records * 1e6, r.flatten_s / records * 1e6) for r in routes]
    size = sum(map(len, bodies)) / records
    cells = [f"{payload} {signal.value}", f"{size:.0f}", *(f"{d:.2f} + {f:.2f} µs" for d, f in costs)]
    return f"| {' | '.join(cells)} | {sum(costs[0]) / sum(costs[1]):.1f} |"


if __name__ == "__main__":
    sys.exit(main())
