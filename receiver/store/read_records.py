"""Spans and log records as rows of an answer: which columns are read, and what they are called outside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import duckdb

from receiver.ports import Rows
from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.dimension_cache import RESOURCES, SCOPES
from receiver.store.idle_processor import processor_is_idle
from receiver.store.known_texts import NO_TEXTS, KnownTexts
from receiver.store.parsed_statements import parsed
from receiver.store.question_run import Beside
from receiver.store.read_filters import LOG_TIME, conditions
from receiver.store.read_values import (
    ERROR_SEVERITY,
    json_value,
    kind_text,
    moment,
    span_id_text,
    status_text,
    trace_id_text,
)
from receiver.times import duration_ms

_SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_span_id", "trace_state", "flags", "name", "kind", "start_time_unix_nano",
    "end_time_unix_nano", "status_code", "status_message", "attributes", "dropped_attributes_count", "events",
    "dropped_events_count", "links", "dropped_links_count", "resource_id", "scope_id",
)  # fmt: skip
_LOG_COLUMNS = (
    "time_unix_nano", "observed_time_unix_nano", "trace_id", "span_id", "flags", "severity_number",
    "severity_text", "event_name", "body", "body_type", "attributes", "dropped_attributes_count",
    "resource_id", "scope_id",
)  # fmt: skip
_SEVERAL = 4
"""Scattered records of which reading two halves at the same time gains more than it costs to plan a statement."""
_TEXTS = "SELECT text_id, text FROM texts WHERE text_id IN (SELECT unnest(?::UUID[]))"
TABLES = {Signal.TRACES: "spans", Signal.LOGS: "logs"}


def fetch_spans(
    cursor: duckdb.DuckDBPyConnection,
    where: str,
    values: list[Any],
    *,
    order: str = "",
    limit: int | None = None,
    known: KnownTexts = NO_TEXTS,
) -> Rows:
    """Return the spans ``r`` for which ``where`` holds; without a limit the earliest first."""
    rows = _fetch(cursor, "spans", where, values, order=order, limit=limit, known=known)
    return [_span(row) for row in rows]


def fetch_logs(
    cursor: duckdb.DuckDBPyConnection,
    where: str,
    values: list[Any],
    *,
    order: str = "",
    limit: int | None = None,
    known: KnownTexts = NO_TEXTS,
) -> Rows:
    """Return the log records ``r`` for which ``where`` holds; without a limit the earliest first."""
    rows = _fetch(cursor, "logs", where, values, order=order, limit=limit, known=known)
    return [_log(row) for row in rows]


def records_at(
    cursor: duckdb.DuckDBPyConnection,
    signal: Signal,
    rowids: list[int],
    *,
    known: KnownTexts = NO_TEXTS,
    beside: Beside | None = None,
) -> dict[int, dict[str, Any]]:
    """Return the records of these rows, by row; half of them are read beside if that pays."""
    table, answer = TABLES[signal], _span if signal is Signal.TRACES else _log
    where, ordered = "r.rowid IN (SELECT unnest(?::BIGINT[]))", sorted(rowids)
    if beside is None or len(ordered) < _SEVERAL or not processor_is_idle():
        rows = _raw(cursor, table, where, [ordered])
    else:
        half = len(ordered) // 2
        others = beside(lambda more: _raw(more, table, where, [ordered[half:]]))
        rows = _raw(cursor, table, where, [ordered[:half]]) + others()
    return {row["rowid"]: answer(row) for row in _with_names(cursor, rows, known)}


def newest_logs(cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int) -> Rows:
    """Return the log records that pass, newest first."""
    asked = conditions(filters, Signal.LOGS)
    return fetch_logs(cursor, asked.sql, asked.values, order=f"{LOG_TIME} DESC", limit=limit)


def dimensions(
    cursor: duckdb.DuckDBPyConnection, records: Rows
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the resources and the scopes that records name, by id; copies after a crash are equal."""
    resources = RESOURCES.rows(cursor, (UUID(record["resource_id"]) for record in records))
    scopes = SCOPES.rows(cursor, (UUID(record["scope_id"]) for record in records))
    return (
        {
            identity.hex: {
                "attributes": json_value(attributes),
                "dropped_attributes_count": dropped,
                "entity_refs": json_value(entities),
                "schema_url": schema_url,
            }
            for identity, (_, attributes, dropped, entities, schema_url) in resources.items()
        },
        {
            identity.hex: {
                "name": name,
                "version": version,
                "attributes": json_value(attributes),
                "dropped_attributes_count": dropped,
                "schema_url": schema_url,
            }
            for identity, (name, version, attributes, dropped, schema_url) in scopes.items()
        },
    )


