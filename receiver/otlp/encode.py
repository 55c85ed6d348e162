"""Plain values to OTLP protobuf: the one place where attributes become AnyValue messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from receiver.otlp.span import AttributeInput, SpanDraft

_INT64 = range(-(2**63), 2**63)
_DEEPEST = 64


def encode_spans(
    spans: Sequence[SpanDraft],
    *,
    resource: Mapping[str, AttributeInput],
    scope: str = "",
    scope_version: str = "",
) -> bytes:
    """Return an ``ExportTraceServiceRequest`` with the spans under one resource and one scope."""
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=key_values(resource)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name=valid_text(scope), version=valid_text(scope_version)),
                        spans=[_span(span) for span in spans],
                    )
                ],
            )
        ]
    )
    return request.SerializeToString()


def key_values(attributes: Mapping[str, AttributeInput]) -> list[KeyValue]:
    """Return attributes as OTLP writes them; those that are None are left out."""
    return [
        KeyValue(key=valid_text(key), value=any_value(value))
        for key, value in attributes.items()
        if value is not None
    ]


def any_value(value: AttributeInput, *, depth: int = 0) -> AnyValue:
    """Return a value as OTLP writes it: types are kept; what lies deeper than 64 levels becomes its text."""
    if isinstance(value, str):
        return AnyValue(string_value=valid_text(value))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if value in _INT64 else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if value is None:
        return AnyValue()
    if depth >= _DEEPEST:
        return AnyValue(string_value=valid_text(str(value)))
    if isinstance(value, Mapping):
        pairs = [
            KeyValue(key=valid_text(str(key)), value=any_value(each, depth=depth + 1))
            for key, each in value.items()
        ]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    return AnyValue(array_value=ArrayValue(values=[any_value(each, depth=depth + 1) for each in value]))


def valid_text(text: str) -> str:
    """Return the text without lone surrogates, which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _span(span: SpanDraft) -> Span:
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=valid_text(span.name),
        kind=Span.SpanKind.ValueType(span.kind),
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=key_values(span.attributes),
        events=[
            Span.Event(name=valid_text(e.name), time_unix_nano=e.time_ns, attributes=key_values(e.attributes))
            for e in span.events
        ],
        links=[
            Span.Link(trace_id=each.trace_id, span_id=each.span_id, attributes=key_values(each.attributes))
            for each in span.links
        ],
        status=Status(code=Status.StatusCode.ValueType(span.status), message=valid_text(span.status_message)),
    )
