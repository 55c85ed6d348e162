"""The whole benchmark: limits of the machine and runs of the receiver, one JSON file each, then the tables.

    make bench                      # about five minutes
    make bench ARGS=--full          # about half an hour; latencies of spans are medians of five runs of a minute
    python -m tests.benchmarks.report build/benchmarks    # puts the results into docs/benchmarks.md

Runs take place one after the other on a machine that should do nothing else. A run that is void ends the suite.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from receiver.signals import Signal
from tests.benchmarks.ingest_run import Plan, one_run
from tests.benchmarks.limit_machine import disk, machine, scheduler
from tests.benchmarks.limits import column_limits, empty_handler
from tests.benchmarks.payload_capture import CAPTURE
from tests.benchmarks.tables import markdown

RESULTS = Path("build/benchmarks")
BATCHES = (1, 10, 100, 512, 4096)
STEADY = 10_000.0
_UNDER_WAY_SMALL = 64
"""Requests under way where they hold few records: many SDKs send to one receiver."""


@dataclass(frozen=True)
class Extent:
    """How much of everything is done."""

    throughput_s: float
    throughput_runs: int
    batch_s: float
    transports: tuple[str, ...]
    """Of the runs over batch sizes."""
    steady_s: float
    steady_runs: int
    steady_others_s: float
    """Of the runs with log records and with data points; 0: there are none."""
    column_rows: int
    compared_s: float
    """Of the runs that are compared with an empty handler; in the first seconds embedding has all words before it."""
    grpc_s: float
    """Of the empty handler's runs."""
    grpc_runs: int
    """Of the sizes that are compared with the empty handler, each run right behind one of the handler's."""


SHORT = Extent(8, 1, 5, ("grpc",), 15, 1, 0, 491_520, 5, 4, 1)
FULL = Extent(15, 3, 8, ("grpc", "http"), 60, 5, 15, 1_228_800, 20, 6, 3)


def plans(extent: Extent, base: Plan) -> Iterator[tuple[str, Plan, int]]:
    """Yield the group of some runs, what they do, and how many there are."""
    full_speed = replace(base, seconds=extent.throughput_s)
    demo = [replace(full_speed, payload="demo")] if (base.capture or CAPTURE).exists() else []
    for plan in (
        full_speed,
        replace(full_speed, payload="small"),
        *demo,
        replace(full_speed, transport="http"),
        replace(full_speed, signal=Signal.LOGS),
        replace(full_speed, signal=Signal.METRICS),
        replace(full_speed, signal=Signal.LOGS, payload="small"),
        replace(full_speed, signal=Signal.METRICS, payload="small"),
    ):
        yield "throughput", plan, extent.throughput_runs
    for transport in extent.transports:
        for batch in BATCHES:
            under_way = _UNDER_WAY_SMALL if batch <= 10 else base.under_way
            plan = replace(base, transport=transport, batch=batch, under_way=under_way)
            if compared(plan):
                yield "batch", replace(plan, seconds=extent.compared_s), extent.grpc_runs
            else:
                yield "batch", replace(plan, seconds=extent.batch_s), 1
    steady = replace(base, rate=STEADY)
    yield "steady", replace(steady, seconds=extent.steady_s), extent.steady_runs
    if extent.steady_others_s:
        for signal in (Signal.LOGS, Signal.METRICS):
            yield "steady", replace(steady, signal=signal, seconds=extent.steady_others_s), extent.steady_runs


def compared(plan: Plan) -> bool:
    """Tell whether runs of the plan are compared with an empty handler: by turns, as the machine's speed is not steady."""
    return plan.transport == "grpc" and plan.batch in {1, 512}


def limits(extent: Extent, folder: Path) -> dict[str, Any]:
    """Return the limits of the machine."""
    return {
        "machine": machine(),
        "disk": disk(folder),
        "scheduler_ms": scheduler(),
        "columns": [
            column_limits(signal, payload, extent.column_rows, folder)
            for signal, payload in (
                (Signal.TRACES, "realistic"),
                (Signal.TRACES, "small"),
                (Signal.LOGS, "realistic"),
                (Signal.METRICS, "realistic"),
            )
        ],
    }


def run(extent: Extent, base: Plan, *, folder: Path, results: Path) -> None:
    """Measure everything; each result is a file in ``results`` as soon as it is there."""
    print("limits of the machine …", flush=True)
    _write(results / "limits.json", limits(extent, folder))
    number = 0
    for group, plan, count in plans(extent, base):
        for _ in range(count):
            number += 1
            print(f"{number}. {plan.name} …", end=" ", flush=True)
            found: dict[str, Any] = {"group": group}
            if group == "batch" and compared(plan):
                found["empty_handler"] = empty_handler(replace(plan, seconds=extent.grpc_s))
            found |= one_run(plan, folder)
            print(f"{found['stored_per_s']:,}/s", flush=True)
            _write(results / f"run-{number:03d}.json", found)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="everything, with runs of a minute")
    parser.add_argument("--capture", type=Path, help="OTLP/JSON lines for the payload demo")
    parser.add_argument("--embed", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder that is made anew")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where data directories are made; default: RESULTS"
    )
    options = parser.parse_args()
    results: Path = options.results
    if results.exists():
        shutil.rmtree(results)
    results.mkdir(parents=True)
    base = Plan(embed=options.embed, capture=options.capture)
    run(FULL if options.full else SHORT, base, folder=options.folder or results, results=results)
    print(markdown(results))


if __name__ == "__main__":
    main()
