"""OTLP messages in their wire format: which signal a request is of, and how many records it has.

Source: https://protobuf.dev/programming-guides/encoding/ and opentelemetry-proto's trace, logs and metrics.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import zstandard

from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.documents import DOCUMENT_LIMIT, UNFINISHED, Damage, Document, Piece

_LENGTH = struct.Struct(">I")
_ZSTD = b"\x28\xb5\x2f\xfd"
_VARINT, _FIXED64, _LEN, _FIXED32 = 0, 1, 2, 5
_POINTS = frozenset({5, 7, 9, 10, 11})
"""Fields of a Metric that hold data points, each under its field 1."""


class SizedMessages:
    """Messages with their length in four bytes, big-endian, in front; each may be compressed with zstd.

    A length that cannot be true ends the file: nothing says where the next message begins.
    """

    def __init__(self, limit: int = DOCUMENT_LIMIT) -> None:
        """Take lengths beyond ``limit`` for damage."""
        self._limit = limit
        self._held = bytearray()
        self._count = 0
        self._broken = False

    @property
    def unfinished(self) -> bool:
        """Return True while a message is not whole."""
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the messages that end in these bytes."""
        if self._broken:
            return
        self._held += data
        at = 0
        while len(self._held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held, at)
            if length > self._limit:
                self._broken = True
                yield Damage(f"message {self._count + 1} claims {length:,} bytes; nothing behind it is read")
                self._held.clear()
                return
            end = at + _LENGTH.size + length
            if end > len(self._held):
                break
            self._count += 1
            yield self._document(bytes(self._held[at + _LENGTH.size : end]))
            at = end
        del self._held[:at]

    def finish(self) -> Iterator[Piece]:
        """Say whether the last message breaks off."""
        if self._held:
            self._held.clear()
            yield Damage(UNFINISHED.replace("line", "message"))

    def _document(self, message: bytes) -> Piece:
        name = f"message {self._count}"
        if message.startswith(_ZSTD):
            try:
                with zstandard.ZstdDecompressor().stream_reader(message) as reader:
                    message = reader.read(self._limit + 1)
            except zstandard.ZstdError:
                return Damage(f"{name} cannot be decompressed")
            if len(message) > self._limit:
                return Damage(f"{name} holds more than {self._limit:,} bytes")
        return Document(message, None, name)


def looks_sized(head: bytes) -> bool:
    """Return True if the bytes begin with a length and a message of that length."""
    if len(head) < _LENGTH.size + 2:
        return False
    (length,) = _LENGTH.unpack_from(head)
    inside = head[_LENGTH.size : _LENGTH.size + length]
    if not 2 <= length <= DOCUMENT_LIMIT:
        return False
    if inside.startswith(_ZSTD):
        return True
    return inside[:1] == b"\x0a" and (len(inside) < length or signal_of_protobuf(inside) is not None)


def signal_of_protobuf(request: bytes) -> Signal | None:
    """Return the signal of a request, told by the first record in it; None if it is none."""
    try:
        for record in _records(request):
            kinds = {(field, kind) for field, kind, _, _ in _fields(request, *record)}
            if {(1, _FIXED64), (11, _FIXED64)} & kinds:
                return Signal.LOGS
            if {(7, _FIXED64), (8, _FIXED64)} & kinds:
                return Signal.TRACES
            if (1, _LEN) in kinds and {(field, _LEN) for field in _POINTS} & kinds:
                return Signal.METRICS
    except (IndexError, ValueError):
        pass
    return None


def record_count(unit: ImportUnit) -> int:
    """Return how many spans, log records or data points a unit has."""
    payload = unit.payload
    if unit.signal is not Signal.METRICS:
        return sum(1 for _ in _records(payload))
    return sum(
        1
        for record in _records(payload)
        for field, kind, start, end in _fields(payload, *record)
        if field in _POINTS and kind == _LEN
        for point, inner, _, _ in _fields(payload, start, end)
        if point == 1 and inner == _LEN
    )


def _records(request: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each span, log record or metric lies: request.1 → resource.2 → scope.2."""
    for field, kind, start, end in _fields(request, 0, len(request)):
        if (field, kind) != (1, _LEN):
            continue
        for scope, kind_of_scope, inner, inner_end in _fields(request, start, end):
            if (scope, kind_of_scope) == (2, _LEN):
                for record, kind_of_record, begin, stop in _fields(request, inner, inner_end):
                    if (record, kind_of_record) == (2, _LEN):
                        yield begin, stop


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, begin and end of each field."""
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        start = at
        if kind == _LEN:
            length, start = _varint(data, at)
            at = start + length
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        else:
            raise ValueError(kind)
        if at > end:
            raise ValueError(at)
        yield tag >> 3, kind, start, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(shift)
