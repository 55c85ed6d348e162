"""A plain reading of an OTLP/JSON request, record by record: what a receiver must have stored of it.

Written from the specification and docs/api.md, without the receiver's code, in the form of
:mod:`tests.support.stored_records`. Spans with a bad id are left out, and log records with one lose both
(rules D1 and D2). A request with a repeated attribute key is not for this reading.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

Json = dict[str, Any]
Record = dict[str, Any]

_KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
_TEMPORALITIES = ["UNSPECIFIED", "DELTA", "CUMULATIVE"]


def json_of(message: Message) -> Json:
    """Return a protobuf request as OTLP/JSON."""
    return _with_hex_ids(MessageToDict(message, use_integers_for_enums=True))


def spans_of(request: Json) -> list[Record]:
    """Return the spans that are stored."""
    found = []
    for resource, scope, group in _groups(request, "resourceSpans", "scopeSpans"):
        for span in group.get("spans", []):
            if not (_id(span, "traceId", 32) and _id(span, "spanId", 16)):
                continue
            status = span.get("status", {})
            found.append(
                {
                    "trace_id": _id(span, "traceId", 32),
                    "span_id": _id(span, "spanId", 16),
                    "parent_span_id": _id(span, "parentSpanId", 16),
                    "trace_state": span.get("traceState", ""),
                    "flags": int(span.get("flags", 0)),
                    "name": span.get("name", ""),
                    "kind": _enum(span.get("kind", 0), "SPAN_KIND_", _KINDS),
                    "start": int(span.get("startTimeUnixNano", 0)),
                    "end": int(span.get("endTimeUnixNano", 0)),
                    "status_code": _enum(status.get("code", 0), "STATUS_CODE_", ["UNSET", "OK", "ERROR"]),
                    "status_message": status.get("message", ""),
                    "attributes": _attributes(span),
                    "dropped": [
                        int(span.get(f"dropped{what}Count", 0)) for what in ("Attributes", "Events", "Links")
                    ],
                    "events": [
                        {
                            "time": int(event.get("timeUnixNano", 0)),
                            "name": event.get("name", ""),
                            "attributes": _attributes(event),
                        }
                        for event in span.get("events", [])
                    ],
                    "links": [
                        {
                            "trace_id": link.get("traceId", "").lower(),
                            "span_id": link.get("spanId", "").lower(),
                            "trace_state": link.get("traceState", ""),
                            "flags": int(link.get("flags", 0)),
                            "attributes": _attributes(link),
                        }
                        for link in span.get("links", [])
                    ],
                    **_origin(resource, scope, group),
                }
            )
    return found


def logs_of(request: Json) -> list[Record]:
    """Return the log records."""
    found = []
    for resource, scope, group in _groups(request, "resourceLogs", "scopeLogs"):
        for log in group.get("logRecords", []):
            trace_id, span_id = _id(log, "traceId", 32), _id(log, "spanId", 16)
            found.append(
                {
                    "time": int(log.get("timeUnixNano", 0)),
                    "observed": int(log.get("observedTimeUnixNano", 0)),
                    "trace_id": trace_id,
                    "span_id": span_id,
                    "flags": int(log.get("flags", 0)),
                    "severity_number": _severity(log.get("severityNumber", 0)),
                    "severity_text": log.get("severityText", ""),
                    "event_name": log.get("eventName", ""),
                    "body": _value(log["body"]) if log.get("body") else None,
                    "attributes": _attributes(log),
                    **_origin(resource, scope, group),
                }
            )
    return found


def points_of(request: Json) -> list[Record]:
    """Return the data points of every type."""
    found: list[Record] = []
    for resource, scope, group in _groups(request, "resourceMetrics", "scopeMetrics"):
        for metric in group.get("metrics", []):
            kind = next(key for key in _FIGURES if key in metric)
            data = metric[kind]
            about = {
                "name": metric.get("name", ""),
                "description": metric.get("description", ""),
                "unit": metric.get("unit", ""),
                "type": _TYPES.get(kind, kind),
                "temporality": _enum(
                    data.get("aggregationTemporality", 0), "AGGREGATION_TEMPORALITY_", _TEMPORALITIES
                ),
                "monotonic": data.get("isMonotonic", False),
                **_origin(resource, scope, group),
            }
            found += [
                {**about, **_common(point), **_FIGURES[kind](point)} for point in data.get("dataPoints", [])
            ]
    return found


def _common(point: Json) -> Record:
    return {
        "attributes": _attributes(point),
        "start": int(point.get("startTimeUnixNano", 0)),
        "time": int(point.get("timeUnixNano", 0)),
        "flags": int(point.get("flags", 0)),
        "exemplars": [
            {
                "time": int(exemplar.get("timeUnixNano", 0)),
                "value": _number(exemplar),
                "trace_id": exemplar.get("traceId", "").lower(),
                "span_id": exemplar.get("spanId", "").lower(),
                "attributes": _attributes(exemplar, "filteredAttributes"),
            }
            for exemplar in point.get("exemplars", [])
        ],
    }


def _distribution(point: Json) -> Record:
    figures = {key: float(point[key]) if key in point else None for key in ("sum", "min", "max")}
    return {"count": int(point.get("count", 0)), **figures}


def _histogram(point: Json) -> Record:
    return {
        **_distribution(point),
        "bucket_counts": [int(count) for count in point.get("bucketCounts", [])],
        "explicit_bounds": [float(bound) for bound in point.get("explicitBounds", [])],
    }


def _exponential(point: Json) -> Record:
    def side(name: str) -> list[Any]:
        buckets = point.get(name, {})
        return [int(buckets.get("offset", 0)), [int(count) for count in buckets.get("bucketCounts", [])]]

    return {
        **_distribution(point),
        "scale": int(point.get("scale", 0)),
        "zero_count": int(point.get("zeroCount", 0)),
        "zero_threshold": float(point.get("zeroThreshold", 0)),
        "positive": side("positive"),
        "negative": side("negative"),
    }


def _summary(point: Json) -> Record:
    return {
        "count": int(point.get("count", 0)),
        "sum": float(point.get("sum", 0)),
        "quantiles": [
            [float(each.get("quantile", 0)), float(each.get("value", 0))]
            for each in point.get("quantileValues", [])
        ],
    }


def _single(point: Json) -> Record:
    return {"value": _number(point)}


_FIGURES: dict[str, Callable[[Json], Record]] = {
    "gauge": _single,
    "sum": _single,
    "histogram": _histogram,
    "exponentialHistogram": _exponential,
    "summary": _summary,
}
_TYPES = {"exponentialHistogram": "exponential_histogram"}


def _number(point: Json) -> int | float | None:
    if "asInt" in point:
        return int(point["asInt"])
    return float(point["asDouble"]) if "asDouble" in point else None


def _groups(request: Json, resources: str, scopes: str) -> list[tuple[Json, Json, Json]]:
    return [
        (resource, group.get("scope", {}), group)
        for resource in request.get(resources, [])
        for group in resource.get(scopes, [])
    ]


def _origin(resource: Json, scope: Json, group: Json) -> Record:
    return {
        "resource": _attributes(resource.get("resource", {})),
        "resource_schema_url": resource.get("schemaUrl", ""),
        "scope": {
            "name": scope.get("name", ""),
            "version": scope.get("version", ""),
            "schema_url": group.get("schemaUrl", ""),
            "attributes": _attributes(scope),
        },
    }


def _attributes(owner: Json, key: str = "attributes") -> Json:
    pairs = owner.get(key, [])
    found = {pair["key"]: _value(pair.get("value", {})) for pair in pairs}
    assert len(found) == len(pairs), "a repeated key"
    return found


def _value(value: Json) -> Any:
    match value:
        case {"stringValue": text}:
            return text
        case {"boolValue": truth}:
            return truth
        case {"intValue": number}:
            return int(number)
        case {"doubleValue": number}:
            return float(number)
        case {"bytesValue": text}:
            return {"@bytes": text}
        case {"arrayValue": array}:
            return [_value(each) for each in array.get("values", [])]
        case {"kvlistValue": pairs}:
            return _attributes(pairs, "values")
    return {"@empty": True}


def _id(owner: Json, key: str, digits: int) -> str | None:
    text = owner.get(key, "").lower()
    return text if re.fullmatch(f"[0-9a-f]{{{digits}}}", text) and text.strip("0") else None


def _enum(value: int | str, prefix: str, names: list[str]) -> int:
    return value if isinstance(value, int) else names.index(value.removeprefix(prefix))


def _severity(value: int | str) -> int:
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"SEVERITY_NUMBER_([A-Z]+)([2-4]?)", value)
    assert found, value
    return ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].index(found[1]) * 4 + int(found[2] or 1)


def _with_hex_ids(value: Any) -> Any:
    match value:
        case dict():
            ids = ("traceId", "spanId", "parentSpanId")
            return {
                key: base64.b64decode(each).hex() if key in ids else _with_hex_ids(each)
                for key, each in value.items()
            }
        case list():
            return [_with_hex_ids(each) for each in value]
    return value
