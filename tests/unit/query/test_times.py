"""Times as people write them, exact to the nanosecond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import InvalidFilterError
from receiver.times import LATEST_NS, NS, duration_ms, duration_ns, rfc3339, time_ns

NOW = 1_790_000_000 * NS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-21T14:13:20Z", NOW),
        ("2026-09-21T16:13:20.000000001+02:00", NOW + 1),
        ("2026-09-21 14:13", NOW - 20 * NS),
        ("1970-01-02", 86_400 * NS),
        ("1790000000", NOW),
        ("1790000000.5", NOW + NS // 2),
        ("1790000000000", NOW),
        ("1790000000000000001", NOW + 1),
        ("-15m", NOW - 900 * NS),
        ("2h", NOW - 7200 * NS),
        ("now", NOW),
    ],
)
def test_a_time_is_read_in_each_of_its_forms(text: str, expected: int) -> None:
    """RFC 3339, Unix seconds (or finer, by length), a time ago."""
    assert time_ns(text, now_ns=NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "15 parsecs", "1969-12-31", "9" * 21, "-5"])
def test_what_is_no_time_is_refused_with_a_hint(text: str) -> None:
    """The hint shows the forms that are read."""
    with pytest.raises(InvalidFilterError, match="RFC 3339"):
        time_ns(text, now_ns=NOW)


@given(st.integers(min_value=0, max_value=LATEST_NS))
def test_what_is_shown_is_read_back_to_the_nanosecond(moment: int) -> None:
    """No digit is lost on the way out and in."""
    shown = rfc3339(moment)
    assert shown is not None
    assert len(shown.partition(".")[2]) == 10
    assert time_ns(shown, now_ns=NOW) == moment


@pytest.mark.parametrize("moment", [LATEST_NS + 1, 2**64 - 1, -1])
def test_times_out_of_range_are_not_shown(moment: int) -> None:
    """2^63-1 and above is infinity in the store's timestamps."""
    assert rfc3339(moment) is None


def test_durations_below_zero_or_out_of_range_are_not_shown() -> None:
    """An end before its start has no duration."""
    assert duration_ms(NS, 3 * NS) == 2000
    assert duration_ms(NS, NS - 1) is None
    assert duration_ms(0, 2**64 - 1) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("3", 3_000_000)]
)
def test_a_duration_is_read_with_its_unit_or_as_milliseconds(text: str, expected: int) -> None:
    """A plain number is milliseconds, as durations are shown."""
    assert duration_ns(text) == expected
