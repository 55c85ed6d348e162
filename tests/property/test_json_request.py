"""OTLP/JSON to protobuf, for any request: nothing is lost or changed, and nothing but a refusal is raised."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.decode.json_request import protobuf_from_json
from receiver.errors import PermanentError
from receiver.signals import Signal

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
# The way down to the records: always there, so that most examples have records.
SPINE = {
    "resource_spans",
    "scope_spans",
    "spans",
    "resource_metrics",
    "scope_metrics",
    "metrics",
    "data_points",
    "resource_logs",
    "scope_logs",
    "log_records",
}
ID_NAMES = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
DEEPEST = 4  # AnyValues within AnyValues; the reference decoder ends at 33

texts = st.text(max_size=6)
# Only one of the many bit patterns of NaN can be told in JSON.
doubles = st.floats().map(lambda number: float("nan") if number != number else number)  # noqa: PLR0124
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=17),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: doubles,
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 30),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
}


def fill(draw: st.DrawFn, message: Message, depth: int = 0) -> None:
    """Set some fields of a message, and of what it holds, to any values that they can have."""
    descriptor: Any = message.DESCRIPTOR
    depth += descriptor.name == "AnyValue"
    fields = [field for field in descriptor.fields if depth < DEEPEST or field.message_type is None]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=5, unique_by=lambda field: field.number))
    chosen += [field for field in fields if field.name in SPINE and field not in chosen]
    for field in chosen:  # of a oneof the last one stays
        value = getattr(message, field.name)
        if field.message_type is not None and field.is_repeated:
            for _ in range(draw(st.integers(1, 2))):
                fill(draw, value.add(), depth)
        elif field.message_type is not None:
            value.SetInParent()
            fill(draw, value, depth)
        elif field.is_repeated:
            value.extend(draw(st.lists(SCALARS[field.type], max_size=3)))
        else:
            setattr(message, field.name, draw(SCALARS[field.type]))


@st.composite
def requests(draw: st.DrawFn) -> tuple[Signal, Message]:
    """Draw a request of any signal."""
    signal = draw(st.sampled_from(list(Signal)))
    message = REQUESTS[signal]()
    fill(draw, message)
    return signal, message


def with_hex_ids(value: Any) -> Any:
    """Return the dictionary of a message with ids as OTLP writes them: in hex, not in base64."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(member).hex() if name in ID_NAMES else with_hex_ids(member)
            for name, member in value.items()
        }
    return [with_hex_ids(element) for element in value] if isinstance(value, list) else value


@given(requests(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_request_written_as_json_is_read_back_equal(
    request: tuple[Signal, Message], snake: bool, numbers: bool, ascii_only: bool, defaults: bool
) -> None:
    """The protobuf of a request's OTLP/JSON decodes to the request, whichever way the JSON is spelt."""
    signal, message = request
    document = MessageToDict(
        message,
        preserving_proto_field_name=snake,
        use_integers_for_enums=numbers,
        always_print_fields_with_no_presence=defaults,
    )
    body = json.dumps(with_hex_ids(document), ensure_ascii=ascii_only).encode()
    converted = protobuf_from_json(signal, body, max_objects=10_000)
    read = REQUESTS[signal].FromString(converted.payload)
    # Bytes and not messages are compared, because a NaN is not equal to itself.
    assert read.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)
    assert converted.warnings == ()


def known_names(descriptor: Any, seen: set[str]) -> set[str]:
    """Return the JSON names of all fields in a message type and in those that it holds."""
    if descriptor.full_name in seen:
        return set()
    seen.add(descriptor.full_name)
    names = {field.json_name for field in descriptor.fields}
    for field in descriptor.fields:
        if field.message_type is not None:
            names |= known_names(field.message_type, seen)
    return names


NAMES = sorted(set().union(*(known_names(request.DESCRIPTOR, set()) for request in REQUESTS.values())))
json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=6)
    | st.sampled_from(["1", "-1", "1e3", "NaN", "SPAN_KIND_SERVER", "\ud800", "AAAA", "00"])
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


def convert_or_refuse(signal: Signal, body: bytes) -> None:
    """Fail unless the body becomes protobuf that the reference decoder reads, or a permanent refusal."""
    with contextlib.suppress(PermanentError):
        REQUESTS[signal].FromString(protobuf_from_json(signal, body, max_objects=1000).payload)


@given(st.sampled_from(list(Signal)), json_values, st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_json_is_converted_or_refused(signal: Signal, value: Any, ascii_only: bool) -> None:
    """JSON of any shape, OTLP's names in the wrong places included, raises nothing but a refusal."""
    convert_or_refuse(signal, json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass"))


@given(requests(), st.data())
@settings(max_examples=200, deadline=None)
def test_any_request_with_one_value_exchanged_is_converted_or_refused(
    request: tuple[Signal, Message], data: st.DataObject
) -> None:
    """Anything at all in the place of one value of a good request raises nothing but a refusal."""
    signal, message = request
    document: Any = with_hex_ids(MessageToDict(message))
    container: Any = {"": document}
    place: Any = ""
    inner = document
    while isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 9)):
        places = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        container, place = inner, data.draw(st.sampled_from(places))
        inner = container[place]
    container[place] = data.draw(json_values)
    convert_or_refuse(signal, json.dumps(document).encode())


@given(requests(), st.binary(max_size=4), st.data())
@settings(max_examples=200, deadline=None)
def test_any_damaged_body_is_converted_or_refused(
    request: tuple[Signal, Message], junk: bytes, data: st.DataObject
) -> None:
    """Bytes cut out of a good body, and others put in, raise nothing but a refusal."""
    signal, message = request
    body = json.dumps(with_hex_ids(MessageToDict(message)), ensure_ascii=False).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 5, len(body))))
    convert_or_refuse(signal, body[:start] + junk + body[end:])


@given(st.sampled_from(list(Signal)), st.binary())
@settings(deadline=None)
def test_any_bytes_are_converted_or_refused(signal: Signal, body: bytes) -> None:
    """A body that is no JSON at all is refused."""
    convert_or_refuse(signal, body)
