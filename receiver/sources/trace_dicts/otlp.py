"""OTLP-JSON dicts as Python holds them: the system is written in, and what would be refused is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.errors import InvalidTraceError

_SYSTEM_ID = "system_id"


def with_system_id(
    request: Mapping[str, Any], given: str | None, system_of: Callable[[str | None], str | None]
) -> Mapping[str, Any]:
    """Return the request with the attribute ``system_id`` in each resource that has none; the given one is as it was.

    Args:
        request: With ``resourceSpans`` or ``resource_spans``.
        given: The system of all of them; None: what the service's name tells.
        system_of: Tells it.
    """
    name = "resourceSpans" if "resourceSpans" in request else "resource_spans"
    groups = request[name]
    if not isinstance(groups, list | tuple):
        return request  # the reader of OTLP says what is wrong with it
    return {**request, name: [_marked(group, given, system_of) for group in groups]}


def _marked(group: Any, given: str | None, system_of: Callable[[str | None], str | None]) -> Any:
    if not isinstance(group, Mapping):
        return group
    resource = group.get("resource")
    resource = {} if resource is None else resource
    if not isinstance(resource, Mapping):
        return group
    pairs = resource.get("attributes")
    pairs = [] if pairs is None else pairs
    if not isinstance(pairs, list | tuple):
        return group
    texts = {
        each.get("key"): each["value"].get("stringValue", each["value"].get("string_value"))
        for each in pairs
        if isinstance(each, Mapping)
        and isinstance(each.get("value"), Mapping)
        and isinstance(each.get("key"), str)
    }
    if _SYSTEM_ID in texts:
        return group
    service = texts.get("service.name")
    system = given or system_of(service if isinstance(service, str) else None)
    added = [{"key": _SYSTEM_ID, "value": {"stringValue": system}}] if system else []
    if given and not service:
        added.append({"key": "service.name", "value": {"stringValue": given}})
    return {**group, "resource": {**resource, "attributes": [*pairs, *added]}}


def checked_request(payload: bytes) -> int:
    """Return the earliest start of a span in the request, in Unix nanoseconds.

    Raises:
        InvalidTraceError: It holds no span, or one that a receiver refuses.
    """
    try:
        request = ExportTraceServiceRequest.FromString(payload)
    except DecodeError:
        raise InvalidTraceError("it is nested too deep") from None
    starts = []
    for first, group in enumerate(request.resource_spans):
        for second, scope in enumerate(group.scope_spans):
            for third, span in enumerate(scope.spans):
                place = f"resourceSpans[{first}].scopeSpans[{second}].spans[{third}]"
                for name, value, size in (("traceId", span.trace_id, 16), ("spanId", span.span_id, 8)):
                    if len(value) != size or not any(value):
                        raise InvalidTraceError(
                            f"{place}.{name}: it is not an id",
                            hint=f"it has {2 * size} hex digits, not all 0",
                        )
                if len(span.parent_span_id) not in {0, 8}:
                    raise InvalidTraceError(f"{place}.parentSpanId: it is not an id")
                starts.append(span.start_time_unix_nano)
    if not starts:
        raise InvalidTraceError("resourceSpans: there is no span in it, so there is nothing to store")
    return min(starts)
