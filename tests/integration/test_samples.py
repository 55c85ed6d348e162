"""Sample files of other projects, and the OpenTelemetry demo's capture: stored exactly, or refused.

The table of outcomes was written from OTLP's rules and this project's before anything was sent. The files are
in a folder beside the checkout and no part of it; where it is absent these tests are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.plain_reading import json_of, logs_of, points_of, spans_of
from tests.support.receiver_process import REPOSITORY, ReceiverProcess, Sent
from tests.support.stored_records import Record, stored_logs, stored_points, stored_spans, texts

FOLDER = REPOSITORY.parent / "shared" / "otlp-samples"
CAPTURE = FOLDER / "otel-tui" / "test_data.json"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder ../shared/otlp-samples is not there")

TRACES, METRICS, LOGS = "traces", "metrics", "logs"
EXPECTED: dict[str, tuple[str, str]] = {
    # File: signal, and one outcome per request in it, in this order (what is sent twice is found by it).
    #   3     stored: three records, and the answer says nothing (C3)
    #   3!    stored, with a warning (C6): ids that are not hex in a log record (D2), no temporality (D11)
    #   2-1   two stored, one rejected and counted (C4): a span's id that is not 16 or 8 bytes of hex (D1, J1)
    #   400   refused as a whole: no JSON, or not of OTLP's shape (H10, J2, J9)
    #   =     the same bytes as before: taken for a retry, nothing is stored twice, and the answer says so
    #   *n    n times
    "duckdb-otlp/empty.jsonl": (TRACES, "400"),
    "duckdb-otlp/logs_document.json": (LOGS, "1"),
    "duckdb-otlp/logs_nulls.jsonl": (LOGS, "1*3"),
    "duckdb-otlp/logs_simple.jsonl": (LOGS, "1*3"),
    "duckdb-otlp/malformed.jsonl": (TRACES, "0 400 0-1 400"),
    "duckdb-otlp/metrics_all_types.jsonl": (METRICS, "1*2 1!*2 1"),
    "duckdb-otlp/metrics_exp_histogram_ndjson.jsonl": (METRICS, "="),
    "duckdb-otlp/metrics_histogram_ndjson.jsonl": (METRICS, "="),
    "duckdb-otlp/metrics_nulls.jsonl": (METRICS, "1*3"),
    "duckdb-otlp/metrics_optional_fields.jsonl": (METRICS, "1!*2 1"),
    "duckdb-otlp/metrics_simple.jsonl": (METRICS, "1*3"),
    "duckdb-otlp/metrics_summary_only.jsonl": (METRICS, "1*2"),
    "duckdb-otlp/metrics_temporality_strings.jsonl": (METRICS, "1"),
    "duckdb-otlp/multifile_malformed_traces.jsonl": (TRACES, "400"),
    "duckdb-otlp/multifile_valid_traces.jsonl": (TRACES, "1"),
    "duckdb-otlp/otlp_logs.pb": (LOGS, "1"),
    "duckdb-otlp/otlp_metrics.pb": (METRICS, "1"),
    "duckdb-otlp/otlp_traces.pb": (TRACES, "1"),
    "duckdb-otlp/single_trace.jsonl": (TRACES, "1"),
    "duckdb-otlp/traces_deep_nesting.jsonl": (TRACES, "1"),
    "duckdb-otlp/traces_large_attrs.jsonl": (TRACES, "1"),
    "duckdb-otlp/traces_nulls.jsonl": (TRACES, "1*3"),
    "duckdb-otlp/traces_simple.jsonl": (TRACES, "1*3"),
    "duckdb-otlp/ts_boundary_logs.jsonl": (LOGS, "1"),
    "duckdb-otlp/ts_overflow_logs.jsonl": (LOGS, "1"),
    "duckdb-otlp/whitespace.jsonl": (LOGS, "400*3"),
    "otlp2parquet/invalid/log_invalid_severity.json": (LOGS, "400"),
    "otlp2parquet/invalid/malformed.json": (LOGS, "400"),
    "otlp2parquet/invalid/metrics_invalid_temporality.json": (METRICS, "400"),
    "otlp2parquet/invalid/trace_invalid_base64.json": (TRACES, "0-1"),
    "otlp2parquet/invalid/trace_invalid_kind.json": (TRACES, "400"),
    "otlp2parquet/invalid/trace_mixed_encoding.json": (TRACES, "0-1"),
    "otlp2parquet/log.json": (LOGS, "1!"),
    "otlp2parquet/logs.jsonl": (
        LOGS,
        (  # 31 of 81 name a trace, in base64
            "1! 1 1! 1 1! 1 1!*2 1 1! 1 1! 1 1! 1*2 1! 1*7 1!*2 1*13 1!*3 1*4 1! 1*3 1! 1 1! 1 1! 1*2 1! 1*5 1! 1*2"
            " 1!*5 1 1! 1*2 1!*5 1"
        ),
    ),
    "otlp2parquet/logs.pb": (LOGS, "81"),
    "otlp2parquet/metrics_exponential_histogram.json": (METRICS, "2"),
    "otlp2parquet/metrics_exponential_histogram.jsonl": (METRICS, "2"),
    "otlp2parquet/metrics_exponential_histogram.pb": (METRICS, "2"),
    "otlp2parquet/metrics_gauge.json": (METRICS, "3"),
    "otlp2parquet/metrics_gauge.jsonl": (METRICS, "3"),
    "otlp2parquet/metrics_gauge.pb": (METRICS, "3"),
    "otlp2parquet/metrics_histogram.json": (METRICS, "3"),
    "otlp2parquet/metrics_histogram.jsonl": (METRICS, "3"),
    "otlp2parquet/metrics_histogram.pb": (METRICS, "3"),
    "otlp2parquet/metrics_mixed.json": (METRICS, "3"),
    "otlp2parquet/metrics_mixed.jsonl": (METRICS, "3"),
    "otlp2parquet/metrics_mixed.pb": (METRICS, "3"),
    "otlp2parquet/metrics_sum.json": (METRICS, "4"),
    "otlp2parquet/metrics_sum.jsonl": (METRICS, "4"),
    "otlp2parquet/metrics_sum.pb": (METRICS, "4"),
    "otlp2parquet/metrics_summary.json": (METRICS, "2"),
    "otlp2parquet/metrics_summary.jsonl": (METRICS, "2"),
    "otlp2parquet/metrics_summary.pb": (METRICS, "2"),
    "otlp2parquet/trace.json": (TRACES, "0-2"),
    "otlp2parquet/trace.pb": (TRACES, "2"),
    "otlp2parquet/traces.jsonl": (TRACES, "0-1*19"),
    "otlp2parquet/traces.pb": (TRACES, "19"),
    "proto-examples/events.json": (LOGS, "1"),
    "proto-examples/historic-metrics.protobuf-bin": (METRICS, "3"),
    "proto-examples/historic-trace.protobuf-bin": (TRACES, "1"),
    "proto-examples/logs.json": (LOGS, "1"),
    "proto-examples/metrics.json": (METRICS, "4"),
    "proto-examples/metrics.pre-748-uint64-as-numbers.json": (METRICS, "4"),
    "proto-examples/trace.json": (TRACES, "1"),
}
_MESSAGES: dict[str, type[Message]] = {
    TRACES: ExportTraceServiceRequest,
    METRICS: ExportMetricsServiceRequest,
    LOGS: ExportLogsServiceRequest,
}
_READERS = {TRACES: spans_of, METRICS: points_of, LOGS: logs_of}


@dataclass
class Samples:
    """All files, sent to one receiver."""

    receiver: ReceiverProcess
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    """What became of each request, by file, in the table's words."""
    stored: dict[str, list[Record]] = field(default_factory=lambda: {TRACES: [], METRICS: [], LOGS: []})
    """What a plain reading finds in the requests that were accepted."""


