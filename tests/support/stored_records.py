"""What a receiver stored, read back through SQL and written as the interop clients write what they sent
(tests/interop/python_records.py) and as :mod:`tests.support.plain_reading` reads it.

Equal JSON text is equal telemetry: ``1`` and ``1.0`` differ, and so do ``0.0`` and ``-0.0``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.support.receiver_process import ReceiverProcess

Record = dict[str, Any]


def texts(records: Sequence[Record]) -> list[str]:
    """Return one text per record, sorted: two lists of them are equal if the records are, types included."""
    return sorted(json.dumps(record, sort_keys=True, allow_nan=False) for record in records)


def stored_spans(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the spans of a service, or all."""
    names = [
        "trace_id", "span_id", "parent_span_id", "trace_state", "flags", "name", "kind", "start_time_unix_nano",
        "end_time_unix_nano", "status_code", "status_message", "attributes", "dropped_attributes_count",
        "dropped_events_count", "dropped_links_count", "events", "links",
    ]  # fmt: skip
    found = []
    for row in _rows(receiver, "spans", "resource_content r USING (resource_id)", names, service):
        found.append(
            {
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
        )
    return found


def stored_logs(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the log records of a service, or all."""
    names = [
        "time_unix_nano", "observed_time_unix_nano", "trace_id", "span_id", "flags", "severity_number", "severity_text",
        "event_name", "body", "body_type", "attributes",
    ]  # fmt: skip
    return [
        {
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
        for row in _rows(receiver, "logs", "resource_content r USING (resource_id)", names, service)
    ]


def stored_points(receiver: ReceiverProcess, service: str | None = None) -> list[Record]:
    """Return the data points of a service or all of them, of every type."""
    common = ["attributes", "start_time_unix_nano", "time_unix_nano", "flags", "exemplars"]
    distribution = [*common, "count", "sum", "min", "max"]
    found: list[Record] = []
    for row in _points(receiver, "metric_points", [*common, "value_int", "value_double"], service):
        value = row["value_int"] if row["value_int"] is not None else row["value_double"]
        found.append({**_common(row), "value": value})
    for row in _points(
        receiver, "histogram_points", [*distribution, "bucket_counts", "explicit_bounds"], service
    ):
        found.append(
            {
                **_common(row),
                **{key: row[key] for key in ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds")},
            }
        )
    names = [
        "scale", "zero_count", "zero_threshold", "positive_offset", "positive_bucket_counts", "negative_offset",
        "negative_bucket_counts",
    ]  # fmt: skip
    for row in _points(receiver, "exponential_histogram_points", [*distribution, *names], service):
        found.append(
            {
                **_common(row),
                **{key: row[key] for key in ("count", "sum", "min", "max", "scale", "zero_count", "zero_threshold")},
                "positive": [row["positive_offset"], row["positive_bucket_counts"]],
                "negative": [row["negative_offset"], row["negative_bucket_counts"]],
            }
        )
    for row in _points(
        receiver, "summary_points", [*common[:-1], "count", "sum", "quantile_values"], service
    ):
        found.append(
            {
                **_common(row),
                **{key: row[key] for key in ("count", "sum")},
                "quantiles": [[each["quantile"], each["value"]] for each in row["quantile_values"]],
            }
        )
    return found


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


def _rows(
    receiver: ReceiverProcess, table: str, resource: str, names: Sequence[str], service: str | None
) -> list[Record]:
    columns = ", ".join(f"t.{name}" for name in names)
    rows = receiver.sql(
        f"SELECT {columns}, r.attributes, r.schema_url, c.name, c.version, c.schema_url, c.attributes FROM {table} t"
        f" JOIN {resource} JOIN scope_content c USING (scope_id) {_of(service)}"
    )
    origin = ("resource", "resource_schema_url", "scope_name", "scope_version", "scope_schema_url", "scope_attributes")
    return [dict(zip((*names, *origin), row, strict=True)) for row in rows]


def _points(receiver: ReceiverProcess, table: str, names: Sequence[str], service: str | None = None) -> list[Record]:
    about = ("name", "description", "unit", "type", "aggregation_temporality", "is_monotonic")
    columns = ", ".join([*(f"t.{name}" for name in names), *(f"m.{name}" for name in about)])
    rows = receiver.sql(
        f"SELECT {columns}, r.attributes, r.schema_url, c.name, c.version, c.schema_url, c.attributes FROM {table} t"
        " JOIN metric_content m USING (metric_id) JOIN resource_content r USING (resource_id)"
        f" JOIN scope_content c USING (scope_id) {_of(service)}"
    )
    names = (
        *names, "name", "description", "unit", "type", "temporality", "monotonic", "resource", "resource_schema_url",
        "scope_name", "scope_version", "scope_schema_url", "scope_attributes",
    )  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in rows]


def _of(service: str | None) -> str:
    return "" if service is None else f"WHERE r.service_name = '{service}'"


def _common(row: Record) -> Record:
    return {
        **{key: row[key] for key in ("name", "description", "unit", "type", "temporality", "monotonic")},
        "attributes": json.loads(row["attributes"]),
        "start": row["start_time_unix_nano"],
        "time": row["time_unix_nano"],
        "flags": row["flags"],
        "exemplars": [
            {
                "time": exemplar["time_unix_nano"],
                "value": exemplar["value_int"] if exemplar["value_int"] is not None else exemplar["value_double"],
                "trace_id": exemplar["trace_id"],
                "span_id": exemplar["span_id"],
                "attributes": json.loads(exemplar["filtered_attributes"]),
            }
            for exemplar in row.get("exemplars") or []
        ],
        **_origin(row),
    }


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
