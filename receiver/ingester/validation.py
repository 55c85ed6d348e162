"""What the Python API refuses, and how it says so."""

from __future__ import annotations

import math
from typing import Any

from receiver.errors import InvalidTraceError

LONGEST_QUESTION = 4096
MOST_RESULTS = 1000
NOT_INITIALIZED = "HotStore not initialized. Call initialize() first."


class ValidationError(InvalidTraceError, ValueError):
    """A trace, a record or an argument is not what it must be; nothing was stored or asked."""


def checked_question(query: Any) -> str:
    """Return the question.

    Raises:
        ValidationError: It is no text, empty, or longer than 4096 characters.
    """
    if not isinstance(query, str):
        raise ValidationError(f"query: a {type(query).__name__} is not a text")
    if not query.strip():
        raise ValidationError("query: the question is empty", hint="ask in plain words")
    if len(query) > LONGEST_QUESTION:
        raise ValidationError(f"query: {len(query)} characters are more than {LONGEST_QUESTION}")
    return query


def checked_limit(limit: Any, *, most: int = MOST_RESULTS) -> int:
    """Return the limit.

    Raises:
        ValidationError: It is no whole number from 1 to ``most``.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        raise ValidationError(f"limit: {limit!r:.40} is not a whole number from 1 to {most}")
    return limit


def checked_threshold(threshold: Any, *, name: str = "threshold") -> float:
    """Return the threshold.

    Raises:
        ValidationError: It is no number from -1 to 1.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not -1 <= threshold <= 1:
        raise ValidationError(f"{name}: {threshold!r:.40} is not a number from -1 to 1")
    return float(threshold)


def checked_cache_size(size: Any) -> int:
    """Return the number of questions whose vectors are kept.

    Raises:
        ValidationError: It is no whole number of 0 or more.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValidationError(f"cache_size: {size!r:.40} is not a whole number of 0 or more")
    return size


def checked_text(name: str, value: Any) -> str:
    """Return a text that is not empty.

    Raises:
        ValidationError: It is something else.
    """
    if not isinstance(value, str) or not value:
        raise ValidationError(f"{name}: {value!r:.40} is not a text")
    return value


def checked_seconds(name: str, value: Any) -> float:
    """Return seconds.

    Raises:
        ValidationError: It is no finite number of 0 or more.
    """
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < 0:
        raise ValidationError(f"{name}: {value!r:.40} is not a number of seconds")
    return float(value)
