"""Trace dicts as Python code writes them by hand, OTLP-JSON dicts and SDK spans: each becomes units.

A trace dict has ``trace_id`` and ``spans``; docs/python.md lists the names and forms that a span may have. One
trace is one unit: the same trace again is a duplicate, a trace with its id and other content is stored besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import xxhash

from receiver.errors import InvalidTraceError, PermanentError
from receiver.otlp.encode import encode_request, encode_scope
from receiver.otlp.span_fields import SpanFields, text_attribute
from receiver.otlp.wire import RESOURCE_ATTRIBUTE, attributes, sized, utf8
from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.source import unit_key
from receiver.sources.trace_dicts.fields import at, first_of, shown
from receiver.sources.trace_dicts.fields import attributes as attributes_of
from receiver.sources.trace_dicts.fields import trace_id as trace_id_bytes
from receiver.sources.trace_dicts.otlp import checked_request, with_system_id
from receiver.sources.trace_dicts.sdk import SdkSpan, is_sdk_span
from receiver.sources.trace_dicts.span import SERVICE, DictSpan, DictSpans, resource_attributes

SCOPE = "otlp-receiver/python"
"""Instrumentation scope of spans that were made of trace dicts."""
TRACE_ID = "otlp_receiver.trace_id"
"""Attribute with the trace id as it was given, where it is not 32 lower-case hex digits."""
SYSTEM_ID = "system_id"
"""Resource attribute: which system a trace comes from."""
UNKNOWN = "unknown"

ReadOtlp = Callable[[bytes], bytes]
"""Turns an OTLP/JSON request into protobuf; raises a PermanentError for what is none."""

_HOUR_NS = 3_600_000_000_000
_TRACE_ID_KEY = sized(b"\x0a", utf8(TRACE_ID))
_BASIC = frozenset({"trace_id", "spans"})
_REMEMBERED = 10_000


class TraceDicts:
    """Turns traces into units. Threads: one at a time; blocks for the CPU only."""

    def __init__(self, *, read_otlp: ReadOtlp | None = None, system_id: str | None = None) -> None:
        """Remember nothing yet.

        Args:
            read_otlp: Reads OTLP-JSON dicts; None: they are refused.
            system_id: Of every trace that names none itself; None, "" or "unknown": found by the service's name.
        """
        self._fields = SpanFields()
        self._spans = DictSpans(self._fields)
        self._read_otlp = read_otlp
        self._system_id = known_system(system_id)
        self._scope = encode_scope(SCOPE)
        self._hour = -1, b""
        self._resources: dict[tuple[str | None, str], bytes] = {}

    def units(self, trace: Any, *, now_ns: int | None = None) -> list[ImportUnit]:
        """Return the units of one trace: its key is that of its content, whenever it is handed in.

        Args:
            trace: A trace dict, an OTLP-JSON dict, or an SDK's ``ReadableSpan``.
            now_ns: What stands where a time is missing; the present if None.

        Raises:
            InvalidTraceError: It is no trace, and nothing of it may be stored; says what is wrong and where.
        """
        now = time.time_ns() if now_ns is None else now_ns
        try:
            if trace.__class__ is dict or isinstance(trace, Mapping):
                if "resourceSpans" in trace or "resource_spans" in trace:
                    return [self._of_otlp(trace)]
                return [self._of_dict(trace, now)]
            if is_sdk_span(trace):
                return [self._of_sdk(trace, now)]
        except RecursionError:
            raise InvalidTraceError("the trace is nested too deep") from None
        raise InvalidTraceError(
            f"{shown(trace)} is not a trace", hint="hand in a dict with trace_id and spans"
        )

    def _of_dict(self, trace: Mapping[str, Any], now_ns: int) -> ImportUnit:
        given = trace.get("trace_id") or trace.get("traceId")
        if given is None or given == "":
            raise InvalidTraceError("trace_data missing required field: trace_id")
        spans = trace.get("spans")
        if spans.__class__ is not list:
            if spans is None:
                raise InvalidTraceError("trace_data missing required field: spans")
            if not isinstance(spans, list | tuple):
                raise InvalidTraceError(f"spans: {shown(spans)} is not a list")
        if not spans:
            raise InvalidTraceError("spans: the list is empty, so there is nothing to store")
        trace_id, original = at("trace_id", trace_id_bytes, given)
        marks = b"" if original is None else text_attribute(_TRACE_ID_KEY, original)
        if trace.get("attributes"):
            spans = _with_attributes(spans, at("attributes", attributes_of, trace["attributes"]))
        read = self._all(spans, trace_id, marks, now_ns)
        payload = self._payload(trace, read)
        for span in read:
            if span.undated:  # its key must not depend on when it is handed in
                read = self._all(spans, trace_id, marks, 0)
                return self._unit(read[0].start_ns, self._payload(trace, read), payload)
        return self._unit(read[0].start_ns, payload, payload)

    def _all(self, spans: Sequence[Any], trace_id: bytes, marks: bytes, now_ns: int) -> list[DictSpan]:
        self._spans.begin(trace_id, marks, now_ns)
        return [self._read(number, span) for number, span in enumerate(spans)]

    def _unit(self, start_ns: int, content: bytes, payload: bytes) -> ImportUnit:
        """Return a unit whose key is that of its content, beside those of the same hour."""
        hour = start_ns // _HOUR_NS
        if hour != self._hour[0]:
            self._hour = hour, unit_key(str(hour))[:8]
        return ImportUnit(self._hour[1] + xxhash.xxh3_64_digest(content), Signal.TRACES, payload)

    def _read(self, number: int, span: Any) -> DictSpan:
        try:
            if span.__class__ is dict or isinstance(span, Mapping):
                return self._spans.read(number, span)
            if is_sdk_span(span):
                return _in_a_dict(SdkSpan.of(span, self._fields, self._spans.now_ns))
        except InvalidTraceError as error:
            raise InvalidTraceError(f"spans[{number}].{error.message}", hint=error.hint) from None
        raise InvalidTraceError(f"spans[{number}]: {shown(span)} is not a span")

    def _payload(self, trace: Mapping[str, Any], spans: list[DictSpan]) -> bytes:
        """Return the request, the spans grouped by their resources in the order of the dict."""
        service = spans[0].service
        given = self._system_id
        shared: dict[str, Any] = {}
        if not trace.keys() <= _BASIC:
            shared = at("resource", resource_attributes, trace.get("resource"))
            named = first_of(trace, SERVICE)
            service = (named if isinstance(named, str) and named else _service_of(shared)) or service
            given = known_system(trace.get(SYSTEM_ID)) or given
        if service is None:
            service = next((span.service for span in spans if span.service), None)
        system = given or known_system(shared.get(SYSTEM_ID)) or system_of(service) or UNKNOWN
        fallback = service or given
        if not shared:
            for span in spans:
                if span.resource is not None or (span.service is not None and span.service != fallback):
                    break
            else:
                written = b"".join([span.written for span in spans])
                return encode_request([(self._known_resource(fallback, system), self._scope, written)])
        groups: dict[tuple[bytes, bytes], list[bytes]] = {}
        for span in spans:
            if shared or span.resource is not None:
                resource = self._resource({**shared, **(span.resource or {})}, span.service, fallback, system)
            else:
                resource = self._known_resource(span.service or fallback, system)
            groups.setdefault((resource, span.scope or self._scope), []).append(span.written)
        return encode_request([(*where, b"".join(written)) for where, written in groups.items()])

    def _resource(
        self, pairs: dict[str, Any], service: str | None, fallback: str | None, system: str
    ) -> bytes:
        name = service or _service_of(pairs) or fallback
        if name:
            pairs["service.name"] = name
        pairs.setdefault(SYSTEM_ID, system)
        return _written_resource(pairs)

    def _known_resource(self, service: str | None, system: str) -> bytes:
        found = self._resources.get((service, system))
        if found is None:
            if len(self._resources) >= _REMEMBERED:
                self._resources.clear()
            found = attributes(RESOURCE_ATTRIBUTE, {"service.name": service, SYSTEM_ID: system})
            self._resources[service, system] = found
        return found

    def _of_sdk(self, span: Any, now_ns: int) -> ImportUnit:
        read = SdkSpan.of(span, self._fields, now_ns)
        pairs = dict(read.resource)
        service = _service_of(pairs)
        if service is None and self._system_id:
            pairs["service.name"] = self._system_id
        pairs.setdefault(SYSTEM_ID, self._system_id or system_of(service) or UNKNOWN)
        resource = _written_resource(pairs)
        payload = encode_request([(resource, read.scope, read.written)], schema_url=read.resource_schema_url)
        known = SdkSpan.of(span, self._fields, 0).written if read.undated else payload
        return self._unit(0 if read.undated else read.start_ns, known, payload)

    def _of_otlp(self, trace: Mapping[str, Any]) -> ImportUnit:
        if self._read_otlp is None:
            raise InvalidTraceError("resourceSpans: OTLP-JSON is not read here")
        request = with_system_id(trace, self._system_id, system_of)
        try:
            body = orjson.dumps(request)
        except (TypeError, orjson.JSONEncodeError) as error:
            raise InvalidTraceError(f"it cannot be written as JSON: {error}") from None
        try:
            payload = self._read_otlp(body)
        except InvalidTraceError:
            raise
        except PermanentError as error:
            raise InvalidTraceError(error.message, hint=error.hint) from None
        return self._unit(checked_request(payload), payload, payload)


def _with_attributes(spans: Sequence[Any], pairs: Mapping[str, Any]) -> Sequence[Any]:
    """Return the spans, the first of them with the attributes of the trace besides its own."""
    first = spans[0]
    if not isinstance(first, Mapping):
        return spans
    own = at("spans[0].attributes", attributes_of, first.get("attributes"))
    return [{**first, "attributes": {**pairs, **own}}, *spans[1:]]


def _written_resource(pairs: Mapping[str, Any]) -> bytes:
    try:
        return attributes(RESOURCE_ATTRIBUTE, pairs)
    except TypeError as error:
        raise InvalidTraceError(f"resource: {error}") from None


def _in_a_dict(span: SdkSpan) -> DictSpan:
    return DictSpan(
        span.written, span.start_ns, _service_of(span.resource), span.resource, span.scope, span.undated
    )


def system_of(service: str | None) -> str | None:
    """Return the system that a service's name tells: claude, qwen, or else the name itself."""
    if not service:
        return None
    lowered = service.lower()
    for name in ("claude", "qwen"):
        if name in lowered:
            return name
    return service


def known_system(value: Any) -> str | None:
    """Return the system id, or None for what says that it is not known."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidTraceError(f"system_id: {shown(value)} is not a text")
    return None if value == UNKNOWN else value


def _service_of(pairs: Mapping[str, Any]) -> str | None:
    name = pairs.get("service.name")
    return name if isinstance(name, str) and name else None
