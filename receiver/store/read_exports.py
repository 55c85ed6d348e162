"""Whole tables of records with what they refer to: the statements behind an export.

Each row stands for itself: resource, scope and metric are columns of it. Ids are lower-case hex, empty where there
is none. docs/exports.md lists the columns; ``receiver.otlp.json_records`` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

from receiver.questions import RecordTable
from receiver.signals import Signal
from receiver.store.read_filters import TIME

_RESOURCES = """(SELECT resource_id, any_value(service_name) AS service_name, any_value(attributes) AS attributes,
    any_value(dropped_attributes_count) AS dropped, any_value(entity_refs) AS entity_refs,
    any_value(schema_url) AS schema_url FROM resources GROUP BY resource_id)"""
_OF_RESOURCE = """re.service_name, re.attributes AS resource_attributes,
    re.dropped AS resource_dropped_attributes_count, re.entity_refs AS resource_entity_refs,
    re.schema_url AS resource_schema_url"""
_OF_SCOPE = """sc.name AS scope_name, sc.version AS scope_version, sc.attributes AS scope_attributes,
    sc.dropped_attributes_count AS scope_dropped_attributes_count, sc.schema_url AS scope_schema_url"""
_OF_METRIC = """m.name AS metric_name, m.description AS metric_description, m.unit AS metric_unit,
    m.type AS metric_type, m.aggregation_temporality AS metric_aggregation_temporality,
    m.is_monotonic AS metric_is_monotonic, m.metadata AS metric_metadata"""
_POINT = "r.attributes, r.start_time_unix_nano, r.time_unix_nano, r.flags"
_DISTRIBUTION = "r.count, r.sum, r.min, r.max"

_SPAN = """trace_hex(r.trace_id) AS trace_id, span_hex(r.span_id) AS span_id,
    span_hex(r.parent_span_id) AS parent_span_id, r.trace_state, r.flags, r.name, r.kind, r.start_time_unix_nano,
    r.end_time_unix_nano, r.status_code, r.status_message, r.attributes, r.dropped_attributes_count, r.events,
    r.dropped_events_count, r.links, r.dropped_links_count"""
_LOG = """r.time_unix_nano, r.observed_time_unix_nano, trace_hex(r.trace_id) AS trace_id,
    span_hex(r.span_id) AS span_id, r.flags, r.severity_number, r.severity_text, r.event_name, r.body, r.body_type,
    r.attributes, r.dropped_attributes_count"""
_POINTS = {
    RecordTable.METRIC_POINTS: f"{_POINT}, r.value_int, r.value_double, r.exemplars",
    RecordTable.HISTOGRAM_POINTS: f"{_POINT}, {_DISTRIBUTION}, r.bucket_counts, r.explicit_bounds, r.exemplars",
    RecordTable.EXPONENTIAL_HISTOGRAM_POINTS: f"""{_POINT}, {_DISTRIBUTION}, r.scale, r.zero_count,
    r.zero_threshold, r.positive_offset, r.positive_bucket_counts, r.negative_offset, r.negative_bucket_counts,
    r.exemplars""",
    RecordTable.SUMMARY_POINTS: f"{_POINT}, r.count, r.sum, r.quantile_values",
}
_JOINED = f"""LEFT JOIN {_RESOURCES} re ON re.resource_id = {{by}}.resource_id
    LEFT JOIN scope_content sc ON sc.scope_id = {{by}}.scope_id"""
_METRICS = """(SELECT metric_id, any_value(name) AS name, any_value(description) AS description,
    any_value(unit) AS unit, any_value(type) AS type, any_value(aggregation_temporality) AS aggregation_temporality,
    any_value(is_monotonic) AS is_monotonic, any_value(metadata) AS metadata, any_value(resource_id) AS resource_id,
    any_value(scope_id) AS scope_id FROM metrics GROUP BY metric_id)"""
_ANY_POINT = " UNION ALL ".join(f"SELECT metric_id FROM {table}" for table in _POINTS)

_ROWS_OF_A_BATCH = 8192


def record_batches(
    cursor: duckdb.DuckDBPyConnection, table: RecordTable, since_ns: int | None, until_ns: int | None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the columns of a table and its records whose time is in ``[since_ns, until_ns)``, piece by piece.

    Times are those of ``receiver.questions.Filters``. What has no time of its own (metrics without points) is left
    out where a time is asked for. The records are not all in memory at a time.
    """
    where, values = _between(table, since_ns, until_ns)
    statement = f"SELECT {_columns(table)} {_source(table)} WHERE {where}"
    reader: Any = cursor.sql(statement, params=values).to_arrow_reader(_ROWS_OF_A_BATCH)
    return reader.schema, reader


def _columns(table: RecordTable) -> str:
    if table is RecordTable.SPANS:
        return f"{_SPAN}, {_OF_RESOURCE}, {_OF_SCOPE}"
    if table is RecordTable.LOGS:
        return f"{_LOG}, {_OF_RESOURCE}, {_OF_SCOPE}"
    point = f"{_POINTS[table]}, " if table in _POINTS else ""
    return f"{_OF_METRIC}, {point}{_OF_RESOURCE}, {_OF_SCOPE}"


def _source(table: RecordTable) -> str:
    if table.signal is not Signal.METRICS:
        return f"FROM {table} r {_JOINED.format(by='r')}"
    joined = _JOINED.format(by="m")
    if table is RecordTable.METRICS_WITHOUT_POINTS:
        return f"FROM {_METRICS} m {joined}"
    return f"FROM {table} r JOIN {_METRICS} m ON m.metric_id = r.metric_id {joined}"


def _between(table: RecordTable, since_ns: int | None, until_ns: int | None) -> tuple[str, list[Any]]:
    if table is RecordTable.METRICS_WITHOUT_POINTS:
        if since_ns is not None or until_ns is not None:
            return "false", []
        return f"m.metric_id NOT IN ({_ANY_POINT})", []
    conditions, values = ["true"], []
    for operator, moment in ((">=", since_ns), ("<", until_ns)):
        if moment is not None:
            conditions.append(f"{TIME[table.signal]} {operator} ?")
            values.append(moment)
    return " AND ".join(conditions), values
