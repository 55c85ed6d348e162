"""What a store costs as it grows: ingest of the last million, file, memory, start and questions at each size.

    python -m tests.benchmarks.growth [--sizes 1000000 10000000 50000000] [--turns 3] [--folder .] [--output growth]

Each size has a data directory of its own, filled (:mod:`tests.benchmarks.store_filler`) up to the last million. That
comes from the load generator, as fast as a real receiver answers, in turns: a receiver on an empty directory takes in a
share of the first million, then one on the filled directory an equal share of the last, and again, so that both
have the same hour of the machine. A receiver is measured when its readers know the places of all rows
(``otlp_receiver_rows_with_known_place``), alone. Reported are the median of the turns, and the ratio of each turn's
two; of the receiver's CPU time too, which a busy machine changes less, stage by stage. Writes ``OUTPUT.json`` and ``OUTPUT.md``. 50 million spans need about 12 GB of disk; each directory is deleted before
the next one is made.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks import queries
from tests.benchmarks.ingest_run import Generator, Plan
from tests.benchmarks.stage_cpu import StageCpu
from tests.benchmarks.store_filler import fill
from tests.support.receiver_process import ReceiverProcess

_LAST = 1_000_000
_PROBE_S = 5.0
_WARM_S = 1.0
_KNOWN_WITHIN_S = 300.0
_LOOK_S = 0.2
_KNOWN = "otlp_receiver_rows_with_known_place"
_NAMED = "tests.benchmarks.named_threads"
_TOTAL = "total"
_LEAST_CPU_S = 0.1


def one_size(folder: Path, spans: int, *, turns: int, embedded: int, rounds: int) -> dict[str, Any]:
    """Return the figures of a store of about so many spans."""
    filled = fill(folder, spans=max(spans - _LAST, 122_880), texts=100_000, hours=72.0, embedded=embedded)
    found: dict[str, Any] = {"filled": filled, "first": [], "last": []}
    with tempfile.TemporaryDirectory(dir=folder.parent) as empty:
        for turn in range(turns):
            with ReceiverProcess(Path(empty, "data"), module=_NAMED) as receiver:
                found["first"].append(_ingest_a_share(receiver, _LAST // turns))
                receiver.stop()
            started = time.perf_counter()
            with ReceiverProcess(folder, module=_NAMED) as receiver:
                opened = {"listening_s": round(time.perf_counter() - started, 2)}
                receiver.stats()
                opened["store_open_s"] = round(time.perf_counter() - started, 2)
                opened["idle_rss_mb"] = queries.memory_mb(receiver.pid, "VmRSS")
                if not turn:
                    found |= opened
                found["last"].append(_ingest_a_share(receiver, _LAST // turns))
                found["spans"] = receiver.stats()["records"]["spans"]
                found["peak_rss_mb"] = queries.memory_mb(receiver.pid, "VmHWM")
                receiver.stop()
    file_bytes = sum(each.stat().st_size for each in folder.glob("telemetry.duckdb*"))
    found["file_gb"] = round(file_bytes / 1e9, 2)
    found["queries"] = queries.run(folder, rounds=rounds, load_s=0.0, think_s=0.25)
    return found


def _ingest_a_share(receiver: ReceiverProcess, share: int) -> dict[str, Any]:
    """Return what a share of a million does to a receiver that has nothing else to do."""
    _ingested(receiver, _WARM_S)  # what is loaded with the first rows is no matter of size
    _wait_for_places(receiver)
    stored, seconds, cpu = 0, 0.0, Counter[str]()
    while stored < share:
        count, took, used = _ingested(receiver, _PROBE_S)
        stored, seconds = stored + count, seconds + took
        cpu.update(used)
    return {
        "spans_per_s": round(stored / seconds),
        "cpu_s_per_million": {stage: round(used / stored * 1e6, 2) for stage, used in sorted(cpu.items())},
    }


def _ingested(receiver: ReceiverProcess, seconds: float) -> tuple[int, float, dict[str, float]]:
    """Return how many spans were stored, the seconds until all could be queried, and CPU seconds by stage.

    Raises:
        SystemExit: What is stored is not what was acknowledged.
    """
    before = receiver.stats()["records"]["spans"]
    with Generator(Plan(seconds=seconds), receiver.grpc) as generator:
        cpu = StageCpu(receiver.pid)
        generator.begin()
        load = generator.result()
        receiver.flush()
        took, used = time.monotonic() - load["started"], cpu.seconds() | {_TOTAL: cpu.total()}
    stored: int = receiver.stats()["records"]["spans"] - before
    if stored != load["acknowledged_records"]:
        raise SystemExit(f"void: {load['acknowledged_records']} acknowledged, {stored} stored")
    return stored, took, used


def _wait_for_places(receiver: ReceiverProcess) -> None:
    """Return when the readers have learnt where all rows are.

    Raises:
        SystemExit: They do not get there.
    """
    records = receiver.stats()["records"]
    deadline = time.monotonic() + _KNOWN_WITHIN_S
    while _gauge(receiver, _KNOWN) < records["spans"] + records["log_records"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"void: places of rows are not known within {_KNOWN_WITHIN_S:.0f} s")
        time.sleep(_LOOK_S)


def _gauge(receiver: ReceiverProcess, name: str) -> float:
    with urllib.request.urlopen(f"http://{receiver.query}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def table(sizes: list[dict[str, Any]]) -> str:
    """Return all sizes side by side as Markdown."""
    rows: dict[str, list[str]] = {
        "ingest of the first million, spans/s": [_rates(each["first"]) for each in sizes],
        "ingest of the last million, spans/s": [_rates(each["last"]) for each in sizes],
        "last to first, turn by turn": [_ratios(each, _rate) for each in sizes],
        "CPU of the first million, s": [_cpu(each["first"]) for each in sizes],
        "CPU of the last million, s": [_cpu(each["last"]) for each in sizes],
        "CPU, last to first, turn by turn": [_ratios(each, _total) for each in sizes],
        "file, GB": [str(each["file_gb"]) for each in sizes],
        "resident idle, MB": [str(each["idle_rss_mb"]) for each in sizes],
        "resident peak of the ingest, MB": [str(each["peak_rss_mb"]) for each in sizes],
        "listening after, s": [str(each["listening_s"]) for each in sizes],
        "store open after, s": [str(each["store_open_s"]) for each in sizes],
    }
    for kind in sizes[0]["queries"]["questions"]:
        rows[f"{kind}, ms p50 (p95)"] = [
            f"{answer['p50_ms']} ({answer['p95_ms']})"
            for each in sizes
            for answer in [each["queries"]["questions"][kind]]
        ]
    rows["recall@10"] = [str(each["queries"]["inside"]["recall_at_10"]) for each in sizes]
    lines = [
        "| spans | " + " | ".join(f"{each['spans']:,}" for each in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items())])


def _rate(share: dict[str, Any]) -> float:
    return float(share["spans_per_s"])


def _total(share: dict[str, Any]) -> float:
    return float(share["cpu_s_per_million"][_TOTAL])


def _rates(shares: list[dict[str, Any]]) -> str:
    rates = [_rate(each) for each in shares]
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def _cpu(shares: list[dict[str, Any]]) -> str:
    """Return the median of the turns, and of each of its larger stages."""
    used = [each["cpu_s_per_million"] for each in shares]
    medians = {stage: statistics.median(each.get(stage, 0.0) for each in used) for stage in used[0]}
    total = medians.pop(_TOTAL)
    stages = (f"{stage} {value:.2f}" for stage, value in medians.items() if value >= _LEAST_CPU_S)
    return f"{total:.2f} ({', '.join(stages)})"


def _ratios(size: dict[str, Any], figure: Callable[[dict[str, Any]], float]) -> str:
    ratios = [figure(last) / figure(first) for first, last in zip(size["first"], size["last"], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--turns", type=int, default=3, help="of which each ingests a share of the million")
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    parser.add_argument("--embedded", type=int, default=2_000, help="texts that the real model embeds")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("growth"))
    options = parser.parse_args()
    sizes: list[dict[str, Any]] = []
    for spans in options.sizes:
        parent = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            data = parent / "data"
            sizes.append(
                one_size(data, spans, turns=options.turns, embedded=options.embedded, rounds=options.rounds)
            )
        finally:
            shutil.rmtree(parent)
        print(json.dumps(sizes[-1]), flush=True)
        options.output.with_suffix(".json").write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        options.output.with_suffix(".md").write_text(table(sizes) + "\n", encoding="utf-8")
    print(table(sizes))


if __name__ == "__main__":
    main()
