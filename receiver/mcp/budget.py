"""Keeps an answer within its tokens: long texts lose their middle, then lists their end, and all of it is said.

A token is counted as four bytes of the answer's JSON in UTF-8: about right for English and for code, and never
fewer tokens than a quarter of the characters. No tokenizer is asked: each model has its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from receiver.mcp.plain_text import plain

BYTES_PER_TOKEN = 4
REPORT_BYTES = 700
"""Most bytes of what :func:`fitted` reports."""

_LEAST_TEXT = 160
"""Texts are shortened to this before lists are; times, ids and names stay whole."""
_DEEPEST = 200
"""Levels of nesting that are shown; the encoder takes 254."""
_LARGEST_INTEGER = 1 << 63
_MARK_BYTES = 40
_MOST_PATHS = 5
_OUR_KEY = re.compile(r"[a-z_]{1,24}")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A value within its budget."""

    value: Any
    cut: dict[str, Any] | None
    """What is not in it, in JSON of at most ``REPORT_BYTES``; None where nothing is missing."""


@dataclass(frozen=True, slots=True)
class _Caps:
    text: int
    items: int
    fields: int


@dataclass(slots=True)
class _Tally:
    """What a pass over a value has cost and left out."""

    room: int
    texts: int = 0
    characters: int = 0
    items: int = 0
    fields: int = 0
    nested: int = 0
    lists: dict[str, list[int]] = field(default_factory=dict)

    def spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise _TooLargeError

    @property
    def report(self) -> dict[str, Any] | None:
        lost = {
            "texts_shortened": self.texts,
            "characters_left_out": self.characters,
            "items_left_out": self.items,
            "fields_left_out": self.fields,
            "too_deep": self.nested,
        }
        found: dict[str, Any] = {name: count for name, count in lost.items() if count}
        if not found:
            return None
        if self.lists:
            longest = sorted(self.lists.items(), key=lambda each: each[1][0] - each[1][1])[:_MOST_PATHS]
            found["lists"] = {path: {"shown": shown, "of": of} for path, (shown, of) in longest}
        return found


class _TooLargeError(Exception):
    """The pass can end: what it has seen is over the budget already."""


def fitted(value: Any, size: int) -> Fitted:
    """Return a JSON value whose encoding has at most ``size`` bytes, hidden characters written out.

    First texts are shortened in the middle (the longest to the same length), then lists from the end, then
    objects. What JSON cannot say becomes text: NaN, infinities, integers beyond 64 bits.

    Args:
        value: Anything JSON-like; not changed.
        size: At least 64.

    Threads: any; the time depends on ``size``, hardly on the value.
    """
    whole = _Caps(text=size, items=size, fields=size)
    least = _Caps(text=0, items=0, fields=0)
    searches: tuple[tuple[int, Callable[[int], _Caps]], ...] = (
        (_LEAST_TEXT, lambda cap: _Caps(cap, whole.items, whole.fields)),
        (0, lambda cap: _Caps(_LEAST_TEXT, cap, whole.fields)),
        (0, lambda cap: _Caps(_LEAST_TEXT, cap, cap)),
    )
    if (found := _passed(value, whole, size)) is not None:
        return found
    for low, caps_at in searches:
        if (best := _passed(value, caps_at(low), size)) is None:
            continue
        fits, fails = low, size
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if (found := _passed(value, caps_at(middle), size)) is None:
                fails = middle
            else:
                fits, best = middle, found
        return best
    return _passed(value, least, size) or Fitted(None, {"fields_left_out": 1})


def _passed(value: Any, caps: _Caps, size: int) -> Fitted | None:
    """Return the value under these caps, or None where it does not fit."""
    tally = _Tally(room=size)
    try:
        shaped = _shaped(value, caps, tally, "", 0)
    except _TooLargeError:
        return None
    return Fitted(shaped, tally.report) if len(orjson.dumps(shaped)) <= size else None


def _shaped(value: Any, caps: _Caps, tally: _Tally, path: str, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value, caps.text, tally)
    if value is None or isinstance(value, bool):
        tally.spend(4)
        return value
    if isinstance(value, int):
        tally.spend(1)
        return (
            value
            if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER
            else _text(_digits(value), caps.text, tally)
        )
    if isinstance(value, float):
        tally.spend(3)
        return value if math.isfinite(value) else str(value)
    tally.spend(2)
    if depth >= _DEEPEST and value:
        tally.nested += 1
        return None
    if isinstance(value, dict):
        return _object(value, caps, tally, path, depth)
    if isinstance(value, list | tuple):
        return _list(value, caps, tally, path, depth)
    return _text(str(value), caps.text, tally)


def _object(value: dict[Any, Any], caps: _Caps, tally: _Tally, path: str, depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for place, (name, inner) in enumerate(value.items()):
        if place >= caps.fields:
            tally.fields += len(value) - place
            break
        key = _text(str(name), caps.text, tally)
        while key in shown:  # two keys that differed only in what was cut
            key += "'"
        below = str(name) if _OUR_KEY.fullmatch(str(name)) else "*"
        shown[key] = _shaped(inner, caps, tally, f"{path}.{below}" if path else below, depth + 1)
    return shown


def _list(value: list[Any] | tuple[Any, ...], caps: _Caps, tally: _Tally, path: str, depth: int) -> list[Any]:
    shown = [_shaped(each, caps, tally, path, depth + 1) for each in value[: caps.items]]
    if left := len(value) - len(shown):
        tally.items += left
        counts = tally.lists.setdefault(path[-60:], [0, 0])
        counts[0] += len(shown)
        counts[1] += len(value)
    return shown


def _text(text: str, cap: int, tally: _Tally) -> str:
    if len(text) > cap + _MARK_BYTES:
        left = len(text) - cap
        tail = cap // 3
        tally.texts += 1
        tally.characters += left
        text = f"{text[: cap - tail]}…[{left} characters left out]…{text[len(text) - tail :]}"
    tally.spend(len(text) + 2)
    return plain(text)


def _digits(value: int) -> str:
    """Return an integer as text; hexadecimal where Python refuses to write so many digits."""
    return str(value) if value.bit_length() < 10_000 else hex(value)
