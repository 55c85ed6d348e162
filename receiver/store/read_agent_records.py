"""Rows of spans, logs and number points, named by their places in the tables, as records of an agent's session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import duckdb

from receiver.questions import AgentRecord, Status
from receiver.signals import Signal
from receiver.store.read_values import ERROR_SEVERITY, json_value, span_id_text, trace_id_text

_STATUS = {0: Status.UNSET, 1: Status.OK, 2: Status.ERROR}
_SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_span_id", "name", "start_time_unix_nano", "end_time_unix_nano", "status_code",
    "status_message", "attributes", "events", "resource_id", "scope_id", "session_id",
)  # fmt: skip
_LOG_COLUMNS = (
    "time_unix_nano", "observed_time_unix_nano", "trace_id", "span_id", "severity_number", "event_name", "body",
    "body_type", "attributes", "resource_id", "scope_id", "session_id",
)  # fmt: skip
_POINT_COLUMNS = (
    "metric_id", "attributes", "start_time_unix_nano", "time_unix_nano", "value_int", "value_double", "session_id",
)  # fmt: skip

Row = dict[str, Any]


def read_records(
    cursor: duckdb.DuckDBPyConnection, rows: Mapping[str, Sequence[int]]
) -> dict[tuple[str, int], AgentRecord]:
    """Return the records by table and row.

    Args:
        cursor: In the transaction in which the rows were found: their numbers mean nothing in another.
        rows: Row ids by table: ``spans``, ``logs``, ``metric_points``.
    """
    read = {table: _rows(cursor, table, columns, rows.get(table, ())) for table, columns in _COLUMNS.items()}
    metrics = _metrics(cursor, {row["metric_id"] for row in read["metric_points"].values()})
    read["metric_points"] = {
        place: row | metrics[row["metric_id"]] for place, row in read["metric_points"].items()
    }
    everything = [row for table in read.values() for row in table.values()]
    resources = _resources(cursor, {row["resource_id"] for row in everything})
    scopes = _scopes(cursor, {row["scope_id"] for row in everything})
    found = {}
    for table, table_rows in read.items():
        make = _MAKERS[table]
        for place, row in table_rows.items():
            service, resource = resources.get(row["resource_id"], ("", {}))
            origin = {
                "session_id": row["session_id"],
                "service": service,
                "scope": scopes.get(row["scope_id"], ""),
                "resource": resource,
            }
            found[table, place] = make(row, origin)
    return found


def _rows(
    cursor: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], places: Sequence[int]
) -> dict[int, Row]:
    if not places:
        return {}
    cursor.execute(
        f"SELECT r.rowid, {', '.join(f'r.{column}' for column in columns)} FROM {table} r"
        " WHERE r.rowid IN (SELECT unnest(?::BIGINT[]))",
        [places],
    )
    return {place: dict(zip(columns, values, strict=True)) for place, *values in cursor.fetchall()}


def _metrics(cursor: duckdb.DuckDBPyConnection, ids: set[UUID]) -> dict[UUID, Row]:
    names = ("resource_id", "scope_id", "name", "aggregation_temporality")
    rows = cursor.execute(
        f"SELECT DISTINCT ON (metric_id) metric_id, {', '.join(names)} FROM metrics"
        " WHERE metric_id IN (SELECT unnest(?::UUID[]))",
        [list(ids)],
    ).fetchall()
    return {metric_id: dict(zip(names, values, strict=True)) for metric_id, *values in rows}


def _resources(cursor: duckdb.DuckDBPyConnection, ids: set[UUID]) -> dict[UUID, tuple[str, Row]]:
    rows = cursor.execute(
        "SELECT DISTINCT ON (resource_id) resource_id, service_name, attributes FROM resources"
        " WHERE resource_id IN (SELECT unnest(?::UUID[]))",
        [list(ids)],
    ).fetchall()
    return {resource_id: (service or "", _object(attributes)) for resource_id, service, attributes in rows}


def _scopes(cursor: duckdb.DuckDBPyConnection, ids: set[UUID]) -> dict[UUID, str]:
    rows = cursor.execute(
        "SELECT DISTINCT ON (scope_id) scope_id, name FROM scopes WHERE scope_id IN (SELECT unnest(?::UUID[]))",
        [list(ids)],
    ).fetchall()
    return dict(rows)


def _span(row: Row, origin: Row) -> AgentRecord:
    return AgentRecord(
        signal=Signal.TRACES,
        name=row["name"],
        time_ns=row["start_time_unix_nano"],
        end_ns=row["end_time_unix_nano"],
        trace_id=trace_id_text(row["trace_id"]) or "",
        span_id=span_id_text(row["span_id"]) or "",
        parent_span_id=span_id_text(row["parent_span_id"]) or "",
        status=_STATUS.get(row["status_code"], Status.UNSET),
        status_message=row["status_message"],
        attributes=_object(row["attributes"]),
        events=[
            {
                "name": event["name"],
                "time_unix_nano": event["time_unix_nano"],
                "attributes": _object(event["attributes"]),
            }
            for event in row["events"] or ()
        ],
        **origin,
    )


def _log(row: Row, origin: Row) -> AgentRecord:
    attributes = _object(row["attributes"])
    named = attributes.get("event.name")
    time_ns = row["time_unix_nano"] or row["observed_time_unix_nano"]
    return AgentRecord(
        signal=Signal.LOGS,
        name=row["event_name"] or (named if isinstance(named, str) else ""),
        time_ns=time_ns,
        end_ns=time_ns,
        trace_id=trace_id_text(row["trace_id"]) or "",
        span_id=span_id_text(row["span_id"]) or "",
        parent_span_id="",
        status=Status.ERROR if row["severity_number"] >= ERROR_SEVERITY else Status.UNSET,
        status_message="",
        attributes=attributes,
        body=row["body"] if row["body_type"] in ("string", None) else json_value(row["body"]),
        **origin,
    )


def _point(row: Row, origin: Row) -> AgentRecord:
    return AgentRecord(
        signal=Signal.METRICS,
        name=row["name"],
        time_ns=row["time_unix_nano"],
        end_ns=row["time_unix_nano"],
        trace_id="",
        span_id="",
        parent_span_id="",
        status=Status.UNSET,
        status_message="",
        attributes=_object(row["attributes"]),
        value=row["value_double"] if row["value_int"] is None else row["value_int"],
        start_time_ns=row["start_time_unix_nano"],
        aggregation_temporality=row["aggregation_temporality"],
        **origin,
    )


def _object(text: str) -> Row:
    value = json_value(text)
    return value if isinstance(value, dict) else {}


_COLUMNS = {"spans": _SPAN_COLUMNS, "logs": _LOG_COLUMNS, "metric_points": _POINT_COLUMNS}
_MAKERS: dict[str, Callable[[Row, Row], AgentRecord]] = {
    "spans": _span,
    "logs": _log,
    "metric_points": _point,
}
