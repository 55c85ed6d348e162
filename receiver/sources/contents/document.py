"""What agents write, read with care: values of the type that is wanted, or nothing."""

from __future__ import annotations

import math
from typing import Any

from receiver.errors import InvalidFilterError
from receiver.sources.documents import parsed
from receiver.sources.source import MalformedDocumentError
from receiver.times import LATEST_NS, time_ns


def maybe_json(text: str) -> Any:
    """Return the JSON value that a text is, or None where it is none."""
    try:
        return parsed(text.encode("utf-8", "replace"))
    except MalformedDocumentError:
        return None


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a JSON array as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text as it is, a number as text, and an empty text for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def whole(value: object) -> int | None:
    """Return a whole number of at least 0, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and (not math.isfinite(value) or not value.is_integer()):
        return None
    return int(value) if 0 <= value < 2**63 else None


def instant(value: object) -> int | None:
    """Return RFC 3339 with a time, or Unix milliseconds, as Unix nanoseconds; None where it is neither."""
    if isinstance(value, str) and "T" in value:
        try:
            found = time_ns(value, now_ns=0)
        except InvalidFilterError:
            return None
        return found if found <= LATEST_NS else None
    milliseconds = whole(value)
    if milliseconds is None or milliseconds * 1_000_000 > LATEST_NS:
        return None
    return milliseconds * 1_000_000


def nanoseconds(milliseconds: object) -> int:
    """Return a duration in milliseconds as nanoseconds; 0 where it is none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return 0
    return round(milliseconds * 1_000_000) if 0 <= milliseconds < 1e12 else 0
