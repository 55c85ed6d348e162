"""One span of a trace dict, read and written: ids, times and marks where something is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from receiver.errors import InvalidTraceError
from receiver.otlp.span import AttributeInput
from receiver.otlp.span_fields import SpanFields
from receiver.otlp.span_fields import events as events_field
from receiver.otlp.span_fields import links as links_field
from receiver.otlp.span_fields import status as status_field
from receiver.otlp.wire import SPAN_ATTRIBUTE, attribute, sized, utf8
from receiver.otlp.wire import attributes as attributes_field
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

PARENT_ID = "otlp_receiver.parent_span_id"
"""Attribute with the parent's id as it was given, where it is not 16 lower-case hex digits."""
SPAN_ID = "otlp_receiver.span_id"
"""Attribute with the span id as it was given, where it is not 16 lower-case hex digits."""
START_MISSING = "otlp_receiver.start_time_missing"
"""Attribute: the span had no start time; what stands there is its end, or the time at which it was handed in."""
END_MISSING = "otlp_receiver.end_time_missing"
"""Attribute: the span had neither an end nor a duration; what stands there is its start."""

SERVICE = ("service.name", "service_name", "serviceName")

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
        self._marks = attributes_field(SPAN_ATTRIBUTE, marks) if marks else b""
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
        start, end, took = _basic_times(span) if basic else _times(span)
        undated = start is None and end is None
        marks = self._marks
        if start is None:
            start = self.now_ns if end is None else end - (took or 0)
            if undated or took is None:
                marks += self._fields.attributes({START_MISSING: True})
        if end is None:
            end = start + (took or 0)
            if took is None:
                marks += self._fields.attributes({END_MISSING: True})
        if start < 0 or end > LATEST_NS:
            raise InvalidTraceError("duration: it leads before 1970 or after the year 2262")
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

    def _more(self, span: Mapping[str, Any], start_ns: int) -> _More:
        """Return what only a span has that says more than name, times and attributes."""
        context = span.get("context")
        where = {**context, **span} if isinstance(context, Mapping) else span
        identity, marks = None, b""
        given = first_of(where, ("span_id", "spanId"))
        if has_id(given):
            identity, original = at("span_id", lambda value: span_id(value, self._trace_id), given)
            if original is not None:
                marks = attribute(SPAN_ATTRIBUTE, SPAN_ID, original)
        parent = b""
        given = first_of(span, ("parent_span_id", "parentSpanId", "parent_id", "parentId"))
        if has_id(given):
            parent, original = at("parent_span_id", lambda value: span_id(value, self._trace_id), given)
            if original is not None:
                marks += attribute(SPAN_ATTRIBUTE, PARENT_ID, original)
        given_kind = span.get("kind")
        resource = (
            None if span.get("resource") is None else at("resource", resource_attributes, span["resource"])
        )
        service = first_of(span, SERVICE)
        if not (isinstance(service, str) and service):
            service = None if resource is None else resource.get("service.name")
        state = first_of(where, ("trace_state", "traceState"))
        return _More(
            identity,
            parent,
            0 if given_kind is None else at("kind", kind, given_kind),
            _status(span),
            resource,
            service if isinstance(service, str) and service else None,
            marks
            + (sized(b"\x1a", utf8(state)) if isinstance(state, str) and state else b"")
            + _written("events", lambda value: events_field(events(value, start_ns)), span.get("events"))
            + _written("links", lambda value: links_field(links(value)), span.get("links")),
        )

    def _implied_status(self, pairs: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return the status that attributes imply; keys that say nothing about it are remembered."""
        quiet = self._quiet
        if quiet.issuperset(pairs):
            return None
        loud = []
        for key in pairs.keys() - quiet:
            if may_mark_errors(str(key)):
                loud.append(key)
            elif len(quiet) < _QUIET:
                quiet.add(key)
        return status_in(pairs, loud) if loud else None


@dataclass(slots=True)
class _More:
    """What a span says besides name, times and attributes."""

    span_id: bytes | None
    parent_span_id: bytes
    kind: int
    status: tuple[int, str] | None
    resource: Mapping[str, AttributeInput] | None
    service: str | None
    written: bytes
    """Marks, trace state, events and links as fields of a span."""


def resource_attributes(value: Any) -> dict[str, Any]:
    """Return a resource's attributes, given under ``attributes`` or directly.

    Raises:
        InvalidTraceError: They are neither a dict nor a list of ``{key, value}``.
    """
    if isinstance(value, Mapping) and isinstance(value.get("attributes"), Mapping | list):
        value = value["attributes"]
    return {str(key): each for key, each in attributes(value).items()}


def _basic_times(span: Mapping[str, Any]) -> tuple[int | None, int | None, None]:
    """Return start and end where there is no duration and no other spelling to look for."""
    place = "start_time"
    try:
        start = unix_ns(span.get("start_time"))
        place = "end_time"
        return start, unix_ns(span.get("end_time")), None
    except InvalidTraceError as error:
        raise InvalidTraceError(f"{place}: {error.message}", hint=error.hint) from None


def _times(span: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Return start, end and duration, as far as the span says."""
    start = _time(span, ("startTimeUnixNano", "start_time_unix_nano"), _START)
    end = _time(span, ("endTimeUnixNano", "end_time_unix_nano"), _END)
    if start is None or end is None:
        for name in DURATIONS:
            if span.get(name) is not None:
                return start, end, at(name, partial(span_duration_ns, name), span[name])
    return start, end, None


def _time(span: Mapping[str, Any], exact: Iterable[str], names: Iterable[str]) -> int | None:
    for name, read in (*((each, exact_ns) for each in exact), *((each, unix_ns) for each in names)):
        value = span.get(name)
        if value is not None:
            found: int | None = at(name, read, value)
            if found is not None:
                return found
    return None


def _status(span: Mapping[str, Any]) -> tuple[int, str] | None:
    given = first_of(span, ("status", "status_code", "statusCode"))
    said = first_of(span, ("status_message", "statusMessage"))
    if given is None and said is None:
        return None
    code, message = (0, "") if given is None else at("status", status, given)
    return code, message or (said if isinstance(said, str) else "")


def _written(name: str, write: Callable[[Any], bytes], value: Any) -> bytes:
    if not value:
        return b""
    try:
        written: bytes = at(name, write, value)
    except TypeError as error:
        raise InvalidTraceError(f"{name}: {error}") from None
    return written
