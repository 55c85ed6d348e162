"""Tables of results: medians of the runs of one plan, and ratios to the limits that belong to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.report import BEGIN, END, put_into
from tests.benchmarks.tables import markdown

_LATENCY = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}
_RUN = {
    "plan": "a", "signal": "traces", "payload": "realistic", "transport": "grpc", "batch": 512, "rate": 0.0, "seconds": 60.0,
    "acknowledged_per_s": 1024, "answer_ms": _LATENCY, "queryable_ms": _LATENCY, "cpu_s_per_million": 5.0,
    "stage_cpu_s_per_million": {"store": 2.0}, "cores": 0.5, "generator_cpu_us_per_record": 0.5,
    "idle_rss_mb": 100, "peak_rss_mb": 200, "bytes_per_record": 90, "texts": 7, "texts_waiting": 3,
}  # fmt: skip
_LIMITS: dict[str, Any] = {
    "machine": {
        "cores": 2, "processor": "P", "memory_gb": 4, "system": "Linux", "python": "3.11", "duckdb": "2.0",
        "date": "2026-11-21",
    },
    "disk": {"fsync_ms": _LATENCY, "write_mb_per_s": 500},
    "scheduler_ms": _LATENCY,
    "columns": [
        {"signal": "traces", "payload": "realistic", "best_rows_per_s": 4000, "by_commit_rows": {"16384": {"rows_per_s": 4000}}},
    ],
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with three runs at full speed, three by size and two at a steady rate."""
    runs = [
        *({**_RUN, "group": "throughput", "stored_per_s": rate} for rate in (1000, 3000, 2000)),
        *(
            {
                **_RUN,
                "group": "batch",
                "stored_per_s": 900,
                "empty_handler": {"requests_per_s": rate // 512, "records_per_s": rate},
            }
            for rate in (2048, 5120, 4096)
        ),
        *({**_RUN, "group": "steady", "stored_per_s": 10_000, "cores": cores} for cores in (0.25, 0.35)),
    ]
    for number, run in enumerate(runs):
        (tmp_path / f"run-{number:03d}.json").write_text(json.dumps(run), encoding="utf-8")
    (tmp_path / "limits.json").write_text(json.dumps(_LIMITS), encoding="utf-8")
    return tmp_path


def test_the_median_stands_beside_all_runs_and_the_ratio(results: Path) -> None:
    """Of 1000, 3000 and 2000 the median is 2000, half of the limit of 4000."""
    (row,) = [line for line in markdown(results).splitlines() if line.startswith("| realistic spans | 2,000")]
    assert "| 1,000 · 3,000 · 2,000 | 0.50 | 1.0 | 2.0 | 3.0 | 4.0 |" in row


def test_a_size_is_compared_with_the_empty_handler_by_turns(results: Path) -> None:
    """1024 spans a second acknowledged are a half, a fifth and a quarter of what the handler did right before."""
    assert "| gRPC | 512 | 2 | 8 | 0.25 (0.20 to 0.50) | 900 |" in markdown(results)


def test_every_run_at_a_steady_rate_is_printed_and_their_median(results: Path) -> None:
    """Two runs of 0.25 and 0.35 cores have a median of 0.30."""
    rows = [line for line in markdown(results).splitlines() if "realistic spans, " in line]
    assert [row.split("|")[8].strip() for row in rows] == ["0.25", "0.35", "0.30"]


def test_only_what_is_between_the_markers_is_replaced(results: Path) -> None:
    """The page before and after stays, and writing twice changes nothing."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_into(page, results, ["throughput.svg"])
    assert once.startswith(f"before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert "benchmarks/throughput.svg" in once
    assert put_into(once, results, ["throughput.svg"]) == once


def test_a_page_without_markers_is_refused(results: Path) -> None:
    """The report says what is missing instead of writing over something."""
    with pytest.raises(SystemExit, match="bench: begin"):
        put_into("no markers", results, [])
