"""The newest traces that have a span that passes, each summed up in a row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from uuid import UUID

import duckdb

from receiver.ports import Rows
from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.dimension_cache import RESOURCES
from receiver.store.read_filters import conditions
from receiver.store.read_newest import newest_rows
from receiver.store.read_places import candidates
from receiver.store.read_values import moment
from receiver.store.row_places import Places, RowPlaces
from receiver.times import duration_ms

_FIRST_LOOK = 50
"""Spans per wanted trace in the first look for the newest; each further look takes ten times as many."""
_FEW_SPANS = 4096
"""So many spans are added up here."""
_OK, _ERROR = 1, 2
"""Of ``status_code``."""


def newest_traces(cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int, places: RowPlaces) -> Rows:
    """Return the traces that have a span that passes, newest first."""
    chosen = _newest_ids(cursor, filters, limit, places)
    if not chosen:
        return []
    found = candidates(cursor, Signal.TRACES, places, "trace_id", chosen)
    if found is not None and len(found) <= _FEW_SPANS:
        traces = _sums_of_rows(cursor, chosen, found)
    else:
        traces = _sums(cursor, chosen, found)
    owners = {each for trace in traces for each in (trace.root_resource, *trace.resources)}
    services = {each: row[0] for each, row in RESOURCES.rows(cursor, owners).items()}
    traces.sort(key=lambda trace: (-trace.started, trace.trace_id))
    return [_summary(trace, services) for trace in traces]


@dataclass(slots=True)
class _Trace:
    """What the spans of a trace come to; its root is the earliest of those without a parent, else of all."""

    trace_id: UUID
    spans: int
    errors: int
    started: int
    ended: int
    name: str
    root_resource: UUID
    orphan: bool
    status: int
    resources: Collection[UUID]


def _sums_of_rows(
    cursor: duckdb.DuckDBPyConnection, trace_ids: Sequence[UUID], found: Places
) -> list[_Trace]:
    """Return what some rows come to by trace: for few of them to plan an aggregate costs more than to add up here."""
    rows: dict[UUID, list[tuple[Any, ...]]] = {each: [] for each in trace_ids}
    for trace_id, *row in cursor.execute(
        "SELECT r.trace_id, r.parent_span_id IS NOT NULL, r.start_time_unix_nano, r.rowid, r.end_time_unix_nano,"
        " r.status_code, r.name, r.resource_id FROM spans r WHERE r.rowid IN (SELECT unnest(?::BIGINT[]))",
        [found],
    ).fetchall():
        if trace_id in rows:
            rows[trace_id].append(tuple(row))
    traces: list[_Trace] = []
    for trace_id, spans in rows.items():
        orphan, _, _, _, status, name, resource_id = min(spans, key=itemgetter(0, 1, 2))
        traces.append(
            _Trace(
                trace_id,
                spans=len(spans),
                errors=sum(span[4] == _ERROR for span in spans),
                started=min(span[1] for span in spans),
                ended=max(max(span[1], span[3]) for span in spans),
                name=name,
                root_resource=resource_id,
                orphan=orphan,
                status=status,
                resources={span[6] for span in spans},
            )
        )
    return traces


def _sums(cursor: duckdb.DuckDBPyConnection, trace_ids: Sequence[UUID], found: Places | None) -> list[_Trace]:
    within, values = "r.trace_id IN (SELECT unnest(?::UUID[]))", list[Any]([list(trace_ids)])
    if found is not None:
        within, values = f"r.rowid IN (SELECT unnest(?::BIGINT[])) AND {within}", [found, *values]
    rows = cursor.execute(
        "SELECT r.trace_id, count(*) AS spans,"
        f" count(*) FILTER (r.status_code = {_ERROR}) AS errors,"
        " min(r.start_time_unix_nano) AS started,"
        " max(greatest(r.start_time_unix_nano, r.end_time_unix_nano)) AS ended,"
        " arg_min({'name': r.name, 'resource': r.resource_id, 'orphan': r.parent_span_id IS NOT NULL,"
        " 'status': r.status_code}, {'child': r.parent_span_id IS NOT NULL, 'time': r.start_time_unix_nano,"
        " 'place': r.rowid}) AS root, list_distinct(list(r.resource_id)) AS resources"
        f" FROM spans r WHERE {within} GROUP BY r.trace_id",
        values,
    ).fetchall()
    return [
        _Trace(
            trace_id,
            spans=spans,
            errors=errors,
            started=started,
            ended=ended,
            name=root["name"],
            root_resource=root["resource"],
            orphan=root["orphan"],
            status=root["status"],
            resources=resources,
        )
        for trace_id, spans, errors, started, ended, root, resources in rows
    ]


def _newest_ids(
    cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int, places: RowPlaces
) -> list[UUID]:
    asked = conditions(filters, Signal.TRACES, cursor)
    look = limit * _FIRST_LOOK
    while True:
        rows = newest_rows(
            cursor,
            Signal.TRACES,
            places,
            filters=filters,
            asked=asked,
            columns="r.trace_id",
            limit=look,
            distinct=limit,
        )
        distinct = list(dict.fromkeys(trace_id for _, trace_id in rows))
        if len(distinct) >= limit or len(rows) < look:
            return distinct[:limit]
        look *= 10


def _summary(trace: _Trace, services: Mapping[UUID, str | None]) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id.hex,
        "name": trace.name,
        "service": services.get(trace.root_resource),
        "services": sorted({name for each in trace.resources if (name := services.get(each))}),
        **moment("time", trace.started),
        "duration_ms": duration_ms(trace.started, trace.ended),
        "span_count": trace.spans,
        "error_count": trace.errors,
        "status": "error" if trace.errors else "ok" if trace.status == _OK else "unset",
        "root_is_missing": trace.orphan,
    }
