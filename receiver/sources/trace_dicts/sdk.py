"""Spans of an OpenTelemetry SDK, by their public attributes: nothing of the SDK is imported.

Source: https://opentelemetry-python.readthedocs.io/en/latest/sdk/trace.html (``ReadableSpan``). The SDK numbers
kinds and status codes otherwise than OTLP does, so they go by name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import InvalidTraceError
from receiver.otlp.encode import encode_scope
from receiver.otlp.span_fields import SpanFields
from receiver.otlp.span_fields import status as status_field
from receiver.otlp.wire import EVENT_ATTRIBUTE, LINK_ATTRIBUTE, attributes, sized, utf8, varint
from receiver.sources.trace_dicts.fields import kind, shown, status

END_MISSING = "otlp_receiver.end_time_missing"
_FLAGS = struct.Struct("<I").pack
_TIME = struct.Struct("<Q").pack
_PUBLIC = ("get_span_context", "resource", "attributes", "events", "links", "status", "kind", "start_time")


def is_sdk_span(span: Any) -> bool:
    """Return True for what has the public attributes of a ``ReadableSpan``."""
    return not isinstance(span, type) and all(hasattr(span, name) for name in _PUBLIC)


@dataclass(frozen=True, slots=True)
class SdkSpan:
    """One SDK span, written."""

    resource: Mapping[str, Any]
    resource_schema_url: str
    scope: bytes
    written: bytes
    """A field of ScopeSpans, and the schema URL of the scope where it has one."""
    start_ns: int
    undated: bool

    @classmethod
    def of(cls, span: Any, fields: SpanFields, now_ns: int) -> SdkSpan:
        """Return a span of an SDK.

        Raises:
            InvalidTraceError: It has no valid ids, or one of its values cannot be written.
        """
        context = span.get_span_context()
        if context is None or not context.trace_id or not context.span_id:
            raise InvalidTraceError("context: the span has no trace id and span id")
        try:
            written = _span(span, context, fields, now_ns)
            scope = span.instrumentation_scope
            schema = getattr(scope, "schema_url", None)
            return cls(
                resource=dict(getattr(span.resource, "attributes", None) or {}),
                resource_schema_url=getattr(span.resource, "schema_url", None) or "",
                scope=b""
                if scope is None
                else encode_scope(scope.name or "", scope.version or "", getattr(scope, "attributes", None)),
                written=written + (sized(b"\x1a", utf8(schema)) if schema else b""),
                start_ns=span.start_time or now_ns,
                undated=not span.start_time,
            )
        except (TypeError, AttributeError, OverflowError, struct.error) as error:
            raise InvalidTraceError(f"it is not a span of an SDK: {error}") from None


def _span(span: Any, context: Any, fields: SpanFields, now_ns: int) -> bytes:
    start = span.start_time or now_ns
    code, message = status(span.status.status_code.name)
    parent = span.parent
    state = context.trace_state.to_header() if context.trace_state else ""
    rest = [
        sized(b"\x1a", utf8(state)) if state else b"",
        fields.attributes(span.attributes or {}),
        b"" if span.end_time else fields.attributes({END_MISSING: True}),
        _dropped(b"\x50", span, "dropped_attributes"),
        *(_event(event) for event in span.events),
        _dropped(b"\x60", span, "dropped_events"),
        *(_link(link) for link in span.links),
        _dropped(b"\x70", span, "dropped_links"),
        status_field(code, span.status.description or message),
        b"\x85\x01" + _FLAGS(_flags(int(context.trace_flags), parent)),
    ]
    return fields.span(
        (
            context.trace_id.to_bytes(16, "big"),
            context.span_id.to_bytes(8, "big"),
            parent.span_id.to_bytes(8, "big") if parent is not None else b"",
        ),
        _text(span.name),
        kind(span.kind.name),
        (start, span.end_time or start),
        b"".join(rest),
    )


def _event(event: Any) -> bytes:
    return sized(
        b"\x5a",
        b"\x09"
        + _TIME(event.timestamp)
        + sized(b"\x12", utf8(_text(event.name)))
        + attributes(EVENT_ATTRIBUTE, event.attributes or {})
        + _dropped(b"\x20", event, "dropped_attributes"),
    )


def _link(link: Any) -> bytes:
    context = link.context
    state = context.trace_state.to_header() if context.trace_state else ""
    return sized(
        b"\x6a",
        sized(b"\x0a", context.trace_id.to_bytes(16, "big"))
        + sized(b"\x12", context.span_id.to_bytes(8, "big"))
        + (sized(b"\x1a", utf8(state)) if state else b"")
        + attributes(LINK_ATTRIBUTE, link.attributes or {})
        + _dropped(b"\x28", link, "dropped_attributes")
        + b"\x35"
        + _FLAGS(_flags(int(context.trace_flags), context)),
    )


def _flags(trace_flags: int, remote: Any) -> int:
    """Return OTLP's flags: W3C's in the low byte, then whether it is known that the other side is remote."""
    return trace_flags | 0x100 | (0x200 if remote is not None and remote.is_remote else 0)


def _dropped(lead: bytes, holder: Any, name: str) -> bytes:
    count = getattr(holder, name, 0)
    return lead + varint(count) if isinstance(count, int) and count > 0 else b""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidTraceError(f"name: {shown(value)} is not a text")
    return value
