"""Values of a SQL answer as JSON can say them, exactly.

Integers of any size are numbers; NaN, infinities, decimals, dates and intervals are text; timestamps are
RFC 3339 (``Z``: DuckDB's TIMESTAMP has no zone and is read as UTC); BLOBs are base64; structs and maps are
objects (a map with other keys than texts has them as texts); lists are arrays.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson

Converter = Callable[[Any], tuple[Any, int]]
"""Turns one value into what is shown and its weight in bytes, about."""

_TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00(?::00)?)?$")
_TEMPORAL = ("TIMESTAMP", "TIME", "DATE", "INTERVAL")


def shown_as_text(kind: str) -> str:
    """Return how DuckDB itself turns a type into text, as a format of the column's name; empty where it need not.

    Python would cut nanoseconds and refuse years that it does not know.
    """
    if not any(word in kind for word in _TEMPORAL):
        return ""
    return "to_json({})" if _is_nested(kind) else "CAST({} AS VARCHAR)"


def converter(kind: str) -> Converter:
    """Return what turns fetched values of a DuckDB type into JSON values."""
    if shown_as_text(kind):
        return _json_text if _is_nested(kind) else _timestamp if kind.startswith("TIMESTAMP") else _any
    return _any


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _timestamp(value: str | None) -> tuple[str | None, int]:
    if value is None:
        return None, 4
    matched = _TIMESTAMP.match(value)
    return (f"{matched[1]}T{matched[2]}Z" if matched else value), len(value)


def _json_text(value: str | None) -> tuple[Any, int]:
    if value is None:
        return None, 4
    try:
        return orjson.loads(value), len(value)
    except orjson.JSONDecodeError:  # DuckDB writes NaN and Infinity as they are
        return value, len(value)


def _any(value: Any) -> tuple[Any, int]:
    if value is None or isinstance(value, bool | int):
        return value, 8
    if isinstance(value, str):
        return value, len(value)
    if isinstance(value, float):
        return (value if math.isfinite(value) else _not_finite(value)), 8
    if isinstance(value, bytes):
        return base64.b64encode(value).decode(), len(value)
    if isinstance(value, Decimal):
        return str(value), 16
    if isinstance(value, Mapping):
        members = {str(key): _any(member) for key, member in value.items()}
        return {key: shown for key, (shown, _) in members.items()}, sum(
            len(key) + weight for key, (_, weight) in members.items()
        )
    if isinstance(value, list | tuple):
        parts = [_any(part) for part in value]
        return [shown for shown, _ in parts], sum(weight for _, weight in parts)
    return str(value), 40


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
