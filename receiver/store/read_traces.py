"""Traces: all records of one, and the newest of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import duckdb

from receiver.ports import Rows
from receiver.questions import Filters, TraceRecords
from receiver.signals import Signal
from receiver.store.dimension_cache import RESOURCES
from receiver.store.read_filters import LOG_TIME, conditions
from receiver.store.read_newest import newest_rows
from receiver.store.read_places import candidates
from receiver.store.read_records import TABLES, dimensions, fetch_logs, fetch_spans
from receiver.store.read_values import json_value, moment
from receiver.store.row_places import RowPlaces
from receiver.times import duration_ms

_FIRST_LOOK = 50
"""Spans per wanted trace in the first look for the newest; each further look takes ten times as many."""

_NEAR_ROWS = 8192
_FEW_ROWS = 1000
"""So many whole records may be sorted."""


def records_of_trace(
    cursor: duckdb.DuckDBPyConnection, trace_id: UUID, *, limit: int, places: Mapping[Signal, RowPlaces]
) -> TraceRecords:
    """Return the spans and log records of a trace, earliest first, with their resources and scopes."""

    def fetched(signal: Signal, fetch: Callable[..., Rows], order: str) -> Rows:
        mine, values = "r.trace_id = ?", list[Any]([trace_id])
        rows = candidates(cursor, signal, places[signal], "trace_id", [trace_id])
        if rows is None:  # narrow columns first: most traces have no log records
            rows = cursor.execute(
                f"SELECT r.rowid FROM {TABLES[signal]} r WHERE {mine}", values
            ).fetchnumpy()["rowid"]
        if not len(rows):
            return []
        first, last = int(rows.min()), int(rows.max())
        if last - first < _NEAR_ROWS:  # as most traces' are: a range costs half of what a join does
            mine, values = f"r.rowid >= ? AND r.rowid <= ? AND {mine}", [first, last, trace_id]
        else:
            mine, values = f"r.rowid IN (SELECT unnest(?::BIGINT[])) AND {mine}", [rows, trace_id]
        few = len(rows) <= min(limit, _FEW_ROWS)
        return fetch(cursor, mine, values, order=order, limit=None if few else limit + 1)

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


def newest_traces(cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int, places: RowPlaces) -> Rows:
    """Return the traces that have a span that passes, newest first."""
    chosen = _newest_ids(cursor, filters, limit, places)
    if not chosen:
        return []
    within, values = "r.trace_id IN (SELECT unnest(?::UUID[]))", list[Any]([chosen])
    found = candidates(cursor, Signal.TRACES, places, "trace_id", chosen)
    if found is not None:
        within, values = f"r.rowid IN (SELECT unnest(?::BIGINT[])) AND {within}", [found, chosen]
    rows = cursor.execute(
        "WITH roots AS (SELECT r.trace_id, count(*) AS spans, count(*) FILTER (r.status_code = 2) AS errors,"
        " min(r.start_time_unix_nano) AS started,"
        " max(greatest(r.start_time_unix_nano, r.end_time_unix_nano)) AS ended,"
        " arg_min({'name': r.name, 'resource_id': r.resource_id, 'span_id': r.span_id,"
        " 'orphan': r.parent_span_id IS NOT NULL, 'status': r.status_code},"
        " {'child': r.parent_span_id IS NOT NULL, 'time': r.start_time_unix_nano}) AS root,"
        " list_distinct(list(r.resource_id)) AS resource_ids"
        f" FROM spans r WHERE {within} GROUP BY r.trace_id)"
        " SELECT trace_id, spans, errors, started, ended, root, resource_ids FROM roots"
        " ORDER BY started DESC, trace_id",
        values,
    ).fetchall()
    owners = {each for row in rows for each in (row[5]["resource_id"], *row[6])}
    services = {each: row[0] for each, row in RESOURCES.rows(cursor, owners).items()}
    return [_summary(row, services) for row in rows]


def _newest_ids(
    cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int, places: RowPlaces
) -> list[UUID]:
    asked = conditions(filters, Signal.TRACES, cursor)
    look = limit * _FIRST_LOOK
    while True:
        rows = newest_rows(
            cursor, Signal.TRACES, places, filters=filters, asked=asked, columns="r.trace_id", limit=look
        )
        distinct = list(dict.fromkeys(trace_id for _, trace_id in rows))
        if len(distinct) >= limit or len(rows) < look:
            return distinct[:limit]
        look *= 10


def _summary(row: tuple[Any, ...], services: dict[UUID, str | None]) -> dict[str, Any]:
    trace_id, spans, errors, started, ended, root, resource_ids = row
    return {
        "trace_id": trace_id.hex,
        "name": root["name"],
        "service": services.get(root["resource_id"]),
        "services": sorted({name for each in resource_ids if (name := services.get(each))}),
        **moment("time", started),
        "duration_ms": duration_ms(started, ended),
        "span_count": spans,
        "error_count": errors,
        "status": "error" if errors else "ok" if root["status"] == 1 else "unset",
        "root_is_missing": root["orphan"],
    }
