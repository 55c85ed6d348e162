"""How each field of an OTLP message goes from JSON to the wire; read from the descriptors, not written by hand.

In: the message types of ``opentelemetry-proto``. Out: per type a table that says, for each name that
may stand in JSON, what to write. Promised: a value that the field cannot hold raises
:class:`InvalidFieldError`; nothing is rounded, cut or wrapped around.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (OTLP 1.11) and
https://protobuf.dev/programming-guides/json/ for everything it does not say.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Codec = Callable[[Any], bytes]
"""Turns a JSON value into its wire bytes, or raises InvalidFieldError."""
Find = Callable[[Any], "Field | None"]
"""Returns what a name (or an index) of a JSON container stands for; None where it means nothing."""

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_DOUBLE = struct.Struct("<d")
_EXACT = 2.0**53  # from here on a double no longer tells neighbouring integers apart
_SHORT = [bytes([n]) for n in range(0x80)]
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class InvalidFieldError(ValueError):
    """A JSON value is not one that its field can hold; becomes a MalformedRequestError with the full path."""

    def __init__(self, what: str, *, where: str = "") -> None:
        """Keep what is wrong and, inside a list of scalars, at which index."""
        super().__init__(what)
        self.what = what
        self.where = where


@dataclass(frozen=True, slots=True)
class Field:
    """What to do with the value of one name in one message type."""

    tag: bytes
    encode: Codec | None = None
    """Writes tag and value of a field that holds no messages; None for one that does."""
    find: Find | None = None
    """For a field that holds messages: finds the fields inside by name, or the elements by index."""
    repeated: bool = False
    is_element: bool = False
    """True for a message in a list: there null is an error (rule J7)."""
    in_oneof: bool = False
    other_spelling: str = ""
    """For a snake_case name its lowerCamelCase twin; only one of the two may be given."""


Fields = dict[str, Field]
"""The fields of one message type, by lowerCamelCase and by snake_case name (rule J4)."""


def varint(number: int) -> bytes:
    """Return the base-128 varint of a number of at most 64 unsigned bits."""
    if number < 0x80:
        return _SHORT[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def describe(value: Any) -> str:
    """Return a short text for a JSON value in an error message; long and nested ones are not repeated."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return f'"{value}"' if len(value) <= 40 else f'"{value[:40]}..."'
        case dict():
            return "an object"
        case list():
            return "an array"
        case float() if math.isinf(value):
            return "a number beyond the range of a double"
        case _:
            return str(value)


def _integer(value: Any, *, low: int, high: int, kind: str) -> int:
    """Return the exact integer that a JSON number or string stands for (rules J5, J8).

    A double from 2**53 on is refused: which integer the sender wrote can no longer be told. The caller
    then parses the body again in a way that keeps such numbers as integers.
    """
    number: int | None = None
    if type(value) is int:
        number = value
    elif type(value) is str and len(value) <= 20 and value.isascii() and value.isdecimal():
        number = int(value)
    elif type(value) is str and _NUMBER.fullmatch(value):
        number = _exact_integer(value, low, high)
    elif type(value) is float and abs(value) < _EXACT and value.is_integer():
        number = int(value)
    if number is None or not low <= number <= high:
        raise InvalidFieldError(f"{describe(value)} is not {kind}")
    return number


def _exact_integer(text: str, low: int, high: int) -> int | None:
    try:
        exact = Decimal(text)
    except ArithmeticError:  # an exponent of nineteen digits and more
        return None
    # The range comes first: int(Decimal("1e999999")) would be a million digits long.
    return int(exact) if low <= exact <= high and exact == exact.to_integral_value() else None


def _unsigned_varint(value: Any, *, high: int, kind: str) -> bytes:
    return varint(_integer(value, low=0, high=high, kind=kind))


def _signed_varint(value: Any, *, bits: int, kind: str) -> bytes:
    number = _integer(value, low=-(1 << bits - 1), high=(1 << bits - 1) - 1, kind=kind)
    return varint(number & 0xFFFF_FFFF_FFFF_FFFF)  # a negative int32 is sign-extended to 64 bits as well


