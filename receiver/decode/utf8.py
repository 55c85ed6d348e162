"""Rescue of requests that protobuf refuses as a whole because one string is not UTF-8.

In: a request that was refused. Out: the same request with U+FFFD where the bad bytes were (a string that
was cut in the middle of a character is the usual cause), or MalformedRequestError if that was not what was
wrong with it. It costs a walk over Python messages, about 10 µs a span, and only such requests pay it.

How: a second set of message classes, made from the descriptors that opentelemetry-proto ships, in which
every ``string`` is ``bytes``, so that nothing is checked while parsing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from receiver.decode.anyvalue import decode_any_value
from receiver.errors import MalformedRequestError
from receiver.signals import Signal

# In the order of their imports, as a descriptor pool wants them.
_FILES = (
    common_pb2,
    resource_pb2,
    trace_pb2,
    logs_pb2,
    metrics_pb2,
    trace_service_pb2,
    logs_service_pb2,
    metrics_service_pb2,
)
_REQUESTS = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
}
_ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"


@dataclass(frozen=True, slots=True)
class RepairedRequest:
    """A request whose strings are all UTF-8."""

    body: bytes
    strings: int
    """How many strings were changed; 0 means that ``body`` says what it said before."""


@dataclass(frozen=True, slots=True)
class _Twin:
    """The messages of OTLP with bytes for strings."""

    requests: dict[Signal, type[Message]]
    strings: frozenset[str]
    """Full names of the fields that really are strings."""


def repair_utf8(signal: Signal, body: bytes) -> RepairedRequest:
    """Return the request with every string valid; all else, unknown fields included, says what it said.

    A request nested too deep for protobuf's parser (about 33 kvlists or 50 arrays) is repaired outside its
    arrays and kvlists only; those are checked and left as they are, since whoever reads them
    (:func:`receiver.decode.anyvalue.decode_any_value`) repairs them again.

    Raises:
        MalformedRequestError: The bytes are wrong in another way; the message says what the parser said.
        TooManyRecordsError: A value of a request nested too deep holds too many values.

    Threads: any; blocks for the length of a parse, a walk and a serialization.
    """
    twin = _twin(flat=False)
    message = twin.requests[signal]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        twin = _twin(flat=True)
        message = twin.requests[signal]()
        try:
            message.ParseFromString(body)
        except DecodeError:
            raise MalformedRequestError(f"the {signal} request is not valid protobuf: {error}") from error
    strings = _repair(message, twin.strings)
    return RepairedRequest(message.SerializeToString(), strings)


def _repair(root: Message, strings: frozenset[str]) -> int:
    """Repair the strings of a message in place and return how many; the stack is a list, no recursion."""
    repaired = 0
    stack = [root]
    while stack:
        message = stack.pop()
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                stack.extend(value if field.is_repeated else (value,))
            elif field.type != FieldDescriptor.TYPE_BYTES:
                continue
            elif field.full_name in strings:
                if field.is_repeated:
                    for index, item in enumerate(value):
                        if not _is_utf8(item):
                            value[index] = _replaced(item)
                            repaired += 1
                elif not _is_utf8(value):
                    setattr(message, field.name, _replaced(value))
                    repaired += 1
            elif field.full_name == f"{_ANY_VALUE}.array_value":
                decode_any_value(value, kind="array")
            elif field.full_name == f"{_ANY_VALUE}.kvlist_value":
                decode_any_value(value, kind="kvlist")
    return repaired


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _replaced(data: bytes) -> bytes:
    return data.decode(errors="replace").encode()


@cache
def _twin(*, flat: bool) -> _Twin:
    """Return the twin messages; the flat ones have bytes for arrays and kvlists too, so that none nests."""
    pool = DescriptorPool()
    strings: set[str] = set()
    for module in _FILES:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for name, message in _messages(file.message_type, file.package):
            for field in message.field:
                if field.type == FieldDescriptorProto.TYPE_STRING:
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    strings.add(f"{name}.{field.name}")
                elif flat and name == _ANY_VALUE and field.type == FieldDescriptorProto.TYPE_MESSAGE:
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    requests = {
        signal: GetMessageClass(pool.FindMessageTypeByName(name)) for signal, name in _REQUESTS.items()
    }
    return _Twin(requests, frozenset(strings))


def _messages(messages: Iterable[DescriptorProto], package: str) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield each message with its full name, nested ones included."""
    for message in messages:
        name = f"{package}.{message.name}"
        yield name, message
        yield from _messages(message.nested_type, name)
