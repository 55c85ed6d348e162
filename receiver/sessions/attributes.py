"""Attribute values as what they mean: agents send numbers and truth values as numbers, texts or both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Attributes = Mapping[str, Any]

REDACTED = frozenset({"<REDACTED>", "[REDACTED]", "<redacted>", "[redacted]"})
"""What agents send in place of a text that they were not told to send."""

_MOST = 2**63 - 1


def first(attributes: Attributes, *names: str) -> Any:
    """Return the first of these attributes that is there and not empty, or None."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def text(attributes: Attributes, *names: str) -> str:
    """Return the first of these attributes as a text; empty where none is there."""
    value = first(attributes, *names)
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def number(attributes: Attributes, *names: str) -> float | None:
    """Return the first of these attributes that is a number of at least 0, or a text that says one.

    Codex writes numbers as texts: https://github.com/openai/codex, codex-rs/otel/src/events/session_telemetry.rs.
    """
    for name in names:
        value = attributes.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            found = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(found) and 0 <= found <= _MOST:
            return found
    return None


def whole(attributes: Attributes, *names: str) -> int | None:
    """Return the first of these attributes that is a number, without its fraction."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
            return value
        found = number(attributes, name)
        if found is not None:
            return int(found)
    return None


def truth(attributes: Attributes, name: str) -> bool | None:
    """Return a truth value, also where it is the text ``true`` or ``false``; None for anything else."""
    value = attributes.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return None