def _zigzag32(value: Any) -> bytes:
    number = _integer(value, low=-(1 << 31), high=(1 << 31) - 1, kind="a signed 32-bit integer")
    return varint((number << 1) ^ (number >> 31))


def _fixed(value: Any, *, layout: struct.Struct, low: int, high: int, kind: str) -> bytes:
    return layout.pack(_integer(value, low=low, high=high, kind=kind))


def _double(value: Any) -> bytes:
    number: float | None = None
    if type(value) is float or type(value) is int:
        number = float(value)
    elif type(value) is str:
        if value in _FLOATS:
            return _DOUBLE.pack(_FLOATS[value])
        if _NUMBER.fullmatch(value):
            number = float(value)
    if number is None:
        raise InvalidFieldError(f"{describe(value)} is not a number")
    if math.isinf(number):
        raise InvalidFieldError(f'{describe(value)} is not a double; infinity is written "Infinity"')
    return _DOUBLE.pack(number)


def _bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise InvalidFieldError(f"{describe(value)} is not true or false")
    return _SHORT[value]


def _string(value: Any) -> bytes:
    if type(value) is not str:
        raise InvalidFieldError(f"{describe(value)} is not a string")
    data = value.encode()
    return varint(len(data)) + data


def _base64(value: Any) -> bytes:
    """Accept the standard and the URL-safe alphabet, with and without padding, as proto3 JSON asks."""
    text = value.translate({0x2D: "+", 0x5F: "/"}) if type(value) is str else ""
    digits = text.rstrip("=")
    if type(value) is not str or not _BASE64.fullmatch(text) or len(digits) % 4 == 1:
        raise InvalidFieldError(f"{describe(value)} is not base64")
    data = base64.b64decode(digits + "=" * (-len(digits) % 4))
    return varint(len(data)) + data


def _identifier(value: Any, *, size: int) -> bytes:
    """Write an id that is hex, in either case (rule J1), and mark one that is not as invalid.

    A bad id spoils one record, not the request: what is written for it always has a wrong length, so
    that the id check, which sees every encoding alike, rejects the span or detaches the log record.
    Hex of a wrong length is decoded as it is; anything else goes over as its UTF-8 bytes, made longer
    by one byte 0xff where they happen to be as many as an id has.
    """
    if type(value) is not str:
        raise InvalidFieldError(f"{describe(value)} is not a string of hex digits")
    try:
        data = binascii.unhexlify(value)
    except ValueError:  # binascii.Error is one; unlike bytes.fromhex, no white space is skipped
        data = value.encode()
        if len(data) == size:
            data += b"\xff"
    return varint(len(data)) + data


def _enum(value: Any, *, values: dict[str, int], name: str) -> bytes:
    """Write a number, known or not, or a known name, which no sender should use (rule J2)."""
    if type(value) is str and value in values:
        value = values[value]
    return _signed_varint(value, bits=32, kind=f"a value of {name}")


_SIGNED_64 = "a signed 64-bit integer"
_UNSIGNED_64 = "an unsigned 64-bit integer"
_UNSIGNED_32 = "an unsigned 32-bit integer"
_SCALARS: dict[int, tuple[int, Codec]] = {
    FieldDescriptor.TYPE_STRING: (_DELIMITED, _string),
    FieldDescriptor.TYPE_BYTES: (_DELIMITED, _base64),
    FieldDescriptor.TYPE_BOOL: (_VARINT, _bool),
    FieldDescriptor.TYPE_DOUBLE: (_FIXED64, _double),
    FieldDescriptor.TYPE_INT32: (
        _VARINT,
        partial(_signed_varint, bits=32, kind="a signed 32-bit integer"),
    ),
    FieldDescriptor.TYPE_INT64: (_VARINT, partial(_signed_varint, bits=64, kind=_SIGNED_64)),
    FieldDescriptor.TYPE_UINT32: (
        _VARINT,
        partial(_unsigned_varint, high=(1 << 32) - 1, kind=_UNSIGNED_32),
    ),
    FieldDescriptor.TYPE_UINT64: (
        _VARINT,
        partial(_unsigned_varint, high=(1 << 64) - 1, kind=_UNSIGNED_64),
    ),
    FieldDescriptor.TYPE_SINT32: (_VARINT, _zigzag32),
    FieldDescriptor.TYPE_FIXED32: (
        _FIXED32,
        partial(_fixed, layout=struct.Struct("<I"), low=0, high=(1 << 32) - 1, kind=_UNSIGNED_32),
    ),
    FieldDescriptor.TYPE_FIXED64: (
        _FIXED64,
        partial(_fixed, layout=struct.Struct("<Q"), low=0, high=(1 << 64) - 1, kind=_UNSIGNED_64),
    ),
    FieldDescriptor.TYPE_SFIXED64: (
        _FIXED64,
        partial(_fixed, layout=struct.Struct("<q"), low=-(1 << 63), high=(1 << 63) - 1, kind=_SIGNED_64),
    ),
}


