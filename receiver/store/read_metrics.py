"""Metrics: their names, and the raw points of one; what points mean is said in ``query``."""

from __future__ import annotations

from typing import Any

import duckdb

from receiver.ports import Rows
from receiver.questions import (
    TEMPORALITY,
    Distribution,
    Filters,
    MetricAnswer,
    MetricDescriptor,
    MetricPoint,
    MetricQuestion,
)
from receiver.signals import Signal
from receiver.store.read_filters import Conditions, conditions
from receiver.store.read_values import moment
from receiver.store.row_tables import POINT_TABLES

_DESCRIPTORS = (
    "(SELECT DISTINCT ON (metric_id) metric_id, resource_id, name, type, unit, description,"
    " aggregation_temporality, is_monotonic FROM metrics)"
)
_SERVICES = (
    "(SELECT resource_id, any_value(service_name) AS service_name FROM resources GROUP BY resource_id)"
)
_TABLES = {
    "gauge": "metric_points",
    "sum": "metric_points",
    "histogram": "histogram_points",
    "exponential_histogram": "exponential_histogram_points",
    "summary": "summary_points",
}
_FIGURES = {
    "metric_points": "r.value_int, r.value_double",
    "histogram_points": "r.count, r.sum, r.min, r.max, r.bucket_counts, r.explicit_bounds",
    "exponential_histogram_points": (
        "r.count, r.sum, r.min, r.max, r.scale, r.zero_count, r.zero_threshold, r.positive_offset,"
        " r.positive_bucket_counts, r.negative_offset, r.negative_bucket_counts"
    ),
    "summary_points": "r.count, r.sum, r.quantile_values",
}


def metric_names(cursor: duckdb.DuckDBPyConnection, filters: Filters, limit: int) -> Rows:
    """Return each metric once, by name."""
    owners = Conditions()
    if filters.service is not None:
        owners.add("s.service_name = ?", filters.service)
    if filters.name is not None:
        owners.add("m.name = ?", filters.name)
    if filters.text is not None:
        owners.add("contains(lower(m.name || ' ' || m.description), lower(?))", filters.text)
    points = " UNION ALL ".join(
        f"SELECT metric_id, count(*) AS points, max(time_unix_nano) AS last FROM {table} GROUP BY metric_id"
        for table in POINT_TABLES
    )
    rows = cursor.execute(
        "SELECT m.name, m.type, m.unit, m.aggregation_temporality, m.is_monotonic, any_value(m.description),"
        " list(DISTINCT s.service_name) FILTER (s.service_name IS NOT NULL), coalesce(sum(p.points), 0)::BIGINT,"
        f" max(p.last) FROM {_DESCRIPTORS} m LEFT JOIN {_SERVICES} s USING (resource_id)"
        f" LEFT JOIN ({points}) p USING (metric_id) WHERE {owners.sql}"
        " GROUP BY m.name, m.type, m.unit, m.aggregation_temporality, m.is_monotonic ORDER BY m.name, m.type LIMIT ?",
        [*owners.values, limit],
    ).fetchall()
    return [
        {
            "name": name,
            "type": kind,
            "unit": unit,
            "temporality": TEMPORALITY.get(temporality, temporality),
            "monotonic": monotonic,
            "description": description,
            "services": sorted(services or ()),
            "points": points,
            **(
                moment("last_time", last)
                if last is not None
                else {"last_time": None, "last_time_unix_nano": None}
            ),
        }
        for name, kind, unit, temporality, monotonic, description, services, points, last in rows
    ]


def metric_points(cursor: duckdb.DuckDBPyConnection, question: MetricQuestion) -> MetricAnswer:
    """Return the points in the time range and, of each series, the last one before it."""
    rows = cursor.execute(
        "SELECT m.metric_id, m.name, m.type, m.unit, m.description, m.aggregation_temporality, m.is_monotonic,"
        f" s.service_name FROM {_DESCRIPTORS} m LEFT JOIN {_SERVICES} s USING (resource_id) WHERE m.name = ?",
        [question.name],
    ).fetchall()
    descriptors = {row[0]: MetricDescriptor(*row) for row in rows}
    points: list[MetricPoint] = []
    for table in sorted({_TABLES[each.type] for each in descriptors.values() if each.type in _TABLES}):
        points += _points(cursor, table, question)
    points.sort(key=lambda point: point.time_unix_nano)
    truncated = len(points) > question.limit
    return MetricAnswer(descriptors, points[-question.limit :], truncated)


def _points(cursor: duckdb.DuckDBPyConnection, table: str, question: MetricQuestion) -> list[MetricPoint]:
    asked = conditions(question.filters, Signal.METRICS)
    chosen = (
        "SELECT r.metric_id, r.attributes, r.start_time_unix_nano, r.time_unix_nano, r.flags,"
        f" {_FIGURES[table]} FROM {table} r JOIN {_DESCRIPTORS} m USING (metric_id)"
        " WHERE m.name = ? AND "
    )
    query = f"({chosen}{asked.sql} ORDER BY r.time_unix_nano DESC LIMIT ?)"
    values = [question.name, *asked.values, question.limit + 1]
    if question.filters.since_ns is not None:
        before = conditions(_before(question.filters), Signal.METRICS)
        query += (
            f" UNION ALL ({chosen}{before.sql}"
            " QUALIFY row_number() OVER (PARTITION BY r.metric_id, r.attributes ORDER BY r.time_unix_nano DESC) = 1)"
        )
        values += [question.name, *before.values]
    return [_point(table, row) for row in cursor.execute(query, values).fetchall()]


def _before(filters: Filters) -> Filters:
    return Filters(service=filters.service, until_ns=filters.since_ns, attributes=filters.attributes)


def _point(table: str, row: tuple[Any, ...]) -> MetricPoint:
    metric_id, attributes, start, time, flags, *figures = row
    value: int | float | None = None
    distribution: Distribution | None = None
    quantiles: tuple[tuple[float, float], ...] = ()
    if table == "metric_points":
        value = figures[1] if figures[0] is None else figures[0]
    elif table == "histogram_points":
        count, total, least, most, counts, bounds = figures
        distribution = Distribution(count, total, least, most, tuple(bounds), tuple(counts))
    elif table == "summary_points":
        count, total, found = figures
        distribution = Distribution(count, total, None, None)
        quantiles = tuple((each["quantile"], each["value"]) for each in found)
    else:
        count, total, least, most, scale, zeros, threshold, up, positive, down, negative = figures
        distribution = Distribution(
            count,
            total,
            least,
            most,
            scale=scale,
            zero_count=zeros,
            zero_threshold=threshold,
            positive={up + place: records for place, records in enumerate(positive) if records},
            negative={down + place: records for place, records in enumerate(negative) if records},
        )
    return MetricPoint(metric_id, attributes, start, time, flags, value, distribution, quantiles)
