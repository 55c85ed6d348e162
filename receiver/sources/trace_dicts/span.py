"""One span of a trace dict, read and written: ids, times and marks where something is missing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import xxhash

from receiver.errors import InvalidTraceError
from receiver.otlp.span import AttributeInput
from receiver.otlp.span_fields import SpanFields
from receiver.otlp.span_fields import events as events_field
from receiver.otlp.span_fields import links as links_field
from receiver.otlp.span_fields import status as status_field
from receiver.otlp.wire import SPAN_ATTRIBUTE, attribute, sized, utf8
from receiver.sources.trace_dicts.fields import (
    at,
    attributes,
    events,
    first_of,
    has_id,
    is_http_status,
    kind,
    links,
    may_mark_errors,
    shown,
    span_id,
    status,
    status_in,
)
from receiver.sources.trace_dicts.times import DURATIONS, Moments, exact_ns, span_duration_ns, unix_ns
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
_SEEN = 20_000
_PLACE = struct.Struct("<QQ").pack
_START_MARK = attribute(SPAN_ATTRIBUTE, START_MISSING, True)
_END_MARK = attribute(SPAN_ATTRIBUTE, END_MISSING, True)


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
        self._moments = Moments()
        self._seen: set[str] = set()
        """Keys of attributes that were met; in the next those that may mark errors, True for HTTP status codes."""
        self._loud: dict[str, bool] = {}
        self._trace_id = b""
        self._marks = b""
        self.now_ns = 0

    def begin(self, trace_id: bytes, marks: bytes, now_ns: int) -> None:
        """Read spans of this trace from here on.

        Args:
            trace_id: 16 bytes.
            marks: Attributes that every span of it gets besides its own, written.
            now_ns: What stands where a start is missing.
        """
        self._trace_id = trace_id
        self._marks = marks
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
        if service.__class__ is not str or not service:
            service = None
        more = None
        took = None
        if span.keys() <= _BASIC:
            start, end = self._basic_times(span)
        else:
            start, end, took = _times(span)
            more = self._more(span)
            service = service or more.service
        rest = self._marks
        undated = False
        if start is None or end is None:
            undated = start is None and end is None
            start, end, marks = _completed(start, end, took, self.now_ns)
            rest += marks
        try:
            rest = self._fields.attributes(pairs) + rest
        except TypeError as error:
            raise InvalidTraceError(f"attributes: {error}") from None
        said = None if more is None else more.status
        if said is None:
            said = self._implied_status(pairs)
        if said is not None:
            rest += status_field(*said)
        if more is None:
            identity = self._derived_id(number, name, 0 if undated else start)
            written = self._fields.span((self._trace_id, identity, b""), name, 0, (start, end), rest)
            return DictSpan(written, start, service, None, None, undated)
        identity = more.span_id or self._derived_id(number, name, 0 if undated else start)
        rest += more.written + _events_and_links(span, start)
        ids = (self._trace_id, identity, more.parent_span_id)
        written = self._fields.span(ids, name, more.kind, (start, end), rest)
        return DictSpan(written, start, service, more.resource, None, undated)

    def _derived_id(self, number: int, name: str, start_ns: int) -> bytes:
        """Return the id of a span that has none: the same whenever the trace is handed in."""
        place = _PLACE(number, start_ns)
        return xxhash.xxh3_64_digest(b"span\0" + self._trace_id + place + utf8(name)) or b"\1" * 8

    def _basic_times(self, span: Mapping[str, Any]) -> tuple[int | None, int | None]:
        """Return start and end where there is no duration and no other spelling to look for."""
        place = "start_time"
        try:
            start = self._moments.unix_ns(span.get("start_time"))
            place = "end_time"
            return start, self._moments.unix_ns(span.get("end_time"))
        except InvalidTraceError as error:
            raise InvalidTraceError(f"{place}: {error.message}", hint=error.hint) from None

    def _more(self, span: Mapping[str, Any]) -> _More:
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
            marks + (sized(b"\x1a", utf8(state)) if isinstance(state, str) and state else b""),
        )

    def _implied_status(self, pairs: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return the status that attributes imply; keys that say nothing about it are remembered."""
        if not self._seen.issuperset(pairs):
            for key in pairs.keys() - self._seen:
                if len(self._seen) >= _SEEN:
                    self._seen.clear()
                    self._loud.clear()
                self._seen.add(key)
                if may_mark_errors(str(key)):
                    self._loud[key] = is_http_status(key)
            return status_in(pairs, filter(may_mark_errors, map(str, pairs)))
        for key, is_code in self._loud.items():
            value = pairs.get(key)
            if value is not None and not (is_code and value.__class__ is int and value < 500):
                return status_in(pairs, [each for each in self._loud if each in pairs])
        return None


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
    """Marks and trace state as fields of a span."""


def resource_attributes(value: Any) -> dict[str, Any]:
    """Return a resource's attributes, given under ``attributes`` or directly.

    Raises:
        InvalidTraceError: They are neither a dict nor a list of ``{key, value}``.
    """
    if isinstance(value, Mapping) and isinstance(value.get("attributes"), Mapping | list):
        value = value["attributes"]
    return {str(key): each for key, each in attributes(value).items()}


def _completed(start: int | None, end: int | None, took: int | None, now_ns: int) -> tuple[int, int, bytes]:
    """Return start and end, one of which was missing, and marks that say what was made up."""
    marks = b""
    if start is None:
        start = now_ns if end is None else end - (took or 0)
        if end is None or took is None:
            marks += _START_MARK
    if end is None:
        end = start + (took or 0)
        if took is None:
            marks += _END_MARK
    if start < 0 or end > LATEST_NS:
        raise InvalidTraceError("duration: it leads before 1970 or after the year 2262")
    return start, end, marks


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


def _events_and_links(span: Mapping[str, Any], start_ns: int) -> bytes:
    return _written(
        "events", lambda value: events_field(events(value, start_ns)), span.get("events")
    ) + _written("links", lambda value: links_field(links(value)), span.get("links"))


def _written(name: str, write: Callable[[Any], bytes], value: Any) -> bytes:
    if not value:
        return b""
    try:
        written: bytes = at(name, write, value)
    except TypeError as error:
        raise InvalidTraceError(f"{name}: {error}") from None
    return written
