"""Requests for spool tests: small, distinct, and recognisable by their payload."""

from __future__ import annotations

from receiver.ports import Outcome, SpoolEntry
from receiver.signals import Signal

FULL_SUCCESS = Outcome()


class SteppedClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now_ns: int = 1_790_000_000_000_000_000) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        """Return the Unix time in nanoseconds."""
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.now_ns += int(seconds * 1e9)


def make_entry(
    number: int = 0,
    *,
    signal: Signal = Signal.TRACES,
    records: int = 2,
    payload: bytes | None = None,
    outcome: Outcome = FULL_SUCCESS,
    keyed: bool = True,
) -> SpoolEntry:
    """Return a request whose payload and key tell its number."""
    return SpoolEntry(
        signal=signal,
        payload=f"request {number}".encode() if payload is None else payload,
        records=records,
        outcome=outcome,
        key=number.to_bytes(16, "big") if keyed else None,
    )
