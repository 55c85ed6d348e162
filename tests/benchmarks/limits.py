"""The limits of this machine: what the storage engine, the disk, gRPC and the scheduler can do without a receiver.

    python -m tests.benchmarks.limits [--payload realistic] [--rows 983040]

Prints one JSON object. ``make bench`` measures them in the same run as the receiver and prints the ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from receiver.signals import Signal
from tests.benchmarks.ingest_run import Generator, Plan
from tests.benchmarks.limit_machine import disk, machine, scheduler
from tests.support.receiver_process import REPOSITORY


def empty_handler(plan: Plan) -> dict[str, Any]:
    """Return how many requests a second a gRPC handler that does nothing answers under the plan's load."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.empty_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as server:
        assert server.stdout is not None
        endpoint = server.stdout.readline().strip()
        with Generator(replace(plan, transport="grpc", rate=0.0), endpoint) as generator:
            generator.begin()
            load = generator.result()
        server.communicate()  # closes its input, so it ends
    return {
        "requests_per_s": round(load["acknowledged_requests"] / load["seconds"]),
        "records_per_s": round(load["acknowledged_records"] / load["seconds"]),
        "answer_ms": load["latency_ms"],
        "generator_cpu_us_per_record": load["generator_cpu_us_per_record"],
        "under_way": plan.under_way,
    }


def column_limits(
    signal: Signal, payload: str, rows: int, folder: Path, capture: Path | None = None
) -> dict[str, Any]:
    """Return the rates of ready columns, measured in a process of their own."""
    more = ["--capture", str(capture)] if capture else []
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.benchmarks.limit_columns", "--signal", signal.value, "--payload", payload,
            "--rows", str(rows), "--folder", str(folder.absolute()), *more,
        ],
        check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--signal", choices=[signal.value for signal in Signal], default=Signal.TRACES.value)
    parser.add_argument("--payload", choices=("realistic", "small"), default="realistic")
    parser.add_argument("--rows", type=int, default=983_040)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each gRPC measurement")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made")
    options = parser.parse_args()
    signal = Signal(options.signal)
    plan = Plan(signal=signal, payload=options.payload, seconds=options.seconds)
    found = {
        "machine": machine(),
        "disk": disk(options.folder),
        "scheduler_ms": scheduler(),
        "columns": column_limits(signal, options.payload, options.rows, options.folder),
        "empty_grpc": {batch: empty_handler(replace(plan, batch=batch)) for batch in (1, 512)},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
