"""OTLP's AnyValue as strict JSON text: typed, reversible, and safe for values that were made to hurt.

In: serialized ``AnyValue``, ``ArrayValue``, ``KeyValueList`` or ``KeyValue`` bytes. Out: JSON without
spaces, that any strict parser reads, and warnings. What JSON cannot say is said by objects with a key
that starts with a single ``@``:

======================================  ==============================================================
``{"@bytes":"<base64>"}``               bytes, or a part nested too deep (its serialized ``AnyValue``)
``{"@double":"NaN"}``                   also ``"Infinity"`` and ``"-Infinity"``
``{"@empty":true}``                     an ``AnyValue`` without a value, or a ``KeyValue`` without one
``"@duplicates":[{"<key>":value}, …]``  last in an object in which keys were given more than once
======================================  ==============================================================

- A real key that starts with ``@`` gets one more: ``@x`` is written ``@@x``.
- Doubles carry ``.`` or ``e`` (``1.0``, ``1e+300``), integers neither.
- Of equal keys the last wins, at its own place; the earlier ones stand in ``@duplicates`` in their order,
  each as an object of one key. Only the order between duplicates and other keys is lost.
- Fields of a later OTLP are skipped; a member of the oneof set twice counts as protobuf counts it
  (the last wins, the same array or kvlist twice in a row is joined).

Nothing recurses: arrays and kvlists are opened to 64 levels, the outermost array or kvlist being the first.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from receiver.decode.wire import FIXED64, VARINT, Buffer, read_double, read_fields, read_int64, tag_of
from receiver.errors import TooManyRecordsError

MAX_DEPTH = 64
MAX_VALUES = 1_000_000
"""How many values one value may be made of: an empty one is 2 bytes on the wire and 16 in JSON."""

TOO_DEEP = f"value nested deeper than {MAX_DEPTH} levels kept as bytes"
INVALID_UTF8 = "invalid UTF-8 in an attribute or value replaced by U+FFFD"
STRING_INDEX = "string index of the profiles signal treated as absent"

EMPTY = '{"@empty":true}'

# common.proto: AnyValue's oneof, and the repeated field that both containers have
_STRING, _BOOL, _INT, _DOUBLE = tag_of(1), tag_of(2, VARINT), tag_of(3, VARINT), tag_of(4, FIXED64)
_ARRAY, _KVLIST, _BYTES, _STRING_INDEX = tag_of(5), tag_of(6), tag_of(7), tag_of(8, VARINT)
_MEMBERS = frozenset({_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _KVLIST, _BYTES, _STRING_INDEX})
_VALUES = tag_of(1)
_KEY, _VALUE, _KEY_INDEX = tag_of(1), tag_of(2), tag_of(3, VARINT)


@dataclass(frozen=True, slots=True)
class DecodedValue:
    """A value as JSON text, and what a client should know about how it got there."""

    json: str
    warnings: frozenset[str]


def decode_any_value(
    data: bytes, *, kind: Literal["any", "array", "kvlist"], max_values: int = MAX_VALUES
) -> DecodedValue:
    """Return the JSON text of one serialized value.

    Args:
        data: The bytes of an ``AnyValue``, ``ArrayValue`` or ``KeyValueList``.
        kind: Which of the three.
        max_values: How many array elements and pairs it may hold, nested ones included.

    Raises:
        MalformedRequestError: The bytes are not what ``kind`` says; parts nested too deep are not checked.
        TooManyRecordsError: It holds more than ``max_values``.

    Source: https://github.com/open-telemetry/opentelemetry-proto, common/v1/common.proto
    """
    decoder = _Decoder(max_values)
    view = memoryview(data)
    if kind == "array":
        text = decoder.run(_Array(_elements(view)))
    elif kind == "kvlist":
        text = decoder.run(_Object(_elements(view)))
    else:
        opened = decoder.open(view, depth=0)
        text = opened if isinstance(opened, str) else decoder.run(opened)
    return DecodedValue(text, frozenset(decoder.warnings))


def decode_key_values(pairs: Iterable[Buffer], *, max_values: int = MAX_VALUES) -> DecodedValue:
    """Return the JSON object of serialized ``KeyValue`` messages; the object itself is no level of depth.

    Raises:
        MalformedRequestError: A pair is not a ``KeyValue``.
        TooManyRecordsError: There are more than ``max_values``, nested ones included.
    """
    decoder = _Decoder(max_values)
    text = decoder.run(_Object(iter(pairs)), max_depth=MAX_DEPTH + 1)
    return DecodedValue(text, frozenset(decoder.warnings))


def read_key_value(pair: Buffer) -> tuple[Buffer, Buffer, bool]:
    """Return a ``KeyValue``'s key as it came, its serialized value, and True if it has a string index.

    A value that is absent is the same as one without fields: empty bytes.
    """
    key: Buffer = b""
    value: Buffer = b""
    indexed = False
    for tag, _, start, end in read_fields(pair):
        if tag == _KEY:
            key = pair[start:end]
        elif tag == _VALUE:
            # A message given twice is merged, and merging is what parsing the joined bytes does.
            value = b"".join((value, pair[start:end])) if value else pair[start:end]
        elif tag == _KEY_INDEX:
            indexed = True
    return key, value, indexed


class _Array:
    """An array that is being written: what is left of it, and its elements so far."""

    __slots__ = ("_rest", "_texts")

    def __init__(self, rest: Iterator[Buffer]) -> None:
        self._rest = rest
        self._texts: list[str] = []

    def next_value(self, _decoder: _Decoder) -> Buffer | None:
        return next(self._rest, None)

    def add(self, text: str) -> None:
        self._texts.append(text)

    def close(self) -> str:
        return f"[{','.join(self._texts)}]"


class _Object:
    """A kvlist that is being written; keys are held as JSON text."""

    __slots__ = ("_key", "_pairs", "_rest")

    def __init__(self, rest: Iterator[Buffer]) -> None:
        self._rest = rest
        self._key = '""'
        self._pairs: list[tuple[str, str]] = []

    def next_value(self, decoder: _Decoder) -> Buffer | None:
        pair = next(self._rest, None)
        if pair is None:
            return None
        key, value, indexed = read_key_value(pair)
        if indexed:
            decoder.warnings.add(STRING_INDEX)
        text = decoder.string(key)
        self._key = f'"@{text[1:]}' if text.startswith('"@') else text
        return value

    def add(self, text: str) -> None:
        self._pairs.append((self._key, text))

    def close(self) -> str:
        last = {key: index for index, (key, _) in enumerate(self._pairs)}
        if len(last) == len(self._pairs):
            return "{" + ",".join([f"{key}:{text}" for key, text in self._pairs]) + "}"
        winners, earlier = [], []
        for index, (key, text) in enumerate(self._pairs):
            if last[key] == index:
                winners.append(f"{key}:{text}")
            else:
                earlier.append(f"{{{key}:{text}}}")
        return f'{{{",".join(winners)},"@duplicates":[{",".join(earlier)}]}}'


class _Decoder:
    """The state of one decoding: the warnings so far and how many more values there may be."""

    def __init__(self, max_values: int) -> None:
        self.warnings: set[str] = set()
        self._max_values = max_values

    def run(self, outermost: _Array | _Object, *, max_depth: int = MAX_DEPTH) -> str:
        """Return the text of a container; the stack is a list, so depth costs no Python frames."""
        stack = [outermost]
        left = self._max_values
        while True:
            top = stack[-1]
            value = top.next_value(self)
            if value is None:
                stack.pop()
                text = top.close()
                if not stack:
                    return text
                stack[-1].add(text)
                continue
            left -= 1
            if left < 0:
                raise TooManyRecordsError(
                    f"an attribute or value is made of more than {self._max_values} values",
                    hint="send large data as a string or as bytes",
                )
            opened = self.open(value, depth=len(stack), max_depth=max_depth)
            if isinstance(opened, str):
                top.add(opened)
            else:
                stack.append(opened)

    def open(self, data: Buffer, *, depth: int, max_depth: int = MAX_DEPTH) -> str | _Array | _Object:
        """Return the text of an ``AnyValue`` that is no container, else the container to be written."""
        member = start = end = 0
        earlier: list[Buffer] = []
        for tag, _, value_start, value_end in read_fields(data):
            if tag not in _MEMBERS:
                continue
            if tag == member and tag in (_ARRAY, _KVLIST):
                earlier.append(data[start:end])
            elif earlier:
                earlier.clear()
            member, start, end = tag, value_start, value_end
        if member == _STRING:
            return self.string(data[start:end])
        if member in (_ARRAY, _KVLIST):
            if depth >= max_depth:
                self.warnings.add(TOO_DEEP)
                return _bytes(data)
            content = b"".join((*earlier, data[start:end])) if earlier else data[start:end]
            return _Array(_elements(content)) if member == _ARRAY else _Object(_elements(content))
        return self._scalar(member, data, start, end)

    def string(self, data: Buffer) -> str:
        """Return a JSON string; bytes that are not UTF-8 become U+FFFD."""
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            self.warnings.add(INVALID_UTF8)
            text = str(data, "utf-8", "replace")
        return orjson.dumps(text).decode()

    def _scalar(self, member: int, data: Buffer, start: int, end: int) -> str:
        if member == _INT:
            return str(read_int64(data, start))
        if member == _BOOL:
            return "true" if read_int64(data, start) else "false"
        if member == _DOUBLE:
            return _double(read_double(data, start))
        if member == _BYTES:
            return _bytes(data[start:end])
        if member == _STRING_INDEX:
            self.warnings.add(STRING_INDEX)
        return EMPTY


def _elements(data: Buffer) -> Iterator[Buffer]:
    """Yield what ``ArrayValue.values`` or ``KeyValueList.values`` holds."""
    for tag, _, start, end in read_fields(data):
        if tag == _VALUES:
            yield data[start:end]


def _bytes(data: Buffer) -> str:
    return f'{{"@bytes":"{b64encode(data).decode()}"}}'


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return f'{{"@double":"{name}"}}'
