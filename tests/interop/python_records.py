"""The Python SDK's own records written as JSON: what a client sent, in words that owe nothing to OTLP.

Ids are hex, times integers, and attribute values as the receiver writes them (docs/api.md).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import export as m
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

Json = Any
KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
STATUSES = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


def value_of(value: Any) -> Json:
    """Return an attribute value as the receiver writes it."""
    match value:
        case float() if not math.isfinite(value):
            return {"@double": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case bytes():
            return {"@bytes": base64.b64encode(value).decode()}
        case Mapping():
            return {key: value_of(each) for key, each in value.items()}
        case str() | bool() | int() | float():
            return value
        case None:
            return {"@empty": True}
        case Sequence():
            return [value_of(each) for each in value]
    raise TypeError(type(value))


def attributes_of(attributes: Mapping[str, Any] | None) -> Json:
    """Return attributes as the receiver writes them."""
    return {key: value_of(value) for key, value in (attributes or {}).items()}


def _scope(scope: InstrumentationScope | None) -> Json:
    assert scope is not None
    return {
        "name": scope.name,
        "version": scope.version or "",
        "schema_url": scope.schema_url or "",
        "attributes": attributes_of(scope.attributes),
    }


def _flags(parent: SpanContext | None) -> int:
    """Return what the exporters of 1.45 say: whether the parent is remote, and that they know it."""
    return 0x300 if parent and parent.is_remote else 0x100


def span_record(span: ReadableSpan) -> Json:
    """Return a span."""
    context = span.get_span_context()
    assert context is not None
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "trace_state": context.trace_state.to_header(),
        "flags": _flags(span.parent),
        "name": span.name,
        "kind": KINDS[span.kind],
        "start": span.start_time,
        "end": span.end_time,
        "status_code": STATUSES[span.status.status_code],
        "status_message": span.status.description or "",
        "attributes": attributes_of(span.attributes),
        "dropped": [span.dropped_attributes, span.dropped_events, span.dropped_links],
        "events": [
            {"time": e.timestamp, "name": e.name, "attributes": attributes_of(e.attributes)}
            for e in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "trace_state": "",  # the exporters of 1.45 do not send a link's
                "flags": _flags(link.context),
                "attributes": attributes_of(link.attributes),
            }
            for link in span.links
        ],
        "resource": attributes_of(span.resource.attributes),
        "resource_schema_url": span.resource.schema_url,
        "scope": _scope(span.instrumentation_scope),
    }


def log_record(readable: ReadableLogRecord) -> Json:
    """Return a log record."""
    record = readable.log_record
    return {
        "time": record.timestamp or 0,
        "observed": record.observed_timestamp,
        "trace_id": f"{record.trace_id:032x}" if record.trace_id else None,
        "span_id": f"{record.span_id:016x}" if record.span_id else None,
        "flags": int(record.trace_flags or 0),
        "severity_number": record.severity_number.value if record.severity_number else 0,
        "severity_text": record.severity_text or "",
        "event_name": record.event_name or "",
        "body": None if record.body is None else value_of(record.body),
        "attributes": attributes_of(record.attributes),
        "resource": attributes_of(readable.resource.attributes),
        "resource_schema_url": readable.resource.schema_url,
        "scope": _scope(readable.instrumentation_scope),
    }


def point_records(data: m.MetricsData) -> list[Json]:
    """Return the data points of a collection, each with its metric."""
    found = []
    for of_resource in data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                about = {
                    "name": metric.name,
                    "description": metric.description or "",
                    "unit": metric.unit or "",
                    "monotonic": isinstance(metric.data, m.Sum) and metric.data.is_monotonic,
                    "temporality": 0
                    if isinstance(metric.data, m.Gauge)
                    else int(metric.data.aggregation_temporality),
                    "resource": attributes_of(of_resource.resource.attributes),
                    "resource_schema_url": of_resource.resource.schema_url,
                    "scope": _scope(of_scope.scope),
                }
                found += [{**about, **_point(point, metric.data)} for point in metric.data.data_points]
    return found


def _point(point: m.DataPointT, data: m.DataT) -> dict[str, Json]:
    common: dict[str, Json] = {
        "attributes": attributes_of(point.attributes),
        "start": point.start_time_unix_nano or 0,
        "time": point.time_unix_nano,
        "flags": 0,
        "exemplars": [
            {
                "time": e.time_unix_nano,
                "value": e.value,
                "trace_id": f"{e.trace_id:032x}" if e.trace_id else "",
                "span_id": f"{e.span_id:016x}" if e.span_id else "",
                "attributes": attributes_of(e.filtered_attributes),
            }
            for e in point.exemplars
        ],
    }
    if isinstance(point, m.NumberDataPoint):
        return common | {"type": "sum" if isinstance(data, m.Sum) else "gauge", "value": point.value}
    common |= {
        "count": point.count,
        "sum": float(point.sum),
        "min": float(point.min),
        "max": float(point.max),
    }
    if isinstance(point, m.HistogramDataPoint):
        return common | {
            "type": "histogram",
            "bucket_counts": list(point.bucket_counts),
            "explicit_bounds": [float(bound) for bound in point.explicit_bounds],
        }
    return common | {
        "type": "exponential_histogram",
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": 0.0,
        "positive": [point.positive.offset, list(point.positive.bucket_counts)],
        "negative": [point.negative.offset, list(point.negative.bucket_counts)],
    }
