"""Ingest, end to end: one JSON line a run.

    python -m tests.benchmarks.ingest --payload small --signal traces --batch 512 --seconds 12 --runs 2 --no-embed
    python -m tests.benchmarks.ingest --rate 10000 --seconds 60 --runs 5

The receiver and the load generator are processes of their own on the same machine. A run's clock stops when the
last record can be queried; a run is void unless what was acknowledged is what is stored. ``make bench`` runs many
of these and the limits of the machine beside them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from receiver.signals import Signal
from tests.benchmarks.ingest_run import Plan, one_run
from tests.benchmarks.limits import column_limits
from tests.benchmarks.payload import PAYLOADS

_LIMIT_ROWS = 491_520


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payload", choices=PAYLOADS, default="realistic")
    parser.add_argument("--capture", type=Path, help="OTLP/JSON lines for the payload demo")
    parser.add_argument("--signal", choices=[signal.value for signal in Signal], default=Signal.TRACES.value)
    parser.add_argument("--transport", choices=("grpc", "http"), default="grpc")
    parser.add_argument("--batch", type=int, default=512, help="records in a request")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rate", type=float, default=0.0, help="records a second; 0: as fast as it answers")
    parser.add_argument(
        "--under-way", type=int, default=8, help="requests under way at a time, without --rate"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--embed", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--watch", action=argparse.BooleanOptionalAction, default=True, help="time to queryable"
    )
    parser.add_argument(
        "--limits", action=argparse.BooleanOptionalAction, default=True, help="measure ready columns first"
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="where the data directories are made")
    options = parser.parse_args()
    plan = Plan(
        signal=Signal(options.signal),
        payload=options.payload,
        transport=options.transport,
        batch=options.batch,
        seconds=options.seconds,
        rate=options.rate,
        under_way=options.under_way,
        embed=options.embed,
        watch=options.watch,
        capture=options.capture,
    )
    limit = None
    if options.limits:
        found = column_limits(plan.signal, plan.payload, _LIMIT_ROWS, options.folder, options.capture)
        print(json.dumps(found), flush=True)
        limit = found["best_rows_per_s"]
    for _ in range(options.runs):
        run = one_run(plan, options.folder)
        if limit:
            run["of_ready_columns"] = round(run["stored_per_s"] / limit, 3)
        print(json.dumps(run), flush=True)


if __name__ == "__main__":
    main()
