"""``make faults``: does every fault many times to real receivers and prints what it cost.

``--write`` puts the table into docs/guarantees.md, with the date and the machine. The exit code is 1 if
anything acknowledged was lost, anything stored twice, or another promise broken.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault, FaultNotPossibleError, FaultReport
from tests.faults.table import markdown_table

_GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"
_BEGIN, _END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def main() -> int:
    """Run what was asked for; return the exit code."""
    options = _options()
    chosen = [fault for fault in FAULTS if options.only is None or options.only in fault.name]
    if not chosen:
        print(f"no fault is named like {options.only!r}; there are:", *(f.name for f in FAULTS), sep="\n  ")
        return 2
    reports: list[tuple[str, FaultReport | str]] = []
    broken = False
    for fault in chosen:
        rounds = options.rounds or (fault.short_rounds if options.short else fault.long_rounds)
        print(f"{fault.name}: {rounds} times", file=sys.stderr, flush=True)
        try:
            report = _done(fault, rounds, options.seed)
        except FaultNotPossibleError as error:
            reports.append((fault.name, str(error)))
            continue
        except AssertionError as error:
            print(f"{fault.name}: a promise was broken: {error}", file=sys.stderr, flush=True)
            broken = True
            continue
        broken |= bool(report.lost or report.duplicated)
        reports.append((fault.name, report))
        print(f"  lost {report.lost}, duplicated {report.duplicated}", file=sys.stderr, flush=True)
    text = f"{_when_and_where(options.seed)}\n\n{markdown_table(reports)}"
    print(text)
    if options.write and not broken:
        _write(text)
    return int(broken)


def _done(fault: Fault, rounds: int, seed: int) -> FaultReport:
    with tempfile.TemporaryDirectory(prefix="otlp-receiver-fault-") as folder:
        return fault.run(rounds, Path(folder), random.Random(f"{seed} {fault.name}"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", help="faults whose name contains this")
    parser.add_argument("--rounds", type=int, help="how often each is done, instead of its own number")
    parser.add_argument("--short", action="store_true", help="as often as the test suite does it")
    parser.add_argument("--seed", type=int, default=1, help="another seed: other moments (default 1)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/guarantees.md")
    return parser.parse_args()


def _when_and_where(seed: int) -> str:
    today = dt.datetime.now(dt.UTC).date()
    return (
        f"Measured {today}, `make faults` with seed {seed}: {os.cpu_count()} cores, {platform.system()}"
        f" {platform.release().split('-')[0]}, Python {platform.python_version()}."
    )


def _write(text: str) -> None:
    page = _GUARANTEES.read_text(encoding="utf-8")
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        sys.exit(f"{_GUARANTEES} has lost its marks for the table")
    _GUARANTEES.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
