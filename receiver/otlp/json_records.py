"""Stored records back to OTLP-JSON: rows of an export in, the object of one export request out.

The rows have the columns of ``receiver.store.read_exports``, which an exported Parquet file has too. What is at
its default is left out, as senders do. Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from receiver.otlp.attribute_values import any_value, double, key_values
from receiver.questions import RecordTable

Json = dict[str, Any]
Row = Mapping[str, Any]

TABLE_KEY = b"otlp-receiver.table"
"""In the metadata of an exported Parquet file: which table it holds, whatever the file is called."""

_RESOURCE = (
    "resource_attributes",
    "resource_dropped_attributes_count",
    "resource_entity_refs",
    "resource_schema_url",
)
_SCOPE = (
    "scope_name",
    "scope_version",
    "scope_attributes",
    "scope_dropped_attributes_count",
    "scope_schema_url",
)
_METRIC = (
    "metric_name", "metric_description", "metric_unit", "metric_type", "metric_aggregation_temporality",
    "metric_is_monotonic", "metric_metadata",
)  # fmt: skip
_POINTS_OF = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponential_histogram": "exponentialHistogram",
    "summary": "summary",
}


def export_request(table: RecordTable, rows: Iterable[Row]) -> Json:
    """Return an ``Export…ServiceRequest`` as OTLP-JSON with these records, those of one scope side by side."""
    if table is RecordTable.SPANS:
        return {"resourceSpans": _grouped(rows, "scopeSpans", "spans", _spans)}
    if table is RecordTable.LOGS:
        return {"resourceLogs": _grouped(rows, "scopeLogs", "logRecords", _log_records)}
    return {"resourceMetrics": _grouped(rows, "scopeMetrics", "metrics", _metrics_of(table))}


def _grouped(
    rows: Iterable[Row], scopes: str, records: str, made_of: Callable[[list[Row]], list[Json]]
) -> list[Json]:
    by_resource: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Row]]] = {}
    for row in rows:
        resource = tuple(row[name] for name in _RESOURCE)
        scope = tuple(row[name] for name in _SCOPE)
        by_resource.setdefault(resource, {}).setdefault(scope, []).append(row)
    return [
        _set(
            {"resource": _resource(first := next(iter(by_scope.values()))[0])},
            schemaUrl=first["resource_schema_url"],
        )
        | {
            scopes: [
                _set(
                    {"scope": _scope(group[0]), records: made_of(group)},
                    schemaUrl=group[0]["scope_schema_url"],
                )
                for group in by_scope.values()
            ]
        }
        for by_scope in by_resource.values()
    ]


def _resource(row: Row) -> Json:
    references = orjson.loads(row["resource_entity_refs"] or "[]")
    return _set(
        {},
        attributes=key_values(row["resource_attributes"]),
        droppedAttributesCount=row["resource_dropped_attributes_count"],
        entityRefs=[
            _set(
                {},
                schemaUrl=each.get("schema_url"),
                type=each.get("type"),
                idKeys=each.get("id_keys"),
                descriptionKeys=each.get("description_keys"),
            )
            for each in references
        ],
    )


def _scope(row: Row) -> Json:
    return _set(
        {},
        name=row["scope_name"],
        version=row["scope_version"],
        attributes=key_values(row["scope_attributes"]),
        droppedAttributesCount=row["scope_dropped_attributes_count"],
    )


def _spans(rows: list[Row]) -> list[Json]:
    return [
        _set(
            {"traceId": row["trace_id"], "spanId": row["span_id"]},
            parentSpanId=row["parent_span_id"],
            traceState=row["trace_state"],
            flags=row["flags"],
            name=row["name"],
            kind=row["kind"],
            startTimeUnixNano=_whole(row["start_time_unix_nano"]),
            endTimeUnixNano=_whole(row["end_time_unix_nano"]),
            status=_set({}, code=row["status_code"], message=row["status_message"]),
            attributes=key_values(row["attributes"]),
            droppedAttributesCount=row["dropped_attributes_count"],
            events=[_event(each) for each in row["events"] or ()],
            droppedEventsCount=row["dropped_events_count"],
            links=[_link(each) for each in row["links"] or ()],
            droppedLinksCount=row["dropped_links_count"],
        )
        for row in rows
    ]


def _event(event: Row) -> Json:
    return _set(
        {},
        timeUnixNano=_whole(event["time_unix_nano"]),
        name=event["name"],
        attributes=key_values(event["attributes"]),
        droppedAttributesCount=event["dropped_attributes_count"],
    )


def _link(link: Row) -> Json:
    return _set(
        {},
        traceId=link["trace_id"],
        spanId=link["span_id"],
        traceState=link["trace_state"],
        attributes=key_values(link["attributes"]),
        droppedAttributesCount=link["dropped_attributes_count"],
        flags=link["flags"],
    )


def _log_records(rows: list[Row]) -> list[Json]:
    return [
        _set(
            {} if row["body_type"] is None else {"body": _body(row["body"], row["body_type"])},
            timeUnixNano=_whole(row["time_unix_nano"]),
            observedTimeUnixNano=_whole(row["observed_time_unix_nano"]),
            traceId=row["trace_id"],
            spanId=row["span_id"],
            flags=row["flags"],
            severityNumber=row["severity_number"],
            severityText=row["severity_text"],
            eventName=row["event_name"],
            attributes=key_values(row["attributes"]),
            droppedAttributesCount=row["dropped_attributes_count"],
        )
        for row in rows
    ]


def _body(body: str | None, kind: str) -> Json:
    if kind == "string":
        return {"stringValue": body or ""}
    return {} if body is None else any_value(body)


def _metrics_of(table: RecordTable) -> Callable[[list[Row]], list[Json]]:
    def made(rows: list[Row]) -> list[Json]:
        by_metric: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            by_metric.setdefault(tuple(row[name] for name in _METRIC), []).append(row)
        return [_metric(group, _POINT.get(table)) for group in by_metric.values()]

    return made


def _metric(rows: list[Row], point: Callable[[Row], Json] | None) -> Json:
    row = rows[0]
    metric = _set(
        {"name": row["metric_name"]},
        description=row["metric_description"],
        unit=row["metric_unit"],
        metadata=key_values(row["metric_metadata"]),
    )
    data = _POINTS_OF.get(row["metric_type"])
    if data is not None:
        metric[data] = _set(
            {"dataPoints": [point(each) for each in rows] if point else []},
            aggregationTemporality=row["metric_aggregation_temporality"],
            isMonotonic=row["metric_is_monotonic"] if data == "sum" else None,
        )
    return metric


def _point(row: Row) -> Json:
    return _set(
        {"timeUnixNano": _whole(row["time_unix_nano"])},
        attributes=key_values(row["attributes"]),
        startTimeUnixNano=_whole(row["start_time_unix_nano"]),
        flags=row["flags"],
        exemplars=[_exemplar(each) for each in row.get("exemplars") or ()],
    )


def _number_point(row: Row) -> Json:
    return _point(row) | _number(row)


def _number(row: Row) -> Json:
    if row["value_int"] is not None:
        return {"asInt": str(row["value_int"])}
    return {} if row["value_double"] is None else {"asDouble": double(row["value_double"])}


def _exemplar(exemplar: Row) -> Json:
    return _number(exemplar) | _set(
        {},
        timeUnixNano=_whole(exemplar["time_unix_nano"]),
        traceId=exemplar["trace_id"],
        spanId=exemplar["span_id"],
        filteredAttributes=key_values(exemplar["filtered_attributes"]),
    )


def _distribution(row: Row) -> Json:
    given = {name: double(row[name]) for name in ("sum", "min", "max") if row[name] is not None}
    return _set(_point(row), count=_whole(row["count"])) | given


def _histogram_point(row: Row) -> Json:
    return _set(
        _distribution(row),
        bucketCounts=[str(count) for count in row["bucket_counts"] or ()],
        explicitBounds=[double(bound) for bound in row["explicit_bounds"] or ()],
    )


def _exponential_point(row: Row) -> Json:
    return _set(
        _distribution(row) | {"zeroThreshold": double(row["zero_threshold"] or 0.0)},
        scale=row["scale"],
        zeroCount=_whole(row["zero_count"]),
        positive=_buckets(row["positive_offset"], row["positive_bucket_counts"]),
        negative=_buckets(row["negative_offset"], row["negative_bucket_counts"]),
    )


def _buckets(offset: int | None, counts: list[int] | None) -> Json:
    return _set({}, offset=offset, bucketCounts=[str(count) for count in counts or ()])


def _summary_point(row: Row) -> Json:
    return _set(
        _point(row) | {"sum": double(row["sum"] or 0.0)},
        count=_whole(row["count"]),
        quantileValues=[
            {"quantile": double(each["quantile"]), "value": double(each["value"])}
            for each in row["quantile_values"] or ()
        ],
    )


_POINT: Mapping[RecordTable, Callable[[Row], Json]] = {
    RecordTable.METRIC_POINTS: _number_point,
    RecordTable.HISTOGRAM_POINTS: _histogram_point,
    RecordTable.EXPONENTIAL_HISTOGRAM_POINTS: _exponential_point,
    RecordTable.SUMMARY_POINTS: _summary_point,
}


def _whole(value: int | None) -> str | None:
    """Return a 64-bit integer as OTLP-JSON writes it, None for its default."""
    return str(value) if value else None


def _set(into: Json, **fields: Any) -> Json:
    """Add the fields that are not at their default."""
    into.update((name, value) for name, value in fields.items() if value)
    return into
