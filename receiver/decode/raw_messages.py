"""OTLP's messages with ``bytes`` wherever OTLP says ``string``: nothing is checked while they are parsed.

Made from the descriptors that opentelemetry-proto ships. For work on single strings of a request, some of which
may not be UTF-8; message objects cost about 10 µs a span, so this is no way for the usual request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from receiver.signals import Signal

ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"
KEY_VALUE = "opentelemetry.proto.common.v1.KeyValue"
ARRAY_VALUE = "opentelemetry.proto.common.v1.ArrayValue"
KEY_VALUE_LIST = "opentelemetry.proto.common.v1.KeyValueList"

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


@dataclass(frozen=True, slots=True)
class RawMessages:
    """The messages of OTLP with bytes for strings."""

    requests: dict[Signal, type[Message]]
    array: type[Message]
    """ArrayValue."""
    kvlist: type[Message]
    """KeyValueList."""
    strings: frozenset[str]
    """Full names of the fields that really are strings."""


@cache
def raw_messages(*, flat: bool) -> RawMessages:
    """Return the messages; the flat ones have bytes for arrays and kvlists too, so that none nests."""
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
                elif flat and name == ANY_VALUE and field.type == FieldDescriptorProto.TYPE_MESSAGE:
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    return RawMessages(
        requests={s: GetMessageClass(pool.FindMessageTypeByName(name)) for s, name in _REQUESTS.items()},
        array=GetMessageClass(pool.FindMessageTypeByName(ARRAY_VALUE)),
        kvlist=GetMessageClass(pool.FindMessageTypeByName(KEY_VALUE_LIST)),
        strings=frozenset(strings),
    )


def _messages(messages: Iterable[DescriptorProto], package: str) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield each message with its full name, nested ones included."""
    for message in messages:
        name = f"{package}.{message.name}"
        yield name, message
        yield from _messages(message.nested_type, name)
