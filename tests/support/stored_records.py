"""What a receiver stored, read back through SQL, in the form in which others say what they sent.

The others: the interop clients (tests/interop/python_records.py) and :mod:`tests.support.plain_reading`. Equal JSON
text is equal telemetry: ``1`` and ``1.0`` differ, and so do ``0.0`` and ``-0.0``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from receiver.signals import Signal
from tests.support.receiver_process import ReceiverProcess

Record = dict[str, Any]


def texts(records: Sequence[Record]) -> list[str]:
    """Return one text per record, sorted: two lists of them are equal if the records are, types included."""
    return sorted(json.dumps(record, sort_keys=True, allow_nan=False) for record in records)


def stored_spans(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the spans of a service, or all."""
    return [_span(row) for row in _rows(receiver, "spans", _SPAN_COLUMNS, service)]


def stored_logs(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the log records of a service, or all."""
    return [_log(row) for row in _rows(receiver, "logs", _LOG_COLUMNS, service)]


def stored_points(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the data points of a service or all of them, of every type."""
    return [point for table in _POINT_TABLES for point in _points(receiver, table, service)]


def stored_numbers(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the data points of a service or all of them, of gauges and sums only: one question instead of four."""
    return _points(receiver, "metric_points", service)


def stored_counts(receiver: ReceiverProcess, service: str) -> dict[Signal, int]:
    """Return how many spans, points of gauges and sums, and log records a service has."""
    tables = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "logs"}
    of = "resource_id FROM resource_content WHERE service_name = '" + service + "'"
    counts = []
    for signal, table in tables.items():
        joined = f"{table} JOIN metrics USING (metric_id)" if signal is Signal.METRICS else table
        counts.append(f"(SELECT count(*) FROM {joined} WHERE resource_id IN (SELECT {of}))")
    (row,) = receiver.sql(f"SELECT {', '.join(counts)}")
    return dict(zip(tables, row, strict=True))


def spans_of_answer(answer: Record) -> list[Record]:
    """Return the spans of an answer to ``/traces/{trace_id}`` as far as a span says them itself."""
    found = []
    waiting = list(answer["roots"])
    while waiting:
        span = waiting.pop()
        waiting += span["children"]
        found.append(
            {
                "trace_id": span["trace_id"],
                "span_id": span["span_id"],
                "parent_span_id": span["parent_span_id"],
                "trace_state": span["trace_state"],
                "flags": span["flags"],
                "name": span["name"],
                "start": int(span["time_unix_nano"]),
                "end": int(span["end_time_unix_nano"]),
                "status_message": span["status_message"],
                "attributes": span["attributes"],
                "events": [
                    {"time": int(e["time_unix_nano"]), "name": e["name"], "attributes": e["attributes"]}
                    for e in span["events"]
                ],
                "links": [
                    {key: link[key] for key in ("trace_id", "span_id", "trace_state", "flags", "attributes")}
                    for link in span["links"]
                ],
            }
        )
    return found


_SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_span_id", "trace_state", "flags", "name", "kind", "start_time_unix_nano",
    "end_time_unix_nano", "status_code", "status_message", "attributes", "dropped_attributes_count",
    "dropped_events_count", "dropped_links_count", "events", "links",
)  # fmt: skip
_LOG_COLUMNS = (
    "time_unix_nano", "observed_time_unix_nano", "trace_id", "span_id", "flags", "severity_number", "severity_text",
    "event_name", "body", "body_type", "attributes",
)  # fmt: skip
_POINT_COLUMNS = ("attributes", "start_time_unix_nano", "time_unix_nano", "flags")
_METRIC_COLUMNS = ("name", "description", "unit", "type", "aggregation_temporality", "is_monotonic")
_ORIGIN = (
    "resource",
    "resource_schema_url",
    "scope_name",
    "scope_version",
    "scope_schema_url",
    "scope_attributes",
)


def _rows(receiver: ReceiverProcess, table: str, names: Sequence[str], service: str | None) -> list[Record]:
    """Return rows of a table, each with its resource and scope, a point also with its metric."""
    columns, source = [f"t.{name}" for name in names], f"FROM {table} t"
    if table in _POINT_TABLES:
        columns += [f"m.{name}" for name in _METRIC_COLUMNS]
        names = (*names, *_METRIC_COLUMNS)
        source += " JOIN metric_content m USING (metric_id)"
    where = "" if service is None else f"WHERE r.service_name = '{service}'"
    rows = receiver.sql(
        f"SELECT {', '.join(columns)}, r.attributes, r.schema_url, c.name, c.version, c.schema_url, c.attributes"
        f" {source} JOIN resource_content r USING (resource_id) JOIN scope_content c USING (scope_id) {where}"
    )
    return [dict(zip((*names, *_ORIGIN), row, strict=True)) for row in rows]


def _points(receiver: ReceiverProcess, table: str, service: str | None) -> list[Record]:
    columns, figures = _POINT_TABLES[table]
    rows = _rows(receiver, table, (*_POINT_COLUMNS, *columns), service)
    return [{**_point(row), **figures(row)} for row in rows]


def _span(row: Record) -> Record:
    return {
        "trace_id": UUID(row["trace_id"]).hex,
        "span_id": f"{row['span_id']:016x}",
        "parent_span_id": _span_id(row["parent_span_id"]),
        "trace_state": row["trace_state"],
        "flags": row["flags"],
        "name": row["name"],
        "kind": row["kind"],
        "start": row["start_time_unix_nano"],
        "end": row["end_time_unix_nano"],
        "status_code": row["status_code"],
        "status_message": row["status_message"],
        "attributes": json.loads(row["attributes"]),
        "dropped": [row[f"dropped_{what}_count"] for what in ("attributes", "events", "links")],
        "events": [
            {
                "time": event["time_unix_nano"],
                "name": event["name"],
                "attributes": json.loads(event["attributes"]),
            }
            for event in row["events"] or []
        ],
        "links": [
            {
                "trace_id": link["trace_id"],
                "span_id": link["span_id"],
                "trace_state": link["trace_state"],
                "flags": link["flags"],
                "attributes": json.loads(link["attributes"]),
            }
            for link in row["links"] or []
        ],
        **_origin(row),
    }


def _log(row: Record) -> Record:
    return {
        "time": row["time_unix_nano"],
        "observed": row["observed_time_unix_nano"],
        "trace_id": UUID(row["trace_id"]).hex if row["trace_id"] else None,
        "span_id": _span_id(row["span_id"]),
        "flags": row["flags"],
        "severity_number": row["severity_number"],
        "severity_text": row["severity_text"],
        "event_name": row["event_name"],
        "body": row["body"] if row["body_type"] == "string" else json.loads(row["body"] or "null"),
        "attributes": json.loads(row["attributes"]),
        **_origin(row),
    }


def _point(row: Record) -> Record:
    return {
        "name": row["name"],
        "description": row["description"],
        "unit": row["unit"],
        "type": row["type"],
        "temporality": row["aggregation_temporality"],
        "monotonic": row["is_monotonic"],
        "attributes": json.loads(row["attributes"]),
        "start": row["start_time_unix_nano"],
        "time": row["time_unix_nano"],
        "flags": row["flags"],
        "exemplars": [
            {
                "time": exemplar["time_unix_nano"],
                "value": _number(exemplar),
                "trace_id": exemplar["trace_id"],
                "span_id": exemplar["span_id"],
                "attributes": json.loads(exemplar["filtered_attributes"]),
            }
            for exemplar in row.get("exemplars") or []
        ],
        **_origin(row),
    }


def _single(row: Record) -> Record:
    return {"value": _number(row)}


def _histogram(row: Record) -> Record:
    return {key: row[key] for key in ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds")}


def _exponential(row: Record) -> Record:
    return {
        **{key: row[key] for key in ("count", "sum", "min", "max", "scale", "zero_count", "zero_threshold")},
        "positive": [row["positive_offset"], row["positive_bucket_counts"]],
        "negative": [row["negative_offset"], row["negative_bucket_counts"]],
    }


def _summary(row: Record) -> Record:
    quantiles = [[each["quantile"], each["value"]] for each in row["quantile_values"]]
    return {"count": row["count"], "sum": row["sum"], "quantiles": quantiles}


_POINT_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Record], Record]]] = {
    "metric_points": (("exemplars", "value_int", "value_double"), _single),
    "histogram_points": (
        ("exemplars", "count", "sum", "min", "max", "bucket_counts", "explicit_bounds"),
        _histogram,
    ),
    "exponential_histogram_points": (
        (
            "exemplars", "count", "sum", "min", "max", "scale", "zero_count", "zero_threshold", "positive_offset",
            "positive_bucket_counts", "negative_offset", "negative_bucket_counts",
        ),
        _exponential,
    ),
    "summary_points": (("count", "sum", "quantile_values"), _summary),
}  # fmt: skip


def _number(row: Record) -> int | float | None:
    found: int | float | None = row["value_int"] if row["value_int"] is not None else row["value_double"]
    return found


def _origin(row: Record) -> Record:
    return {
        "resource": json.loads(row["resource"]),
        "resource_schema_url": row["resource_schema_url"],
        "scope": {
            "name": row["scope_name"],
            "version": row["scope_version"],
            "schema_url": row["scope_schema_url"],
            "attributes": json.loads(row["scope_attributes"]),
        },
    }


def _span_id(value: int | None) -> str | None:
    return None if value is None else f"{value:016x}"
