"""Rescue of requests that protobuf refuses as a whole because one string is not UTF-8.

In: a request that was refused. Out: the same request with U+FFFD where the bad bytes were (a string that
was cut in the middle of a character is the usual cause), or MalformedRequestError if that was not what was
wrong with it. It costs a walk over Python messages, about 10 µs a span, and only such requests pay it.

How: with the messages of :mod:`receiver.decode.raw_messages`, which check no string while they are parsed.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from receiver.decode.anyvalue import decode_any_value
from receiver.decode.raw_messages import ANY_VALUE, raw_messages
from receiver.errors import MalformedRequestError
from receiver.signals import Signal


@dataclass(frozen=True, slots=True)
class RepairedRequest:
    """A request whose strings are all UTF-8."""

    body: bytes
    strings: int
    """How many strings were changed; 0 means that ``body`` says what it said before."""


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
    raw = raw_messages(flat=False)
    message = raw.requests[signal]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raw = raw_messages(flat=True)
        message = raw.requests[signal]()
        try:
            message.ParseFromString(body)
        except DecodeError:
            raise MalformedRequestError(f"the {signal} request is not valid protobuf: {error}") from error
    strings = _repair(message, raw.strings)
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
            elif field.full_name == f"{ANY_VALUE}.array_value":
                decode_any_value(value, kind="array")
            elif field.full_name == f"{ANY_VALUE}.kvlist_value":
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
