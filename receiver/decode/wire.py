"""The protobuf wire format: where the fields of a serialized message begin and end, and nothing more.

In: bytes of one message, no schema. Out: offsets, so that a caller copies only what it keeps. Nothing here
recurses, and whatever the bytes are, the answer is fields or MalformedRequestError.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from receiver.errors import MalformedRequestError

Buffer = bytes | memoryview

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)

_MAX_VARINT_BYTES = 10
_MAX_TAG = 0xFFFF_FFFF
_MAX_LENGTH = 0x7FFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_DOUBLE = struct.Struct("<d")


def tag_of(number: int, wire_type: int = LENGTH) -> int:
    """Return the tag that stands before a field: its number and wire type in one integer."""
    return number << 3 | wire_type


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """Return the unsigned 64-bit varint at ``position`` and the offset behind it.

    Raises:
        MalformedRequestError: It is cut off or longer than ten bytes.
    """
    value = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > _U64:
                    break
                return value, position
            shift += 7
            if shift >= 7 * _MAX_VARINT_BYTES:
                break
    except IndexError:
        raise _truncated(position) from None
    raise MalformedRequestError(f"malformed protobuf: the varint that ends at byte {position} is too long")


def read_int64(data: Buffer, position: int) -> int:
    """Return the varint at ``position`` as protobuf's int64 (two's complement)."""
    value, _ = read_varint(data, position)
    return value - (1 << 64) if value >> 63 else value


def read_double(data: Buffer, position: int) -> float:
    """Return the eight bytes at ``position`` as protobuf's double."""
    value: float = _DOUBLE.unpack_from(data, position)[0]
    return value


def encode_varint(value: int) -> bytes:
    """Return the shortest varint of a value that is not negative."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_fields(data: Buffer, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Yield ``(tag, begin, value, end)`` of each field between ``start`` and ``end``, in their order.

    ``data[begin:end]`` is the whole field; ``data[value:end]`` is what stands behind its tag (and behind
    its length, where it has one). A group counts as one field and is not looked into.

    Args:
        data: Any buffer that holds the message.
        start: Where the message begins.
        end: Where it ends; the end of ``data`` if not given.

    Raises:
        MalformedRequestError: The fields do not fill the range exactly, or a tag is none.
    """
    limit = len(data) if end is None else end
    position = start
    try:
        while position < limit:
            begin = position
            # Nearly all tags and lengths are one byte: those are read here, without a call.
            tag = data[position]
            position += 1
            if tag > 0x7F:
                tag, position = read_varint(data, begin)
            if tag & 7 == LENGTH:
                size = data[position]
                position += 1
                if size > 0x7F:
                    size, position = read_varint(data, position - 1)
                value = position
                position += size
            else:
                value = position
                position = _skip(data, tag, position)
            if position > limit:
                raise _truncated(limit)
            if not 8 <= tag <= _MAX_TAG:
                raise MalformedRequestError(f"malformed protobuf: no field has the tag at byte {begin}")
            yield tag, begin, value, position
    except IndexError:
        raise _truncated(limit) from None


def _skip(data: Buffer, tag: int, position: int) -> int:
    """Return the offset behind the value at ``position``, which is not length-delimited."""
    kind = tag & 7
    if kind == VARINT:
        return position + 1 if data[position] < 0x80 else read_varint(data, position)[1]
    if kind == FIXED64:
        return position + 8
    if kind == FIXED32:
        return position + 4
    if kind == START_GROUP:
        return _skip_group(data, tag, position)
    raise MalformedRequestError(f"malformed protobuf: wire type {kind} before byte {position}")


def _skip_group(data: Buffer, tag: int, position: int) -> int:
    """Return the offset behind a group, whatever is nested in it; like upb, read no field numbers."""
    open_groups = [tag >> 3]
    while open_groups:
        inner, position = read_varint(data, position)
        if inner & 7 == START_GROUP:
            open_groups.append(inner >> 3)
        elif inner & 7 == END_GROUP:
            if open_groups.pop() != inner >> 3:
                raise MalformedRequestError(f"malformed protobuf: a group ends twice before byte {position}")
        elif inner & 7 == LENGTH:
            size, position = read_varint(data, position)
            if size > _MAX_LENGTH:
                raise _truncated(position)
            position += size
        else:
            position = _skip(data, inner, position)
    return position


def _truncated(position: int) -> MalformedRequestError:
    return MalformedRequestError(
        f"malformed protobuf: a field runs past byte {position}, where its message ends"
    )
