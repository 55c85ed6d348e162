"""All records of a trace, and what the spans of some traces say in short."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import duckdb

from receiver.ports import Rows
from receiver.questions import TraceRecords
from receiver.signals import Signal
from receiver.store.known_texts import KnownTexts
from receiver.store.parsed_statements import parsed
from receiver.store.read_filters import LOG_TIME
from receiver.store.read_places import candidates
from receiver.store.read_records import TABLES, dimensions, fetch_logs, fetch_spans
from receiver.store.read_values import json_value
from receiver.store.row_places import RowPlaces

_NEAR_ROWS = 8192
_FEW_ROWS = 1000
"""So many whole records may be sorted."""


def records_of_trace(
    cursor: duckdb.DuckDBPyConnection,
    trace_id: UUID,
    *,
    limit: int,
    places: Mapping[Signal, RowPlaces],
    known: KnownTexts,
) -> TraceRecords:
    """Return the spans and log records of a trace, earliest first, with their resources and scopes."""

    def fetched(signal: Signal, fetch: Callable[..., Rows], order: str) -> Rows:
        mine, values = "r.trace_id = ?", list[Any]([trace_id])
        rows = candidates(cursor, signal, places[signal], "trace_id", [trace_id])
        if rows is None:  # narrow columns first: most traces have no log records
            everywhere = parsed(cursor, f"SELECT r.rowid FROM {TABLES[signal]} r WHERE {mine}")
            rows = cursor.execute(everywhere, values).fetchnumpy()["rowid"]
        if not len(rows):
            return []
        first, last = int(rows.min()), int(rows.max())
        if last - first < _NEAR_ROWS:  # as most traces' are: a range costs half of what a join does
            mine, values = f"r.rowid >= ? AND r.rowid <= ? AND {mine}", [first, last, trace_id]
        else:
            mine, values = f"r.rowid IN (SELECT unnest(?::BIGINT[])) AND {mine}", [rows, trace_id]
        if len(rows) <= min(limit, _FEW_ROWS):
            return fetch(cursor, mine, values, known=known)
        return fetch(cursor, mine, values, order=order, limit=limit + 1, known=known)

    spans = fetched(Signal.TRACES, fetch_spans, "r.start_time_unix_nano")
    logs = fetched(Signal.LOGS, fetch_logs, LOG_TIME)
    truncated = len(spans) > limit or len(logs) > limit
    del spans[limit:], logs[limit:]
    resources, scopes = dimensions(cursor, spans + logs)
    return TraceRecords(spans=spans, logs=logs, resources=resources, scopes=scopes, truncated=truncated)


def spans_of_traces(cursor: duckdb.DuckDBPyConnection, trace_ids: Sequence[UUID], *, limit: int) -> Rows:
    """Return what the spans of some traces say in short, earliest first, at most ``limit`` of each trace."""
    # Narrow columns first, and their rows by a semi join: it alone skips what holds none of them.
    chosen = cursor.execute(
        "SELECT r.rowid, count(*) OVER (PARTITION BY r.trace_id) FROM spans r"
        " WHERE r.trace_id IN (SELECT unnest(?::UUID[])) QUALIFY row_number()"
        " OVER (PARTITION BY r.trace_id ORDER BY r.start_time_unix_nano, r.rowid) <= ?",
        [list(trace_ids), limit],
    ).fetchall()
    counts = dict(chosen)
    rows = cursor.execute(
        "SELECT r.trace_id, r.name, r.start_time_unix_nano, r.attributes, r.status_code, r.status_message,"
        " r.resource_id, r.rowid FROM spans r WHERE r.rowid IN (SELECT unnest(?::BIGINT[]))",
        [list(counts)],
    ).fetchall()
    resources = {
        identity: (service, json_value(attributes))
        for identity, service, attributes in cursor.execute(
            "SELECT DISTINCT ON (resource_id) resource_id, service_name, attributes FROM resources"
            " WHERE resource_id IN (SELECT unnest(?::UUID[]))",
            [sorted({row[6] for row in rows})],
        ).fetchall()
    }
    return [
        {
            "trace_id": trace_id.hex,
            "count": counts[place],
            "name": name,
            "start": start,
            "attributes": json_value(attributes),
            "service": resources[resource_id][0],
            "resource": resources[resource_id][1],
            "status": status,
            "status_message": message,
        }
        for trace_id, name, start, attributes, status, message, resource_id, place in sorted(
            rows, key=lambda row: (row[2], row[7])
        )
    ]
