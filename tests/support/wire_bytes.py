"""Serialized messages put together by hand, for what no message class would write."""

from __future__ import annotations

from typing import Literal

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from receiver.decode.wire import encode_varint, tag_of


def field(number: int, content: bytes) -> bytes:
    """Return one length-delimited field."""
    return encode_varint(tag_of(number)) + encode_varint(len(content)) + content


def nested_value(levels: int, number: Literal[5, 6], innermost: bytes | None = None) -> bytes:
    """Return an AnyValue, of int 7 if no other is given, inside so many arrays (5) or kvlists (6)."""
    data = AnyValue(int_value=7).SerializeToString() if innermost is None else innermost
    for _ in range(levels):
        data = field(number, field(1, data if number == 5 else field(1, b"k") + field(2, data)))
    return data