def _requests(path: Path) -> list[bytes]:
    body = path.read_bytes()
    if path.suffix == ".jsonl":
        return body.removesuffix(b"\n").split(b"\n")
    return [body]


def _expanded(notation: str) -> list[str]:
    found: list[str] = []
    for each in notation.split():
        outcome, _, times = each.partition("*")
        found += [outcome] * int(times or 1)
    return found


def _outcome(answer: Sent, signal: str, records: int, *, is_json: bool) -> str:
    """Return the table's word for an answer to a request of so many records."""
    if answer.status != 200:
        return str(answer.status)
    if is_json:
        partial = answer.json.get("partialSuccess", {})
        message = partial.get("errorMessage", "")
        counts = [int(value) for key, value in partial.items() if key.startswith("rejected")]
    else:
        assert not answer.body, "no protobuf sample is expected to have a partial success"
        message, counts = "", []
    rejected = sum(counts)
    if "identical to a request accepted" in message:
        return "="
    assert bool(message) >= bool(rejected), f"{rejected} {signal} rejected without a word"
    return f"{records - rejected}-{rejected}" if rejected else f"{records}{'!' if message else ''}"


def _number_of_records(request: Any) -> int:
    if isinstance(request, dict):
        return sum(
            len(value) if key in ("spans", "logRecords", "dataPoints") else _number_of_records(value)
            for key, value in request.items()
        )
    return sum(map(_number_of_records, request)) if isinstance(request, list) else 0


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    """Send every file of the table, in its order, and return what became of them."""
    with ReceiverProcess(tmp_path_factory.mktemp("samples") / "data") as receiver:
        found = Samples(receiver)
        for name, (signal, _) in EXPECTED.items():
            path = FOLDER / name
            is_json = path.suffix in (".json", ".jsonl")
            for body in _requests(path):
                kind = "application/json" if is_json else "application/x-protobuf"
                answer = receiver.send(f"/v1/{signal}", body, kind)
                request: Any = {}
                if answer.status == 200:
                    request = json.loads(body) if is_json else json_of(_MESSAGES[signal].FromString(body))
                outcome = _outcome(answer, signal, _number_of_records(request), is_json=is_json)
                found.outcomes.setdefault(name, []).append(outcome)
                if answer.status == 200 and outcome != "=":
                    found.stored[signal] += _READERS[signal](request)
        receiver.flush()
        yield found