def _scalar(descriptor: FieldDescriptor) -> tuple[int, Codec]:
    enum: EnumDescriptor | None = descriptor.enum_type
    if enum is not None:
        values = {value.name: value.number for value in enum.values}
        return _VARINT, partial(_enum, values=values, name=enum.name)
    if descriptor.type == FieldDescriptor.TYPE_BYTES and descriptor.name in _ID_BYTES:
        return _DELIMITED, partial(_identifier, size=_ID_BYTES[descriptor.name])
    return _SCALARS[descriptor.type]


def _joined(value: Any, codec: Codec, tag: bytes) -> bytes:
    if type(value) is not list:
        raise InvalidFieldError(f"{describe(value)} is not an array")
    out = bytearray()  # not a list of bytes: a million bounds would take five times their size
    for index, element in enumerate(value):
        try:
            out += tag + codec(element)
        except InvalidFieldError as error:
            raise InvalidFieldError(error.what, where=f"[{index}]") from None
    return bytes(out)


def _encoder(descriptor: FieldDescriptor, tag: bytes, wire_type: int, codec: Codec) -> Codec:
    if descriptor.is_packed:

        def packed(value: Any) -> bytes:
            data = _joined(value, codec, b"")
            return tag + varint(len(data)) + data if data else b""

        return packed
    if descriptor.is_repeated:
        return lambda value: _joined(value, codec, tag)
    if descriptor.has_presence:  # optional fields and members of a oneof: zero is a value like any other
        return lambda value: tag + codec(value)
    zero = bytes({_FIXED64: 8, _FIXED32: 4}.get(wire_type, 1))

    def implicit(value: Any) -> bytes:
        data = codec(value)
        return b"" if data == zero else tag + data

    return implicit


def message_fields(message: Descriptor, known: dict[str, Fields] | None = None) -> Fields:
    """Return the fields of a message type and, within them, those of all types that it holds.

    Args:
        message: The message type.
        known: What was made already, by full name of type; a type may hold itself (AnyValue).
    """
    known = {} if known is None else known
    if message.full_name in known:
        return known[message.full_name]
    fields = known[message.full_name] = {}
    for member in message.fields:
        made = _field(member, known)
        fields[member.json_name] = made
        if member.name != member.json_name:
            fields[member.name] = replace(made, other_spelling=member.json_name)
    return fields


def _field(member: FieldDescriptor, known: dict[str, Fields]) -> Field:
    oneof = member.containing_oneof
    in_oneof = oneof is not None and len(oneof.fields) > 1  # proto3 "optional" is a oneof of one
    held: Descriptor | None = member.message_type
    if held is None:
        wire_type, codec = _scalar(member)
        tag = varint(member.number << 3 | (_DELIMITED if member.is_packed else wire_type))
        return Field(tag, encode=_encoder(member, tag, wire_type, codec), in_oneof=in_oneof)
    tag = varint(member.number << 3 | _DELIMITED)
    find: Find = message_fields(held, known).get
    if not member.is_repeated:
        return Field(tag, find=find, in_oneof=in_oneof)
    element = Field(tag, find=find, is_element=True)
    return Field(tag, find=lambda _index: element, repeated=True)
