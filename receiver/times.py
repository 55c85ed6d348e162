"""Times as people write them: nanoseconds in, RFC 3339 out, and back. Exact: no float, no datetime arithmetic.

Source: https://www.rfc-editor.org/rfc/rfc3339 (RFC 3339).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from receiver.errors import InvalidFilterError

NS = 1_000_000_000
LATEST_NS = 2**63 - 2
"""The last time that is shown as a date: later ones are infinity, or nothing, in the store's TIMESTAMP_NS."""

_RELATIVE = re.compile(r"^-?\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d|w)$")
_UNITS = {
    "ns": 1, "us": 1000, "ms": 1_000_000, "s": NS, "m": 60 * NS,
    "h": 3600 * NS, "d": 86_400 * NS, "w": 604_800 * NS,
}  # fmt: skip
_NUMBER = re.compile(r"^(\d+)(?:\.(\d{1,9})\d*)?$")
_RFC3339 = re.compile(
    r"^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?\s*([Zz]|[+-]\d\d:\d\d)?)?$"
)


def rfc3339(time_unix_nano: int) -> str | None:
    """Return the time in UTC with nine fractional digits, or None where it is out of range.

    Args:
        time_unix_nano: Nanoseconds since 1970; what is shown ends in the year 2262 (``LATEST_NS``).
    """
    if not 0 <= time_unix_nano <= LATEST_NS:
        return None
    seconds, nanos = divmod(time_unix_nano, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def duration_ms(start_ns: int, end_ns: int) -> float | None:
    """Return the milliseconds between two times, or None where end is before start or one is out of range."""
    if end_ns < start_ns or end_ns > LATEST_NS:
        return None
    return (end_ns - start_ns) / 1_000_000


def duration_ns(text: str) -> int:
    """Return nanoseconds from ``250ms``, ``1.5s``, ``2h``, or a plain number of milliseconds.

    Raises:
        InvalidFilterError: It is none of these.
    """
    stripped = text.strip()
    matched = _RELATIVE.match(stripped)
    if matched and not stripped.startswith("-"):
        return round(float(matched[1]) * _UNITS[matched[2]])
    if _NUMBER.match(stripped):
        return round(float(stripped) * 1_000_000)
    raise InvalidFilterError(
        f"{text!r} is not a duration", hint="write 250ms, 1.5s, 2m, or a number of milliseconds"
    )


def time_ns(text: str, *, now_ns: int) -> int:
    """Return the Unix time in nanoseconds of RFC 3339, Unix seconds, or a time ago (``-15m``, ``2h``, ``now``).

    Without an offset RFC 3339 is read as UTC. A number of more than 11 digits is read as milliseconds,
    microseconds or nanoseconds, by its length.

    Raises:
        InvalidFilterError: It is none of these.
    """
    stripped = text.strip()
    if stripped == "now":
        return now_ns
    if matched := _RELATIVE.match(stripped):
        return max(0, now_ns - round(float(matched[1]) * _UNITS[matched[2]]))
    if matched := _NUMBER.match(stripped):
        return _from_number(text, matched[1], matched[2] or "")
    if matched := _RFC3339.match(stripped):
        offset = (matched[4] or "Z").upper()
        clock = matched[2] or "00:00"
        try:
            moment = datetime.fromisoformat(f"{matched[1]}T{clock}{'+00:00' if offset == 'Z' else offset}")
        except ValueError as error:
            raise _not_a_time(text) from error
        whole = int(moment.timestamp())
        if whole >= 0:
            return whole * NS + int((matched[3] or "0").ljust(9, "0"))
    raise _not_a_time(text)


def _from_number(text: str, digits: str, fraction: str) -> int:
    if len(digits) <= 11:
        return int(digits) * NS + int(fraction.ljust(9, "0") or 0)
    for length, factor in ((14, 1_000_000), (17, 1000), (20, 1)):
        if len(digits) <= length and (value := int(digits) * factor) < 2**64:
            return value
    raise _not_a_time(text)


def _not_a_time(text: str) -> InvalidFilterError:
    return InvalidFilterError(
        f"{text!r} is not a time",
        hint="write RFC 3339 (2026-01-31T12:00:00Z), Unix seconds, or a time ago (-15m, 2h)",
    )
