"""Values as people read them: times, durations, counts, sizes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_LATEST_NS = 2**63 - 2  # receiver.times.LATEST_NS
_NS = 1_000_000_000


def local_time(time_unix_nano: str | int | None) -> str:
    """Return a time in the local zone with its offset, to the millisecond; a time out of range as its number."""
    if time_unix_nano is None:
        return ""
    value = int(time_unix_nano)
    if not 0 < value <= _LATEST_NS:
        return str(value)
    moment = datetime.fromtimestamp(value // _NS, UTC).astimezone()
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S}.{value % _NS // 1_000_000:03d}{offset[:3]}:{offset[3:5]}"


def duration(milliseconds: float | None) -> str:
    """Return a duration with the unit that suits it; empty for none."""
    if milliseconds is None:
        return ""
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f} µs"
    if milliseconds < 1000:
        return f"{milliseconds:.3g} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def count(value: int | None) -> str:
    """Return a whole number with its thousands set apart."""
    return "" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Return bytes with the unit that suits them."""
    if value is None:
        return ""
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"


def number(value: Any) -> str:
    """Return a measured value."""
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def plural(amount: int, noun: str) -> str:
    """Return the number with its noun."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"
