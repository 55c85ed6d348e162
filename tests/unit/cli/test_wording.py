"""Values as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from receiver.cli import wording


@pytest.fixture
def kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live where the clock is 5:45 ahead."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("kathmandu")
def test_times_stand_in_the_local_zone_with_their_offset() -> None:
    """A reader can compare with the clock on the wall and with a log from elsewhere."""
    assert wording.local_time("1790000000123456789") == "2026-09-21 19:58:20.123+05:45"


@pytest.mark.parametrize("value", [0, 2**63 - 1, 2**64 - 1])
def test_times_out_of_range_are_shown_as_numbers(value: int) -> None:
    """A wrong time is shown as wrong, and nothing fails over it."""
    assert wording.local_time(str(value)) == str(value)


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, ""),
        (0, "0 µs"),
        (0.25, "250 µs"),
        (1.5, "1.5 ms"),
        (12.345, "12.3 ms"),
        (999.4, "999 ms"),
        (1000, "1.00 s"),
        (61_000, "1 m 01 s"),
        (3_720_000, "1 h 02 m"),
        (200_000_000, "2 d 7 h"),
        (1.8e13, "208333 d 8 h"),
    ],
)
def test_durations_have_the_unit_that_suits_them(milliseconds: float | None, shown: str) -> None:
    """From microseconds to years."""
    assert wording.duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.00 GiB")],
)
def test_sizes_have_the_unit_that_suits_them(value: int, shown: str) -> None:
    """Powers of 1024, named so."""
    assert wording.size(value) == shown


def test_nouns_follow_their_number() -> None:
    """One request, two requests, thousands set apart."""
    assert [wording.plural(n, "request") for n in (0, 1, 1200)] == [
        "0 requests",
        "1 request",
        "1,200 requests",
    ]
