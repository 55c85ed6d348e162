"""Plain values to OTLP protobuf: the one place where drafts become requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from receiver.otlp.span import AttributeInput, SpanDraft
from receiver.otlp.span_fields import SpanFields, events, links, status
from receiver.otlp.wire import RESOURCE_ATTRIBUTE, attributes, sized, utf8


def encode_spans(
    spans: Sequence[SpanDraft],
    *,
    resource: Mapping[str, AttributeInput],
    scope: str = "",
    scope_version: str = "",
) -> bytes:
    """Return an ``ExportTraceServiceRequest`` with the spans under one resource and one scope."""
    fields = SpanFields()
    return encode_request(
        [
            (
                attributes(RESOURCE_ATTRIBUTE, resource),
                encode_scope(scope, scope_version),
                b"".join([_span(fields, span) for span in spans]),
            )
        ]
    )


def encode_request(groups: Sequence[tuple[bytes, bytes, bytes]], *, schema_url: str = "") -> bytes:
    """Return an ``ExportTraceServiceRequest`` of fields that are written already.

    Args:
        groups: Of each resource its attributes, the scope, and the spans as fields of ScopeSpans.
        schema_url: Of the resources.
    """
    schema = sized(b"\x1a", utf8(schema_url)) if schema_url else b""
    return b"".join(
        [
            sized(b"\x0a", sized(b"\x0a", resource) + sized(b"\x12", sized(b"\x0a", scope) + spans) + schema)
            for resource, scope, spans in groups
        ]
    )


def encode_scope(name: str, version: str = "", pairs: Mapping[str, AttributeInput] | None = None) -> bytes:
    """Return the content of an InstrumentationScope."""
    return b"".join(
        (
            sized(b"\x0a", utf8(name)) if name else b"",
            sized(b"\x12", utf8(version)) if version else b"",
            attributes(b"\x1a", pairs or {}),
        )
    )


def valid_text(text: str) -> str:
    """Return the text without lone surrogates, which JSON can say and UTF-8 cannot."""
    return utf8(text).decode()


def _span(fields: SpanFields, span: SpanDraft) -> bytes:
    return fields.span(
        (span.trace_id, span.span_id, span.parent_span_id),
        span.name,
        span.kind,
        (span.start_ns, span.end_ns),
        fields.attributes(span.attributes)
        + events(span.events)
        + links(span.links)
        + status(span.status, span.status_message),
    )