def test_the_table_names_every_file() -> None:
    """No file of the folder is forgotten; protobuf's text format and the READMEs are not requests."""
    there = {
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix not in (".md", ".protobuf-text")
    }
    assert there - {str(CAPTURE.relative_to(FOLDER))} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_is_answered_as_the_rules_say(samples: Samples, name: str) -> None:
    """Each request of the file is stored, rejected in part, refused or found to be a repetition."""
    assert samples.outcomes[name] == _expanded(EXPECTED[name][1])


def test_the_counts_are_those_of_the_table(samples: Samples) -> None:
    """The receiver holds as many records of each signal as the table says, and has set none aside."""
    wanted = dict.fromkeys((TRACES, METRICS, LOGS), 0)
    for signal, notation in EXPECTED.values():
        wanted[signal] += sum(
            int(found[0])
            for each in _expanded(notation)
            if each != "400" and (found := re.match(r"\d+", each))
        )
    stats = samples.receiver.stats()
    assert stats["records"] == {
        "spans": wanted[TRACES],
        "metric_points": wanted[METRICS],
        "log_records": wanted[LOGS],
    }
    assert stats["quarantine"]["requests"] == 0


def test_every_record_is_the_one_of_its_file(samples: Samples) -> None:
    """Every field of every stored record equals what a plain reading finds in the file."""
    assert texts(stored_spans(samples.receiver)) == texts(samples.stored[TRACES])
    assert texts(stored_logs(samples.receiver)) == texts(samples.stored[LOGS])
    assert texts(stored_points(samples.receiver)) == texts(samples.stored[METRICS])


def test_the_demo_capture_is_stored_exactly(tmp_path: Path) -> None:
    """547 spans, 23 log records and 4,551 points over HTTP: each as the file has it, nothing set aside."""
    spans, logs, points = [], [], []
    with ReceiverProcess(tmp_path / "data") as receiver:
        for line in CAPTURE.read_bytes().splitlines():
            request = json.loads(line)
            signal = {"resourceSpans": TRACES, "resourceLogs": LOGS, "resourceMetrics": METRICS}[
                next(iter(request))
            ]
            answer = receiver.send(f"/v1/{signal}", line)
            assert (answer.status, answer.json) == (200, {})
            spans += spans_of(request)
            logs += logs_of(request)
            points += points_of(request)
        receiver.flush()
        stats = receiver.stats()
        assert stats["records"] == {"spans": 547, "log_records": 23, "metric_points": 4551}
        assert stats["quarantine"]["requests"] == 0
        assert texts(stored_spans(receiver)) == texts(spans)
        assert texts(stored_logs(receiver)) == texts(logs)
        assert texts(stored_points(receiver)) == texts(points)
