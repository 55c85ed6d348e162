"""Retries are recognised within the window, and memory stays within its bound."""

from __future__ import annotations

import tracemalloc

from receiver.duplicates import DuplicateWindow
from receiver.ports import Outcome, RecentKey
from tests.support.spool_entries import SteppedClock

MIB = 1 << 20


def key(number: int) -> bytes:
    """Return a distinct 16-byte key."""
    return number.to_bytes(16, "big")


def entry(number: int, clock: SteppedClock, outcome: Outcome | None = None) -> RecentKey:
    """Return a request accepted now."""
    return RecentKey(key(number), clock.now_ns, outcome or Outcome(), records=number * 7)


def test_a_key_is_found_within_the_window_only() -> None:
    """Up to the window's length identical bytes are a retry; from then on they are new."""
    clock = SteppedClock()
    window = DuplicateWindow(600, MIB, clock)
    window.remember(entry(1, clock))
    clock.advance(599.9)
    assert window.find(key(1)) is not None
    assert window.find(key(2)) is None
    clock.advance(0.1)
    assert window.find(key(1)) is None


def test_a_retry_gets_the_first_answer() -> None:
    """Time, outcome and record count come back as they were, partial success included."""
    clock = SteppedClock()
    window = DuplicateWindow(600, MIB, clock)
    plain = entry(1, clock)
    partial = entry(2, clock, Outcome(rejected=4, message="4 spans had no id"))
    warned = entry(3, clock, Outcome(message="repaired"))
    for one in (plain, partial, warned):
        window.remember(one)
    clock.advance(1)
    assert [window.find(key(n)) for n in (1, 2, 3)] == [plain, partial, warned]


def test_a_count_of_any_size_comes_back() -> None:
    """More records than the compact form has room for are kept all the same."""
    clock = SteppedClock()
    window = DuplicateWindow(600, MIB, clock)
    for records in (0, 1, (1 << 32) - 1, 1 << 32, 1 << 40):
        one = RecentKey(key(records), clock.now_ns, Outcome(), records)
        window.remember(one)
        assert window.find(key(records)) == one
        window.remember(one)
    assert len(window) == 5


def test_window_zero_switches_recognition_off() -> None:
    """Nothing is remembered and nothing is found."""
    clock = SteppedClock()
    window = DuplicateWindow(0, MIB, clock)
    window.remember(entry(1, clock))
    assert window.find(key(1)) is None
    assert len(window) == 0


def test_the_oldest_keys_go_first_when_memory_is_used_up() -> None:
    """The newest keys are all there, the oldest are not, and nothing between is missing."""
    clock = SteppedClock()
    window = DuplicateWindow(600, 100_000, clock)
    for number in range(2000):
        window.remember(entry(number, clock))
    found = [number for number in range(2000) if window.find(key(number))]
    assert found == list(range(2000 - len(found), 2000))
    assert len(found) == len(window) >= 100_000 // 500


def test_memory_stays_within_the_bound() -> None:
    """Whatever the number of keys and the length of their messages, the bound holds."""
    clock = SteppedClock()
    for message in ("", "m" * 1000, "\U0001f4a5" * 500):
        tracemalloc.start()
        try:
            window = DuplicateWindow(600, 2 * MIB, clock)
            for number in range(30_000 if not message else 3000):
                text = message + str(number) if message else ""
                window.remember(entry(number, clock, Outcome(message=text)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(window) > 100
        assert peak <= 2 * MIB


def test_forget_old_frees_what_lies_outside_the_window() -> None:
    """No key stays in memory for longer than two windows, also where nothing new comes in."""
    clock = SteppedClock()
    window = DuplicateWindow(60, MIB, clock)
    for number in range(10):
        window.remember(entry(number, clock))
        clock.advance(10)
    window.forget_old()
    assert [n for n in range(10) if window.find(key(n))] == [5, 6, 7, 8, 9]
    clock.advance(60)
    window.forget_old()
    assert len(window) == 0


def test_forget_old_spares_every_key_within_the_window() -> None:
    """However often it is called, a young key is found."""
    clock = SteppedClock()
    window = DuplicateWindow(60, MIB, clock)
    for number in range(500):
        window.remember(entry(number, clock))
        window.forget_old()
        clock.advance(7)
        oldest = max(0, number - 7)
        assert all(window.find(key(n)) for n in range(oldest, number + 1))
        assert len(window) <= 20


def test_of_a_key_remembered_twice_the_later_counts() -> None:
    """A key is held once, with its latest time."""
    clock = SteppedClock()
    window = DuplicateWindow(60, MIB, clock)
    window.remember(entry(1, clock, Outcome(message="first")))
    clock.advance(50)
    later = entry(1, clock)
    window.remember(later)
    clock.advance(50)
    assert window.find(key(1)) == later
    assert len(window) == 1


def test_an_entry_larger_than_the_memory_is_not_kept() -> None:
    """A bound too small for one entry is a bound all the same."""
    clock = SteppedClock()
    window = DuplicateWindow(60, 100, clock)
    window.remember(entry(1, clock))
    assert len(window) == 0
