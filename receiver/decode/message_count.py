"""How many messages a serialized request holds, found out before anything is built from it.

In: one serialized export request. Out: nothing, or TooManyRecordsError. Why: a request is limited in bytes,
but a message of 2 bytes can be 80 in columns, so that 64 MiB of empty spans would be gigabytes. Promised:
no memory that grows with the request, and an end as soon as the limit is passed.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from google.protobuf.descriptor import Descriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from receiver.decode.wire import read_fields, tag_of
from receiver.errors import TooManyRecordsError
from receiver.signals import Signal

_LARGE_BYTES = 64 * 1024
"""A message of this size is always gone through, a smaller one only where the request looks suspicious."""
_LARGE_VALUE_BYTES = 1024
"""Nested values never become columns, so short ones stay uncounted even in a suspicious request."""
_NEVER = sys.maxsize
_MAX_NUMBER = 0xFFFF_FFFF
_CHUNK_BYTES = 256 * 1024


@dataclass(slots=True)
class _Part:
    """A field that holds messages, as the count sees it."""

    counted: bool
    enter_above: int
    """The message is gone through if it is longer than this."""
    is_value: bool
    shape: dict[int, _Part]


_Shape = dict[int, _Part]

_REQUESTS: dict[Signal, Descriptor] = {
    Signal.TRACES: trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR,
    Signal.METRICS: metrics_service_pb2.ExportMetricsServiceRequest.DESCRIPTOR,
    Signal.LOGS: logs_service_pb2.ExportLogsServiceRequest.DESCRIPTOR,
}
_RECORDS = frozenset(
    {
        "Span",
        "LogRecord",
        "NumberDataPoint",
        "HistogramDataPoint",
        "ExponentialHistogramDataPoint",
        "SummaryDataPoint",
    }
)
_VALUES = frozenset({"KeyValue", "AnyValue", "ArrayValue", "KeyValueList"})


class MessageLimit(Protocol):
    """**Protocol:** counts the messages of a request. Threads: any."""

    def __call__(self, signal: Signal, body: bytes, limit: int, /) -> None:
        """Return if the request holds at most ``limit`` messages; see :func:`refuse_too_many`."""
        ...


def refuse_too_many(signal: Signal, body: bytes, limit: int) -> None:
    """Return if the request holds at most ``limit`` messages.

    Counted are records, what they stand under, attributes, events, links, exemplars, quantiles, entity
    references, and the elements of long nested values.

    Honest requests are walked down to their records only, because a rough count of the bytes that could
    begin a message inside a record already says that there cannot be too many. Where it does not say so,
    the records are gone through too.

    Raises:
        MalformedRequestError: The bytes above the records are not such a request.
        TooManyRecordsError: It holds more.

    Threads: any; blocks for a third of a microsecond a record (a message, where records are gone through).
    """
    left = _Count(body, limit).through(_shape(_REQUESTS[signal], thorough=False))
    if _possible_messages(signal, body, enough=left) > left:
        _Count(body, limit).through(_shape(_REQUESTS[signal], thorough=True))


def too_many_messages(limit: int) -> TooManyRecordsError:
    """Return the error for a request that holds more than ``limit`` messages."""
    return TooManyRecordsError(
        f"the request holds more than {limit} records, attributes, events and links",
        hint="send smaller batches, or raise limits.request_messages",
    )


@cache
def shape_numbers(signal: Signal) -> array[int]:
    """Return what is counted, for the compiled count (``compiled/src/count.rs``).

    Twice, for every request and for a suspicious one: the number of shapes, the request's own first; of each the
    number of its parts; of each part the field's number, whether it is counted, whether it is a value, the size
    above which it is gone through, and its shape. Then the bytes that may begin a message inside a record.
    """
    numbers: list[int] = []
    for thorough in (False, True):
        shapes = _reachable(_shape(_REQUESTS[signal], thorough=thorough))
        places = {id(shape): place for place, shape in enumerate(shapes)}
        numbers.append(len(shapes))
        for shape in shapes:
            numbers.append(len(shape))
            for tag, part in shape.items():
                above = min(part.enter_above, _MAX_NUMBER)
                numbers += (tag >> 3, part.counted, part.is_value, above, places[id(part.shape)])
    numbers += [lead | high for lead in _leads(signal) for high in (0, 0x80)]
    return array("I", numbers)


def _reachable(root: _Shape) -> list[_Shape]:
    found, places = [root], {id(root)}
    for shape in found:
        for part in shape.values():
            if id(part.shape) not in places:
                places.add(id(part.shape))
                found.append(part.shape)
    return found


class _Count:
    """Counts messages and stops at the limit."""

    def __init__(self, body: bytes, limit: int) -> None:
        self._body = body
        self._limit = self._left = limit
        self._values: list[tuple[_Shape, int, int]] = []

    def through(self, shape: _Shape) -> int:
        """Return how many more messages there could be."""
        self._walk(shape, 0, len(self._body))
        return self._left

    def _walk(self, shape: _Shape, start: int, end: int) -> None:
        """Count a message; recursion ends where the schema does, values can nest and wait in a list."""
        self._fields(shape, start, end)
        while self._values:
            self._fields(*self._values.pop())

    def _fields(self, shape: _Shape, start: int, end: int) -> None:
        for tag, _, value, stop in read_fields(self._body, start, end):
            part = shape.get(tag)
            if part is None:
                continue
            if part.counted:
                self._left -= 1
                if self._left < 0:
                    raise too_many_messages(self._limit)
            if stop - value > part.enter_above:
                if part.is_value:
                    self._values.append((part.shape, value, stop))
                else:
                    self._walk(part.shape, value, stop)


def _possible_messages(signal: Signal, body: bytes, *, enough: int) -> int:
    """Return an upper bound of the messages inside records; any number above ``enough`` says "too many".

    A message needs its tag, so there are at most as many as there are bytes that look like one.
    """
    import numpy as np  # noqa: PLC0415 - the scan does without, and so does a start (see routes)

    leads = _leads(signal)
    found = 0
    for offset in range(0, len(body), _CHUNK_BYTES):
        chunk = np.frombuffer(body, np.uint8, min(_CHUNK_BYTES, len(body) - offset), offset)
        low = chunk & 0x7F  # a tag may be written longer than it has to be, its high bit set
        found += sum(int(np.count_nonzero(low == lead)) for lead in leads)
        if found > enough:
            break
    return found


@cache
def _leads(signal: Signal) -> tuple[int, ...]:
    """Return the low seven bits of the tags that hold messages inside records and scopes."""
    leads: set[int] = set()
    pending = [_REQUESTS[signal]]
    while pending:
        descriptor = pending.pop()
        for tag, repeated, below in _messages_in(descriptor):
            if repeated and not _is_envelope(descriptor):
                leads.add(tag & 0x7F)
            if below.name not in _VALUES:
                pending.append(below)
    return tuple(sorted(leads))


@cache
def _shape(request: Descriptor, *, thorough: bool) -> _Shape:
    """Return which fields of a request are counted and which are gone through."""
    shapes: dict[str, _Shape] = {}

    def shape_of(descriptor: Descriptor) -> _Shape:
        known = shapes.get(descriptor.full_name)
        if known is None:
            known = shapes[descriptor.full_name] = {}  # entered first: values contain themselves
            for tag, repeated, below in _messages_in(descriptor):
                shape = shape_of(below)
                above = _enter_above(below, thorough=thorough)
                known[tag] = _Part(repeated, above, below.name in _VALUES, shape)
        return known

    return shape_of(request)


def _enter_above(descriptor: Descriptor, *, thorough: bool) -> int:
    """Return the size in bytes above which such a message is gone through."""
    if not _messages_in(descriptor):
        return _NEVER
    if descriptor.name in _VALUES:
        return _LARGE_VALUE_BYTES if thorough else _LARGE_BYTES
    return 0 if thorough or _is_envelope(descriptor) else _LARGE_BYTES


def _is_envelope(descriptor: Descriptor) -> bool:
    """Return True for what stands above records, and for resources: few, and gone through every time."""
    return descriptor.name == "Resource" or any(
        below.name in _RECORDS or _is_envelope(below)
        for _, _, below in _messages_in(descriptor)
        if below.name not in _VALUES
    )


def _messages_in(descriptor: Descriptor) -> list[tuple[int, bool, Descriptor]]:
    """Return the fields that hold messages: tag, repeated or not, and of what type."""
    return [(tag_of(f.number), f.is_repeated, f.message_type) for f in descriptor.fields if f.message_type]
