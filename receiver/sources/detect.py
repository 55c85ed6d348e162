"""What a file is, told by how it begins and never by its name."""

from __future__ import annotations

import codecs
import contextlib
import functools
from dataclasses import dataclass
from typing import Any

import ijson  # type: ignore[import-untyped]
import orjson

HEAD_BYTES = 256 << 10
"""Bytes of a file that are looked at before its format is known."""
_LOOKED_AT = 64
"""Lines that may stand before the first one that says what the file is."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outermost shape of the first JSON value, as far as it is there."""

    kind: str
    """``object``, ``array``, or empty for anything else."""
    keys: tuple[str, ...] = ()
    """Of the outermost object, or of the first object in the outermost array."""
    arrays: tuple[str, ...] = ()
    """Those of the keys whose value is an array."""
    inner: tuple[str, ...] = ()
    """Keys of the first object in the first of those arrays."""


def without_mark(head: bytes) -> bytes:
    """Return the bytes without a byte order mark."""
    return head.removeprefix(codecs.BOM_UTF8)


@functools.lru_cache(maxsize=4)
def lines_of(head: bytes) -> tuple[dict[str, Any], ...]:
    """Return the first lines that are whole JSON objects."""
    found = []
    for line in head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]:
        if line.lstrip()[:1] == b"{":
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            found.append(value)
    return tuple(found)


@functools.lru_cache(maxsize=4)
def outline_of(head: bytes) -> Outline:
    """Return the outermost shape of the JSON that the bytes begin with."""
    found = ijson.sendable_list()
    parser = ijson.parse_coro(found, multiple_values=True)
    with contextlib.suppress(ijson.JSONError, ValueError):  # what came before it is enough
        parser.send(head)
    kind = top = ""
    keys: list[str] = []
    arrays: list[str] = []
    inner: list[str] = []
    for prefix, event, value in found:
        if not kind:
            kind = {"start_map": "object", "start_array": "array"}.get(event, "")
            if not kind:
                break
            top = "" if kind == "object" else "item"
        elif event == "map_key":
            if prefix == top:
                keys.append(value)
            elif arrays and not inner_closed(inner, value) and prefix == _joined(top, f"{arrays[0]}.item"):
                inner.append(value)
        elif event == "start_array" and keys and prefix == _joined(top, keys[-1]):
            arrays.append(keys[-1])
        elif event in {"end_map", "end_array"} and prefix == top and (kind == "object" or event == "end_map"):
            break
    return Outline(kind, tuple(keys), tuple(arrays), tuple(dict.fromkeys(inner)))


def is_on_one_line(head: bytes) -> bool:
    """Return True if the first JSON value ends on the line it begins on, or that line goes on beyond the head."""
    first = head.lstrip()
    line, newline, _ = first.partition(b"\n")
    if not newline:
        return True
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return len(line) > 2 and line.rstrip()[-1:] == b"}"  # damaged, but no beginning of a longer value
    return True


def inner_closed(inner: list[str], key: str) -> bool:
    """Return True once the first object's keys begin to repeat."""
    return key in inner


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
