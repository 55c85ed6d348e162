"""``make soak``: a receiver under a steady load and steady churn; does what it uses settle, does every record count?

The exit code is 1 if something keeps growing, if a record is not accounted for, now or after a restart, or if a
client met what no client may meet. It asks nothing of the speed of the machine. Below ten minutes the bounds are wider, as caches still fill: a short
soak finds what grows fast, a long one the rest.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from receiver.signals import Signal
from tests.faults.soak_churn import Churn
from tests.faults.soak_samples import Samples, Settled, settled
from tests.support.receiver_process import ReceiverProcess

_SHORT_S = 600.0
_SHORT_SLACK = 4.0
_QUIET_S = 30.0
_RECEIVER = {
    "OTLP_RECEIVER_RETENTION__MAX_SIZE_BYTES": str(8 << 20),
    "OTLP_RECEIVER_RETENTION__INTERVAL_S": "2",
    "OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "5",
    "OTLP_RECEIVER_LOG__LEVEL": "warning",
}


def main() -> int:
    """Run from the command line; return the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="otlp-receiver-soak-") as folder:
        return soak(Path(folder), options.minutes * 60, pace_s=options.pace, seed=options.seed)


def soak(folder: Path, duration_s: float, *, pace_s: float, seed: int) -> int:
    """Do it in an empty folder, print what came of it and return the exit code."""
    environment = dict(_RECEIVER)
    short = duration_s < _SHORT_S
    if short:  # what is kept for ten minutes would grow for as long
        environment["OTLP_RECEIVER_SPOOL__DUPLICATE_WINDOW_S"] = str(max(duration_s / 6, 5.0))
    chance = random.Random(seed)
    with ExitStack() as end:
        receiver = ReceiverProcess(folder / "data", environment=environment)
        end.push(receiver)
        receiver.start()
        churn = Churn(receiver, chance, pace_s=pace_s)
        with Samples(receiver.pid, receiver.data_dir) as samples, churn:
            _wait(duration_s, churn)
        problems = [*churn.failures, *_unaccounted(receiver, churn.acknowledged.records)]
        if not problems:
            stopped = receiver.stop()
            if stopped.exit_code:
                problems.append(f"it stopped with {stopped.exit_code}: {stopped.output}")
            receiver.start()
            problems += [
                f"after a restart: {each}" for each in _unaccounted(receiver, churn.acknowledged.records)
            ]
        log = receiver.log
    found = [] if churn.failures else settled(samples.taken, slack=_SHORT_SLACK if short else 1.0)
    problems += [f"{each.measure} does not settle" for each in found if not each.holds]
    print(_report(duration_s, seed, churn, found))
    for problem in problems:
        print(f"BROKEN: {problem}")
    if problems:
        print(log, file=sys.stderr)
    return int(bool(problems))


def _wait(duration_s: float, churn: Churn) -> None:
    until = time.monotonic() + duration_s
    while time.monotonic() < until and not churn.failures:
        time.sleep(0.5)


def _unaccounted(receiver: ReceiverProcess, acknowledged: Mapping[Signal, int]) -> list[str]:
    """Return what of the conservation identity does not hold when everything has come to rest."""
    receiver.flush()
    deadline = time.monotonic() + _QUIET_S
    while problems := differences(_conservation(receiver), acknowledged):
        if time.monotonic() > deadline:  # a scrape may show figures of a moment ago
            return problems
        time.sleep(0.2)
    return []


def differences(states: Mapping[str, Counter[str]], acknowledged: Mapping[Signal, int]) -> list[str]:
    """Return where records are missing or too many, a sentence each.

    Args:
        states: Records by state of the conservation identity, and signal.
        acknowledged: Records that clients were told are accepted, each request counted once.
    """
    found = []
    for signal in Signal:
        accepted = states["accepted"][signal.value]
        elsewhere = {state: each[signal.value] for state, each in states.items() if state != "accepted"}
        if accepted != sum(elsewhere.values()):
            found.append(f"{signal}: {accepted} accepted are not {elsewhere}")
        once = accepted - elsewhere["duplicates"]
        if once != acknowledged[signal]:
            found.append(f"{signal}: {acknowledged[signal]} were acknowledged, {once} accepted once")
    return found


def _conservation(receiver: ReceiverProcess) -> dict[str, Counter[str]]:
    with urllib.request.urlopen(f"http://{receiver.query}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    states: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "otlp_receiver_conservation_records_total":
                states.setdefault(sample.labels["state"], Counter())[sample.labels["signal"]] += int(
                    sample.value
                )
    return states


def _report(duration_s: float, seed: int, churn: Churn, found: list[Settled]) -> str:
    today = dt.datetime.now(dt.UTC).date()
    done = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(churn.acknowledged.done.items()))
    machine = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]},"
        f" Python {platform.python_version()}"
    )
    lines = [
        f"Measured {today}, `make soak`, {duration_s / 60:g} minutes, seed {seed}: {machine}.",
        f"{sum(churn.acknowledged.records.values()):,} records acknowledged; {done}.",
        "",
        "| | 1st quarter | 2nd | 3rd | last | highest | growth an hour | allowed 2nd to last | settles |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for each in found:
        cells = [*each.quarters, each.highest, each.growth_per_hour, each.allowed]
        numbers = " | ".join(f"{cell:,.1f}" for cell in cells)
        lines.append(f"| {each.measure} | {numbers} | {'yes' if each.holds else 'NO'} |")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument(
        "--pace", type=float, default=0.05, help="seconds between two requests of a signal (default 0.05)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed: other values (default 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
