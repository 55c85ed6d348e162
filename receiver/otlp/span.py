"""A span as plain Python values, before it is protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

AttributeInput = (
    None | str | bool | int | float | bytes | Sequence["AttributeInput"] | Mapping[str, "AttributeInput"]
)
"""What OTLP's AnyValue can say; an int beyond 64 bits becomes its decimal text."""


class SpanKind(IntEnum):
    """OTLP's numbers: https://github.com/open-telemetry/opentelemetry-proto, trace.proto."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """OTLP's numbers."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """One event of a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDraft:
    """A link to another span."""

    trace_id: bytes
    span_id: bytes
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanDraft:
    """One span. Times are Unix nanoseconds; None attributes are left out."""

    trace_id: bytes
    """16 bytes, not all zero."""
    span_id: bytes
    """8 bytes, not all zero."""
    parent_span_id: bytes = b""
    name: str
    kind: SpanKind = SpanKind.INTERNAL
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)
    events: Sequence[EventDraft] = ()
    links: Sequence[LinkDraft] = ()
    status: StatusCode = StatusCode.UNSET
    status_message: str = ""
