"""The results of a suite as Markdown tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Run = dict[str, Any]
_PLACES = ("p50", "p95", "p99", "max")


def runs_of(results: Path, group: str) -> list[Run]:
    """Return the runs of a group, in their order."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("run-*.json"))]
    return [run for run in runs if run["group"] == group]


def limits_of(results: Path) -> dict[str, Any]:
    """Return the limits of the machine."""
    found: dict[str, Any] = json.loads((results / "limits.json").read_text(encoding="utf-8"))
    return found


def by_plan(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs of each plan together."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run["plan"], []).append(run)
    return list(found.values())


def median(runs: Sequence[Run], *path: str) -> float:
    """Return the median of a figure, which a path of keys leads to; 0 where a run has none."""
    return statistics.median(_figure(run, path) for run in runs)


def _figure(run: Run, path: Sequence[str]) -> float:
    found: Any = run
    for key in path:
        found = found.get(key, {})
    return float(found or 0.0)


def column_limit(limits: dict[str, Any], run: Run) -> float | None:
    """Return the rate of ready columns for what a run stored; None where it was not measured."""
    for found in limits["columns"]:
        if (found["signal"], found["payload"]) == (run["signal"], run["payload"]):
            return float(found["best_rows_per_s"])
    return None


def markdown(results: Path) -> str:
    """Return all tables."""
    limits = limits_of(results)
    parts = [
        _machine(limits),
        (
            "### As fast as it answers\n\n"
            "512 records a request, 8 requests under way. *Stored* counts until the last record can be queried; *ratio* is"
            " its share of what the storage engine does with ready columns in the same run of the benchmark."
        ),
        _throughput(limits, runs_of(results, "throughput")),
        "CPU seconds a million records, by stage; those of the embedding workers stand beside them.",
        _stages(runs_of(results, "throughput")),
        (
            "### By size of request\n\n"
            "Realistic spans, as fast as it answers; 64 requests under way up to 10 spans, else 8."
        ),
        _batches(runs_of(results, "batch")),
        (
            "### At a steady rate\n\n"
            "10,000 records a second, 512 a request, open loop: a request is due at a fixed time and its latency counts"
            " from there. *Queryable* is the time from the acknowledgement; it is asked every 0.2 s, which is in it."
        ),
        _steady(limits, runs_of(results, "steady")),
        "### Limits of the machine",
        _limits(limits),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(limits: dict[str, Any]) -> str:
    of = limits["machine"]
    return (
        f"Measured {of['date']}: {of['cores']} cores ({of['processor']}), {of['memory_gb']} GB, {of['system']},"
        f" Python {of['python']}, DuckDB {of['duckdb']}; the load generator is on the same cores."
    )


def _throughput(limits: dict[str, Any], runs: list[Run]) -> str:
    rows = []
    for some in by_plan(runs):
        first, limit = some[0], column_limit(limits, some[0])
        stored = median(some, "stored_per_s")
        rows.append(
            [
                _what(first),
                f"{stored:,.0f}",
                " · ".join(f"{run['stored_per_s']:,}" for run in some),
                f"{stored / limit:.2f}" if limit else "",
                *_latencies(some, "answer_ms"),
                f"{median(some, 'peak_rss_mb'):.0f}",
                f"{median(some, 'bytes_per_record'):.0f}",
                f"{median(some, 'texts_waiting'):,.0f} of {median(some, 'texts'):,.0f}",
            ]
        )
    return _table(
        [
            "records", "stored/s", "of runs", "ratio", *(f"answer {place}, ms" for place in _PLACES),
            "peak RSS, MB", "bytes/record on disk", "texts that wait for a vector",
        ],
        rows,
    )  # fmt: skip


def _stages(runs: list[Run]) -> str:
    stages = sorted({stage for run in runs for stage in run["stage_cpu_s_per_million"]})
    rows = [
        [
            _what(some[0]),
            f"{median(some, 'cpu_s_per_million'):.1f}",
            *(f"{median(some, 'stage_cpu_s_per_million', stage):.1f}" for stage in stages),
            f"{median(some, 'generator_cpu_us_per_record'):.2f}",
        ]
        for some in by_plan(runs)
    ]
    return _table(["records", "receiver", *stages, "load generator"], rows)


def _batches(runs: list[Run]) -> str:
    rows = []
    for some in by_plan(runs):
        first = some[0]
        stored = median(some, "stored_per_s")
        empty = [run for run in some if "empty_handler" in run]
        acknowledged = median(some, "acknowledged_per_s")
        rows.append(
            [
                _transport(first),
                f"{first['batch']:,}",
                f"{acknowledged / first['batch']:,.0f}",
                f"{median(empty, 'empty_handler', 'requests_per_s'):,.0f}" if empty else "",
                _of_empty_handler(empty) if empty else "",
                f"{stored:,.0f}",
                *_latencies(some, "answer_ms"),
                f"{median(some, 'cpu_s_per_million'):.1f}",
            ]
        )
    header = [
        "transport", "records a request", "requests/s", "an empty handler's", "ratio, by turns", "stored records/s",
        *(f"answer {place}, ms" for place in _PLACES), "CPU s per million",
    ]  # fmt: skip
    return _table(header, rows)


def _of_empty_handler(runs: list[Run]) -> str:
    """Return the median, lowest and highest of what each run answered beside the empty handler right before it."""
    ratios = sorted(run["acknowledged_per_s"] / run["empty_handler"]["records_per_s"] for run in runs)
    middle = f"{statistics.median(ratios):.2f}"
    return middle if len(ratios) == 1 else f"{middle} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _steady(limits: dict[str, Any], runs: list[Run]) -> str:
    header = [
        "records", *(f"answer {place}, ms" for place in _PLACES), "queryable p50, ms", "queryable p99, ms", "cores",
        "idle RSS, MB", "peak RSS, MB",
    ]  # fmt: skip
    rows = []
    for some in by_plan(runs):
        for number, run in enumerate(some, 1):
            rows.append([f"{_what(run)}, {run['seconds']:.0f} s, run {number}", *_steady_row([run])])
        if len(some) > 1:
            rows.append([f"**{_what(some[0])}, median of {len(some)}**", *_steady_row(some)])
    sync = limits["disk"]["fsync_ms"]["p99"]
    note = f"A sync of the disk takes {limits['disk']['fsync_ms']['p50']} ms (p99 {sync} ms)."
    return f"{_table(header, rows)}\n\n{note}" if rows else ""


def _steady_row(runs: list[Run]) -> list[str]:
    return [
        *_latencies(runs, "answer_ms"),
        *(f"{median(runs, 'queryable_ms', place):,.0f}" for place in ("p50", "p99")),
        f"{median(runs, 'cores'):.2f}",
        f"{median(runs, 'idle_rss_mb'):.0f}",
        f"{median(runs, 'peak_rss_mb'):.0f}",
    ]


def _limits(limits: dict[str, Any]) -> str:
    columns = _table(
        ["ready columns into DuckDB, rows/s", *(f"{int(size):,} a commit" for size in _commit_sizes(limits))],
        [
            [_what(found), *(f"{each['rows_per_s']:,}" for each in found["by_commit_rows"].values())]
            for found in limits["columns"]
        ],
    )
    sync, late = limits["disk"]["fsync_ms"], limits["scheduler_ms"]
    lines = [
        f"- fsync of 4 KiB: p50 {sync['p50']} ms, p99 {sync['p99']} ms; writing {limits['disk']['write_mb_per_s']:,} MB/s.",
        f"- A sleep of 1 ms ends {late['p50']} ms late (p99 {late['p99']} ms, max {late['max']} ms).",
    ]
    return columns + "\n\n" + "\n".join(lines)


def _commit_sizes(limits: dict[str, Any]) -> list[str]:
    return list(limits["columns"][0]["by_commit_rows"])


def _latencies(runs: list[Run], key: str) -> list[str]:
    return [f"{median(runs, key, place):.1f}" for place in _PLACES]


def _what(run: Run) -> str:
    noun = {"traces": "spans", "logs": "log records", "metrics": "data points"}[run["signal"]]
    return f"{run['payload']} {noun}" + (", HTTP" if run.get("transport") == "http" else "")


def _transport(run: Run) -> str:
    return {"grpc": "gRPC", "http": "HTTP"}[str(run["transport"])]


def _table(header: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
