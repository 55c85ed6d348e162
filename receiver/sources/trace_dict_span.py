"""One span of a trace dict, read and written: ids, times and marks where something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import InvalidTraceError
from receiver.otlp.span import AttributeInput
from receiver.otlp.span_fields import SpanFields
from receiver.otlp.span_fields import events as events_field
from receiver.otlp.span_fields import links as links_field
from receiver.otlp.span_fields import status as status_field
from receiver.otlp.wire import sized, utf8
from receiver.sources.source import span_id_of
from receiver.sources.trace_dict_fields import (
    at,
    attributes,
    events,
    first_of,
    has_id,
    kind,
    links,
    may_mark_errors,
    shown,
    span_id,
    status,
    status_in,
)
from receiver.sources.trace_dict_times import DURATIONS, exact_ns, span_duration_ns, unix_ns
from receiver.times import LATEST_NS

SPAN_ID = "otlp_receiver.span_id"
"""Attribute with the span id as it was given, where it is not 16 lower-case hex digits."""
START_MISSING = "otlp_receiver.start_time_missing"
"""Attribute: the span had no start time; what stands there is its end, or the time at which it was handed in."""
END_MISSING = "otlp_receiver.end_time_missing"
"""Attribute: the span had neither an end nor a duration; what stands there is its start."""

_BASIC = frozenset({"name", "start_time", "end_time", "attributes"})
_START = ("start_time", "startTime", "start", "timestamp")
_END = ("end_time", "endTime", "end")
_QUIET = 20_000


@dataclass(slots=True)
class DictSpan:
    """One span, written, and what its place in a request depends on."""

    written: bytes
    """A field of ScopeSpans."""
    start_ns: int
    service: str | None
    """``service.name`` of the span itself."""
    resource: Mapping[str, AttributeInput] | None = None
    """Attributes of a resource that only this span names."""
    scope: bytes | None = None
    """Content of an InstrumentationScope; None: that of trace dicts."""
    undated: bool = False
    """Its start is when it was handed in."""


class DictSpans:
    """Reads the spans of one trace after the other. Threads: one at a time."""

    def __init__(self, fields: SpanFields) -> None:
        """Write with ``fields``."""
        self._fields = fields
        self._quiet: set[str] = set()
        self._trace_id = b""
        self._trace = ""
        self._marks = b""
        self.now_ns = 0

    def begin(self, trace_id: bytes, marks: Mapping[str, AttributeInput], now_ns: int) -> None:
        """Read spans of this trace from here on.

        Args:
            trace_id: 16 bytes.
            marks: Attributes that every span of it gets besides its own.
            now_ns: What stands where a start is missing.
        """
        self._trace_id = trace_id
        self._trace = trace_id.hex()
        self._marks = self._fields.attributes(marks) if marks else b""
        self.now_ns = now_ns

    def read(self, number: int, span: Mapping[str, Any]) -> DictSpan:
        """Return a span.

        Args:
            number: Its place in the trace: tells spans apart that have no id.
            span: As docs/python.md describes it.

        Raises:
            InvalidTraceError: It is no span; the message begins with the field.
        """
        name = span.get("name")
        if name.__class__ is not str:
            if name is not None and not isinstance(name, str):
                raise InvalidTraceError(f"name: {shown(name)} is not a text")
            name = name or ""
        pairs = span.get("attributes")
        if pairs.__class__ is not dict:
            pairs = at("attributes", attributes, pairs)
        service = pairs.get("service.name")
        if service is not None and not (isinstance(service, str) and service):
            service = None
        basic = span.keys() <= _BASIC
        start, end = self._basic_times(span) if basic else self._times(span)
        undated = start is None and end is None
        marks = self._marks
        if start is None:
            start = self.now_ns if end is None else end
            marks += self._fields.attributes({START_MISSING: True})
        if end is None:
            end = start
            marks += self._fields.attributes({END_MISSING: True})
        more = None if basic else self._more(span, start)
        identity, parent = (None, b"") if more is None else (more.span_id, more.parent_span_id)
        if identity is None:
            identity = span_id_of(self._trace, str(number), name, "" if undated else str(start))
        said = None if more is None else more.status
        if said is None:
            said = self._implied_status(pairs)
        try:
            rest = self._fields.attributes(pairs) + marks
        except TypeError as error:
            raise InvalidTraceError(f"attributes: {error}") from None
        if said is not None:
            rest += status_field(*said)
        if more is not None:
            rest += more.written
            service = service or more.service
        return DictSpan(
            self._fields.span(
                (self._trace_id, identity, parent),
                name,
                0 if more is None else more.kind,
                (start, end),
                rest,
            ),
            start,
            service,
            None if more is None else more.resource,
            undated=undated,
        )

    def _basic_times(self, span: Mapping[str, Any]) -> tuple[int | None, int | None]:
        """Return start and end, with no duration and no other spelling to look for."""
        start, end = span.get("start_time"), span.get("end_time")
        try:
            start_ns = unix_ns(start)
        except InvalidTraceError as error:
            raise InvalidTraceError(f"start_time: {error.message}", hint=error.hint) from None
        return start_ns, at("end_time", unix_ns, end)

    def _times(self, span: Mapping[str, Any]) -> tuple[int | None, int | None]:
        start = _time(span, ("startTimeUnixNano", "start_time_unix_nano"), _START)
        end = _time(span, ("endTimeUnixNano", "end_time_unix_nano"), _END)
        if end is None or start is None:
            for name in DURATIONS:
                if span.get(name) is not None:
                    took = at(name, lambda value, name=name: span_duration_ns(name, value), span[name])
                    if start is not None and start + took <= LATEST_NS:
                        return start, start + took
                    if start is None:
                        start = (self.now_ns if end is None else end) - took
                        undated = end is None
                        return (start, end) if not undated else self._ending_now(took)
        return start, end
