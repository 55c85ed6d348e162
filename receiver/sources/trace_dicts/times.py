"""Times and durations as people put them into trace dicts, and how they become Unix nanoseconds."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from numbers import Integral, Real
from typing import Any

from receiver.errors import InvalidFilterError, InvalidTraceError
from receiver.times import LATEST_NS, NS, duration_ns

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_FRACTION = re.compile(r"[.,](\d+)")
_MICROSECONDS_AT_MOST = 26
"""Characters of ``2026-01-31T12:00:00.123456``: in a text no longer there is no finer fraction to lose."""
_LONGEST_NUMBER = 40
_REMEMBERED = 10_000
_SECOND = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)
_FEW_DIGITS = 4
"""A point and three digits: at most some thousand different texts."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HINT = "write ISO 8601 (2026-01-31T12:00:00Z), a datetime, or Unix seconds, ms, us or ns"
_SCALES = ((10**11, NS), (10**14, 1_000_000), (10**17, 1000))
"""Below so much a number is seconds (to the year 5138), milliseconds, microseconds; above it nanoseconds."""


def unix_ns(value: Any) -> int | None:
    """Return a time in Unix nanoseconds, or None where the value says that there is none (None, "", 0).

    Args:
        value: ISO 8601 with or without a zone (UTC without one) or a date; a number or the text of one, whose size
            tells seconds, milliseconds, microseconds and nanoseconds apart; a datetime or a date.

    Raises:
        InvalidTraceError: It is none of these, before 1970 or after 2262.
    """
    if isinstance(value, str):
        return _of_text(value)
    if value is None:
        return None
    if isinstance(value, bool):
        raise _not_a_time(value)
    if isinstance(value, int):
        return _of_integer(value)
    if isinstance(value, datetime):
        return _of_datetime(value)
    if isinstance(value, date):
        return _of_datetime(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, Integral):
        return _of_integer(int(value))
    if isinstance(value, Real):
        return _of_float(float(value))
    raise _not_a_time(value)


class Moments:
    """Reads times, and remembers the seconds and the fractions of those it has seen. Threads: one at a time."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._seconds: dict[str, int] = {}
        self._fractions: dict[str, int] = {}

    def unix_ns(self, value: Any) -> int | None:
        """Return the same as :func:`unix_ns`, sooner for usual texts.

        Raises:
            InvalidTraceError: Likewise.
        """
        if value.__class__ is not str:
            return unix_ns(value)
        second = self._seconds.get(value[:19])
        if second is not None:
            rest = value[19:]
            fraction = self._fractions.get(rest)
            if fraction is None:
                fraction = self._fraction(rest)
            if fraction is not None:
                return second + fraction
        found = unix_ns(value)
        if found is not None and _SECOND.fullmatch(value[:19]):
            fraction = self._fraction(value[19:])
            if fraction is not None:
                if len(self._seconds) >= _REMEMBERED:
                    self._seconds.clear()
                self._seconds[value[:19]] = found - fraction
        return found

    def _fraction(self, rest: str) -> int | None:
        """Return the nanoseconds of what stands behind the seconds of a time in UTC; None: it is not as usual."""
        digits = rest.removesuffix("Z").removesuffix("+00:00")
        if not digits:
            found = 0
        elif digits[0] == "." and 1 < len(digits) <= 10 and digits.isascii() and digits[1:].isdigit():
            found = int(digits[1:].ljust(9, "0"))
        else:
            return None
        if len(digits) <= _FEW_DIGITS:
            self._fractions[rest] = found
        return found


def exact_ns(value: Any) -> int | None:
    """Return what a field such as ``startTimeUnixNano`` holds: its name says that it is nanoseconds.

    Raises:
        InvalidTraceError: It is no whole number, before 1970 or after 2262.
    """
    if value is None or value == "":
        return None
    try:
        number = int(value) if not isinstance(value, bool | float) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise InvalidTraceError(f"{_shown(value)} is not a whole number of nanoseconds")
    return _in_range(number, value) or None


def span_duration_ns(name: str, value: Any) -> int:
    """Return the duration that stands under ``name``, in nanoseconds.

    Args:
        name: One of ``DURATIONS``; a ``duration`` is seconds, a text with a unit (``250ms``), or a timedelta.
        value: A number, the text of one, or what ``duration`` may be besides.

    Raises:
        InvalidTraceError: It is no duration, or below zero.
    """
    try:
        found = _duration(value, DURATIONS[name])
    except (InvalidFilterError, TypeError, ValueError, OverflowError):
        raise InvalidTraceError(f"{_shown(value)} is not a duration") from None
    if found < 0:
        raise InvalidTraceError(f"{_shown(value)} is a duration below zero")
    return found


DURATIONS = {
    "duration": NS,
    "duration_ms": 1_000_000,
    "durationMs": 1_000_000,
    "duration_us": 1000,
    "duration_ns": 1,
    "durationNano": 1,
}
"""The names under which a span may say how long it took, and their unit in nanoseconds."""


def _duration(value: Any, unit_ns: int) -> int:
    if isinstance(value, timedelta):
        return (value // timedelta(microseconds=1)) * 1000
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            return duration_ns(text)
        value = float(text)
    if isinstance(value, int):
        return value * unit_ns
    return round(float(value) * unit_ns)


def _of_text(text: str) -> int | None:
    try:
        return _of_iso(text)
    except ValueError:
        pass
    stripped = text.strip()
    if not stripped:
        return None
    if len(stripped) <= _LONGEST_NUMBER and _NUMBER.fullmatch(stripped):
        return _of_integer(int(stripped)) if stripped.lstrip("+-").isdigit() else _of_float(float(stripped))
    try:
        return _of_iso(stripped)
    except ValueError:
        raise _not_a_time(text) from None


def _of_iso(text: str) -> int:
    if text.isdigit():
        raise ValueError  # 20260131 is a number, although ISO 8601 knows dates without hyphens
    moment = datetime.fromisoformat(text)
    if len(text) <= _MICROSECONDS_AT_MOST:
        return _of_datetime(moment)
    fraction = _FRACTION.search(text)
    whole = _of_datetime(moment.replace(microsecond=0))
    return whole + int(fraction[1][:9].ljust(9, "0")) if fraction else whole


def _of_datetime(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    found = (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000
    return found if 0 < found <= LATEST_NS else _in_range(found, moment)


def _of_integer(number: int) -> int | None:
    for limit, scale in _SCALES:
        if -limit < number < limit:
            return _in_range(number * scale, number) or None
    return _in_range(number, number)


def _of_float(number: float) -> int | None:
    if not math.isfinite(number):
        raise _not_a_time(number)
    for limit, scale in _SCALES:
        if -limit < number < limit:
            # To the microsecond: more digits than that a float of today's seconds does not have.
            found = round(number * (scale / 1000)) * 1000
            return _in_range(found, number) or None
    return _in_range(int(number), number)


def _in_range(found: int, value: object) -> int:
    if found < 0:
        raise InvalidTraceError(f"{_shown(value)} is before 1970", hint="OTLP has no such time")
    if found > LATEST_NS:
        raise InvalidTraceError(f"{_shown(value)} is after the year 2262", hint=_HINT)
    return found


def _not_a_time(value: object) -> InvalidTraceError:
    return InvalidTraceError(f"{_shown(value)} is not a time", hint=_HINT)


def _shown(value: object) -> str:
    if not isinstance(value, str | int | float | datetime):
        return f"a value of type {type(value).__name__}"
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # an integer of thousands of digits
        return "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}…"