def _fetch(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    where: str,
    values: list[Any],
    *,
    order: str,
    limit: int | None,
    known: KnownTexts,
) -> list[dict[str, Any]]:
    if limit is None:  # DuckDB takes a millisecond to sort the spans of a trace
        return sorted(_rows(cursor, table, where, values, known), key=_moment_and_place)
    ordered = f" ORDER BY {order}, r.rowid" if order else ""
    # Narrow columns first: sorting whole records costs many times the memory.
    chosen = f"SELECT r.rowid FROM {table} r WHERE {where}"
    if order:
        chosen += f" ORDER BY {order}"
    return _rows(cursor, table, f"r.rowid IN ({chosen} LIMIT ?){ordered}", [*values, limit], known)


def _rows(
    cursor: duckdb.DuckDBPyConnection, table: str, where: str, values: list[Any], known: KnownTexts
) -> list[dict[str, Any]]:
    """Return whole rows, with the service and the text that they name."""
    return _with_names(cursor, _raw(cursor, table, where, values), known)


def _raw(
    cursor: duckdb.DuckDBPyConnection, table: str, where: str, values: list[Any]
) -> list[dict[str, Any]]:
    columns = (*(_SPAN_COLUMNS if table == "spans" else _LOG_COLUMNS), "text_id", "rowid")
    asked = f"SELECT {', '.join(f'r.{each}' for each in columns)} FROM {table} r WHERE {where}"
    rows = cursor.execute(parsed(cursor, asked), values).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _with_names(
    cursor: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], known: KnownTexts
) -> list[dict[str, Any]]:
    resources = RESOURCES.rows(cursor, (row["resource_id"] for row in rows))
    texts = _texts(cursor, rows, known)
    for row in rows:
        row["service"] = resources.get(row["resource_id"], (None,))[0]
        row["text"] = texts.get(row["text_id"])
    return rows


def _texts(
    cursor: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], known: KnownTexts
) -> dict[UUID, str]:
    """Return the texts that rows name, by id. Should one stand there twice after a crash, its copies are equal.

    A join costs twice as much for ten rows, and reads the whole table of texts.
    """
    ids = {row["text_id"] for row in rows if row["text_id"] is not None}
    texts = known.texts(ids)
    if missing := list(ids - texts.keys()):
        texts |= cursor.execute(parsed(cursor, _TEXTS), [missing]).fetchall()
    return texts


def _moment_and_place(row: dict[str, Any]) -> tuple[int, int]:
    if "start_time_unix_nano" in row:
        return row["start_time_unix_nano"], row["rowid"]
    return row["time_unix_nano"] or row["observed_time_unix_nano"], row["rowid"]


def _span(row: dict[str, Any]) -> dict[str, Any]:
    start, end = row["start_time_unix_nano"], row["end_time_unix_nano"]
    return {
        "signal": Signal.TRACES.value,
        "trace_id": trace_id_text(row["trace_id"]),
        "span_id": span_id_text(row["span_id"]),
        "parent_span_id": span_id_text(row["parent_span_id"]),
        "service": row["service"],
        "name": row["name"],
        "kind": kind_text(row["kind"]),
        **moment("time", start),
        **moment("end_time", end),
        "duration_ms": duration_ms(start, end),
        "status": status_text(row["status_code"]),
        "status_message": row["status_message"],
        "text": row["text"],
        "attributes": json_value(row["attributes"]),
        "dropped_attributes_count": row["dropped_attributes_count"],
        "events": [_event(event) for event in row["events"] or ()],
        "dropped_events_count": row["dropped_events_count"],
        "links": [{**link, "attributes": json_value(link["attributes"])} for link in row["links"] or ()],
        "dropped_links_count": row["dropped_links_count"],
        "trace_state": row["trace_state"],
        "flags": row["flags"],
        "resource_id": row["resource_id"].hex,
        "scope_id": row["scope_id"].hex,
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": event["name"],
        **moment("time", event["time_unix_nano"]),
        "attributes": json_value(event["attributes"]),
        "dropped_attributes_count": event["dropped_attributes_count"],
    }


def _log(row: dict[str, Any]) -> dict[str, Any]:
    body = row["body"] if row["body_type"] in ("string", None) else json_value(row["body"])
    return {
        "signal": Signal.LOGS.value,
        "trace_id": trace_id_text(row["trace_id"]),
        "span_id": span_id_text(row["span_id"]),
        "service": row["service"],
        "name": row["event_name"],
        **moment("time", row["time_unix_nano"] or row["observed_time_unix_nano"]),
        **moment("observed_time", row["observed_time_unix_nano"]),
        "duration_ms": None,
        "status": "error" if row["severity_number"] >= ERROR_SEVERITY else "unset",
        "severity_number": row["severity_number"],
        "severity_text": row["severity_text"],
        "body": body,
        "body_type": row["body_type"],
        "text": row["text"],
        "attributes": json_value(row["attributes"]),
        "dropped_attributes_count": row["dropped_attributes_count"],
        "flags": row["flags"],
        "resource_id": row["resource_id"].hex,
        "scope_id": row["scope_id"].hex,
    }
