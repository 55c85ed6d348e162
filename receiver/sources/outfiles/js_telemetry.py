"""Spans and log records as OpenTelemetry's JavaScript SDK holds them in memory, which file exporters dump as JSON.

Objects that were met before in the same document were written as the text ``[Circular]``. Private fields bear an
underscore, and the names changed between versions 1 and 2 of the SDK; both are read.
Source: https://github.com/open-telemetry/opentelemetry-js, Span.ts, LogRecordImpl.ts, ResourceImpl.ts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from receiver.otlp.encode_logs import LogDraft
from receiver.otlp.span import AttributeInput, EventDraft, LinkDraft, SpanDraft, SpanKind, StatusCode
from receiver.sources.contents.document import mapping, sequence, text, whole
from receiver.sources.source import MalformedDocumentError

CIRCULAR = "[Circular]"
_HEX = re.compile(r"^[0-9a-fA-F]*$")
_KINDS = (SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER)
_STATUS = (StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR)


def is_span(record: Mapping[str, Any]) -> bool:
    """Return True for a dumped span."""
    return "startTime" in record and ("_spanContext" in record or "spanContext" in record)


def is_log(record: Mapping[str, Any]) -> bool:
    """Return True for a dumped log record."""
    return "hrTime" in record


def is_metrics(record: Mapping[str, Any]) -> bool:
    """Return True for the dump of one collection of metrics."""
    return "scopeMetrics" in record


def resource_of(record: Mapping[str, Any]) -> dict[str, AttributeInput]:
    """Return the attributes of the record's resource; what had not settled when it was written is left out."""
    resource = mapping(record.get("resource"))
    found: dict[str, AttributeInput] = {}
    for pair in sequence(resource.get("_rawAttributes")):
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            found.setdefault(pair[0], _attribute(pair[1]))
    for name in ("_memoizedAttributes", "_attributes", "attributes"):
        for key, value in mapping(resource.get(name)).items():
            found.setdefault(key, _attribute(value))
    return {key: value for key, value in found.items() if value is not None}


def scope_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and version of the record's instrumentation scope."""
    scope = mapping(record.get("instrumentationScope")) or mapping(record.get("instrumentationLibrary"))
    return text(scope.get("name")), text(scope.get("version"))


def span_of(record: Mapping[str, Any]) -> SpanDraft:
    """Return the span.

    Raises:
        MalformedDocumentError: Its ids or times are none.
    """
    context = mapping(record.get("_spanContext") or record.get("spanContext"))
    start = hr_time(record.get("startTime"), "startTime")
    parent = mapping(record.get("parentSpanContext"))
    end = hr_time(record.get("endTime"), "endTime", otherwise=start)
    status = mapping(record.get("status"))
    return SpanDraft(
        trace_id=_identifier(context.get("traceId"), 16),
        span_id=_identifier(context.get("spanId"), 8),
        parent_span_id=_other_identifier(parent.get("spanId") or record.get("parentSpanId"), 8),
        name=text(record.get("name")),
        kind=_KINDS[_index(record.get("kind"), len(_KINDS))],
        start_ns=start,
        end_ns=end,
        attributes=attributes_of(record),
        events=[_event(each, end) for each in map(mapping, sequence(record.get("events")))],
        links=[link for link in (_link(each, parent) for each in sequence(record.get("links"))) if link],
        status=_STATUS[_index(status.get("code"), len(_STATUS))],
        status_message=text(status.get("message")),
    )


def log_of(record: Mapping[str, Any]) -> LogDraft:
    """Return the log record.

    Raises:
        MalformedDocumentError: Its time is none.
    """
    time_ns = hr_time(record.get("hrTime"), "hrTime")
    context = mapping(record.get("spanContext"))
    trace_id = _other_identifier(context.get("traceId"), 16)
    span_id = _other_identifier(context.get("spanId"), 8)
    severity = whole(_private(record, "severityNumber")) or 0
    return LogDraft(
        time_ns=time_ns,
        observed_ns=hr_time(record.get("hrTimeObserved"), "hrTimeObserved", otherwise=time_ns),
        severity_number=severity if severity <= 24 else 0,
        severity_text=text(_private(record, "severityText")),
        event_name=text(_private(record, "eventName")),
        body=_private(record, "body"),
        attributes=attributes_of(record),
        trace_id=trace_id if span_id else b"",
        span_id=span_id if trace_id else b"",
        flags=(whole(context.get("traceFlags")) or 0) & 0xFF if trace_id and span_id else 0,
    )


def attributes_of(record: Mapping[str, Any]) -> dict[str, AttributeInput]:
    """Return the record's attributes; those without a value are left out."""
    given = mapping(record.get("attributes"))
    return {key: value for key, value in given.items() if key and value is not None}


def hr_time(value: object, name: str, *, otherwise: int | None = None) -> int:
    """Return the SDK's ``[seconds, nanoseconds]`` as Unix nanoseconds.

    Args:
        value: What the record says.
        name: Of the field, for the message.
        otherwise: Taken where the value is missing, or an array that was written before (``[Circular]``).

    Raises:
        MalformedDocumentError: It is no time and there is nothing else to take.
    """
    if isinstance(value, list) and len(value) == 2:
        seconds, nanos = whole(value[0]), value[1]
        if seconds is not None and isinstance(nanos, int | float) and 0 <= nanos <= 1e9:
            found = seconds * 1_000_000_000 + round(nanos)
            if found < 2**63:
                return found
    if otherwise is not None and (value is None or value == CIRCULAR):
        return otherwise
    raise MalformedDocumentError(
        f"{name} is not [seconds, nanoseconds]", hint="the record is left out; the others are read"
    )


def _private(record: Mapping[str, Any], name: str) -> Any:
    found = record.get(f"_{name}")
    return record.get(name) if found is None else found


def _attribute(value: object) -> AttributeInput:
    """Return a resource attribute; an object is a promise that had not settled."""
    return value if isinstance(value, str | int | float | list) else None


def _event(event: Mapping[str, Any], otherwise: int) -> EventDraft:
    return EventDraft(
        name=text(event.get("name")),
        time_ns=hr_time(event.get("time"), "the time of an event", otherwise=otherwise),
        attributes=attributes_of(event),
    )


def _link(link: object, parent: Mapping[str, Any]) -> LinkDraft | None:
    given = mapping(link)
    context = parent if given.get("context") == CIRCULAR else mapping(given.get("context"))
    trace_id = _other_identifier(context.get("traceId"), 16)
    span_id = _other_identifier(context.get("spanId"), 8)
    if not trace_id or not span_id:
        return None
    return LinkDraft(trace_id=trace_id, span_id=span_id, attributes=attributes_of(given))


def _identifier(value: object, size: int) -> bytes:
    found = _other_identifier(value, size)
    if not found:
        raise MalformedDocumentError(
            f"a span's id must have {2 * size} hexadecimal digits, not all zero; got {str(value)[:40]!r}",
            hint="the span is left out; the others are read",
        )
    return found


def _other_identifier(value: object, size: int) -> bytes:
    """Return an id, or nothing where it is none."""
    if not isinstance(value, str) or len(value) != 2 * size or not _HEX.match(value):
        return b""
    found = bytes.fromhex(value)
    return found if any(found) else b""


def _index(value: object, length: int) -> int:
    number = whole(value)
    return number if number is not None and number < length else 0
