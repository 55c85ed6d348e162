"""The checksum covers what a request is, and nothing about where it lies."""

from __future__ import annotations

import pytest

from receiver.signals import Signal
from receiver.spool.checksum import content_checksum, is_intact, signal_of


@pytest.mark.parametrize(
    ("signal", "records", "payload"),
    [("logs", 2, b"abc"), ("traces", 3, b"abc"), ("traces", 2, b"abd"), ("traces", 2, b"")],
)
def test_any_change_of_content_changes_the_checksum(signal: str, records: int, payload: bytes) -> None:
    """Signal, record count and payload are all covered."""
    assert content_checksum(signal, records, payload) != content_checksum("traces", 2, b"abc")


def test_values_of_another_type_are_not_intact() -> None:
    """Damage in a row's header can turn bytes into text, or a count into nothing."""
    checksum = content_checksum("traces", 2, b"abc")
    assert is_intact("traces", 2, b"abc", checksum)
    assert not is_intact("traces", 2, "abc", checksum)
    assert not is_intact("traces", None, b"abc", checksum)
    assert not is_intact(b"traces", 2, b"abc", checksum)


def test_a_damaged_signal_is_told_from_the_checksum() -> None:
    """The rest being whole, only one signal fits."""
    checksum = content_checksum("metrics", 2, b"abc")
    assert signal_of("metrics", 2, b"abc", checksum) is Signal.METRICS
    assert signal_of("netrics", 2, b"abc", checksum) is Signal.METRICS
    assert signal_of("netrics", 2, b"ab?", checksum) is Signal.TRACES
