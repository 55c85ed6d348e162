"""OTLP/JSON to OTLP/protobuf: one request body in, the bytes of the same request as protobuf out.

The wire bytes are written straight from the parsed JSON, along the descriptors, with no message object and
no recursion: a value may be nested as deep as the JSON parser goes (about 250 levels of key-value lists),
while ``opentelemetry-proto`` refuses a whole request beyond 33. What the bytes hold is not judged here:
spans without an id pass and are rejected later, one by one, as they are for every encoding.

Decided here, where the specification leaves it open:

- lowerCamelCase and snake_case names are both read (rule J4); both for one field are an error.
- Of a name that occurs twice in one object, the last one counts.
- A byte order mark before the object is skipped, as RFC 8259 (section 8.1) allows.
- Invalid UTF-8 and lone surrogates become U+FFFD and a warning: one bad character must not cost a batch.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (OTLP 1.11).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.decode.json_fields import (
    Field,
    Fields,
    Find,
    InvalidFieldError,
    describe,
    message_fields,
    varint,
)
from receiver.errors import MalformedRequestError, TooManyRecordsError
from receiver.signals import Signal

_FIELDS = {
    Signal.TRACES: message_fields(ExportTraceServiceRequest.DESCRIPTOR),
    Signal.METRICS: message_fields(ExportMetricsServiceRequest.DESCRIPTOR),
    Signal.LOGS: message_fields(ExportLogsServiceRequest.DESCRIPTOR),
}
# Commas and opening brackets that a body may have per object: bounds the elements of arrays without objects.
# A span with eight attributes has two per object; the rest is for bucket counts and for text in strings.
# Measured on CPython 3.11 with the default of 250,000 objects, conversion included: bodies of as many
# objects or elements as are allowed take 50 to 200 MiB.
_SEPARATORS_PER_OBJECT = 8
_LONGEST_PATH = 300  # characters of a path that an error message shows
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonRequest:
    """One OTLP/JSON request, as protobuf."""

    payload: bytes
    """A serialized Export<Signal>ServiceRequest; its fields stand in the order of the JSON."""
    warnings: tuple[str, ...]
    """What was repaired, for the client to read; empty for a request that was as it should be."""


def protobuf_from_json(signal: Signal, body: bytes, *, max_objects: int, quote: bool = True) -> JsonRequest:
    """Return the request that an OTLP/JSON body stands for, every value exact.

    Args:
        signal: Which request the body is.
        body: The whole body, decompressed.
        max_objects: Most ``{`` in the body, and an eighth of the most ``,`` and ``[`` together; those
            inside strings count too, because the counting must cost nothing compared with parsing.
        quote: False: an error says where a value does not fit, and repeats nothing of it.

    Raises:
        MalformedRequestError: The body is not JSON, or not this request; says where and what.
        TooManyRecordsError: Parsing the body would take too much memory.

    Threads: any; blocks and holds the GIL.
    """
    _check_size(body, max_objects)
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return JsonRequest(_encode(_FIELDS[signal], orjson.loads(body)), ())
    except (orjson.JSONDecodeError, InvalidFieldError):
        # The fast parser makes a double of an integer above 64 bits and refuses what can be repaired.
        # The slow one does neither; what it finds wrong is wrong.
        document, repaired = _parse_exactly(body)
    try:
        payload = _encode(_FIELDS[signal], document)
    except InvalidFieldError as error:
        where = f"{error.where}: " if error.where else ""
        what = error.what if quote else "the value is not one that the field can hold"
        raise MalformedRequestError(f"{where}{what}") from None
    return JsonRequest(payload, _repair_warnings(repaired))


def _check_size(body: bytes, max_objects: int) -> None:
    hint = "send protobuf or smaller batches, or raise limits.json_objects"
    objects = body.count(b"{")
    if objects > max_objects:
        raise TooManyRecordsError(
            f"the JSON body holds {objects} objects and {max_objects} are allowed", hint=hint
        )
    separators = body.count(b",") + body.count(b"[")
    if separators > max_objects * _SEPARATORS_PER_OBJECT:
        raise TooManyRecordsError(
            f"the JSON body holds {separators} commas and arrays"
            f" and {max_objects * _SEPARATORS_PER_OBJECT} are allowed",
            hint=hint,
        )


@dataclass(slots=True)
class _Level:
    """A message, or a list of messages, that is being written."""

    name: str | int
    find: Find
    container: dict[str, Any]
    """The JSON of the message; empty for a list."""
    members: Iterator[tuple[Any, Any]]
    tag: bytes
    """Of the message; empty for the outermost one and for a list, which have no length of their own."""
    place: int
    """Index in the output that tag and length go to."""
    size: int = 0
    chosen: str = ""
    """The member of the oneof that is set."""

    def claim(self, name: str, field: Field) -> None:
        """Take a name that excludes others.

        Raises:
            InvalidFieldError: One of those is set.
        """
        if field.other_spelling and self.container.get(field.other_spelling) is not None:
            raise InvalidFieldError(f"{field.other_spelling} is set too; it is the same field")
        if field.in_oneof and self.chosen:
            raise InvalidFieldError(f"{self.chosen} is set too; only one of them may be")
        if field.in_oneof:
            self.chosen = name


def _encode(fields: Fields, document: Any) -> bytes:
    """Return the wire bytes of a message.

    Every message is written before its length is known: its place in ``out`` is kept, and its tag and
    length are put there when its last field is done. A list of messages is walked like a message whose
    fields are its indices.

    Raises:
        InvalidFieldError: With the whole path in ``where``.
    """
    if type(document) is not dict:
        raise InvalidFieldError(f"the body is {describe(document)}, not one JSON object")
    out: list[bytes] = []
    parents: list[_Level] = []
    level = _Level("", fields.get, document, iter(document.items()), b"", 0)
    name: Any = ""
    try:
        while True:
            find = level.find
            for name, value in level.members:
                field = find(name)
                if field is None or (value is None and not field.is_element):
                    continue
                if field.in_oneof or field.other_spelling:
                    level.claim(name, field)
                if field.encode is not None:
                    data = field.encode(value)
                    out.append(data)
                    level.size += len(data)
                    continue
                inner = _open(name, field, value, len(out))
                if inner.tag:
                    out.append(b"")
                parents.append(level)
                level = inner
                break
            else:
                if not parents:
                    return b"".join(out)
                done, level = level, parents.pop()
                level.size += done.size
                if done.tag:
                    prefix = done.tag + varint(done.size)
                    out[done.place] = prefix
                    level.size += len(prefix)
    except InvalidFieldError as error:
        path = _path([*(parent.name for parent in parents), level.name, name])
        raise InvalidFieldError(error.what, where=path + error.where) from None


def _open(name: str | int, field: Field, value: Any, place: int) -> _Level:
    assert field.find is not None  # noqa: S101 - a field has either a codec or an inside
    if field.repeated:
        if type(value) is not list:
            raise InvalidFieldError(f"{describe(value)} is not an array")
        return _Level(name, field.find, {}, enumerate(value), b"", place)
    if type(value) is not dict:
        raise InvalidFieldError(f"{describe(value)} is not an object")
    return _Level(name, field.find, value, iter(value.items()), field.tag, place)


def _path(names: list[str | int]) -> str:
    text = "".join(f"[{name}]" if type(name) is int else f".{name}" for name in names if name != "")
    text = text.removeprefix(".")
    if len(text) <= _LONGEST_PATH:
        return text
    return f"{text[: _LONGEST_PATH // 2]}...{text[-_LONGEST_PATH // 2 :]}"


def _parse_exactly(body: bytes) -> tuple[Any, int]:
    """Return what the body holds, no integer rounded, and how many strings had to be repaired.

    Raises:
        MalformedRequestError: It is not JSON.
    """
    if not body.strip():
        raise MalformedRequestError("the body is empty", hint="an empty request is {}")
    text = body.decode(errors=_MARK)
    try:
        document = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        hint = "one request is one JSON object" if error.msg == "Extra data" else None
        raise MalformedRequestError(f"the body is not valid JSON: {error}", hint=hint) from None
    except RecursionError:
        raise MalformedRequestError("the JSON body is nested too deeply") from None
    return document, _repair(document)


def _integer(text: str) -> float:
    # 21 characters are beyond every integer field; int() would refuse some thousand digits, float() never.
    return int(text) if len(text) <= 20 else float(text)


def _number(text: str) -> float:
    """Return an int where a double would be the wrong integer: -9.223372036854775807e18 is one."""
    number = float(text)
    if 2.0**53 <= abs(number) <= 2.0**64:
        exact = Decimal(text)
        if exact == exact.to_integral_value():
            return int(exact)
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise MalformedRequestError(
        f"the body is not valid JSON: {text} must be a string", hint=f'write "{text}"'
    )


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    """Stand in for a run of invalid UTF-8 with a lone surrogate, which is repaired later, and counted."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - registered for decoding only
    return "\udcff", error.end


_MARK = "receiver.mark-invalid"
codecs.register_error(_MARK, _mark_invalid)


def _repair(document: Any) -> int:
    """Replace every lone surrogate in the values of a document, in place; return how many strings had some."""
    repaired = 0
    waiting = [document]
    while waiting:
        container = waiting.pop()
        if type(container) is dict:
            members: Iterable[tuple[Any, Any]] = container.items()
        elif type(container) is list:
            members = enumerate(container)
        else:
            continue
        for place, value in members:
            if type(value) is str:
                if not value.isascii() and _LONE_SURROGATES.search(value):
                    # A value is replaced under its own key: the items may go on being read meanwhile.
                    container[place] = _LONE_SURROGATES.sub("\ufffd", value)
                    repaired += 1
            elif type(value) is dict or type(value) is list:
                waiting.append(value)
    return repaired


def _repair_warnings(repaired: int) -> tuple[str, ...]:
    if not repaired:
        return ()
    strings = "1 string" if repaired == 1 else f"{repaired} strings"
    return (f"{strings} had invalid UTF-8, replaced by U+FFFD",)
