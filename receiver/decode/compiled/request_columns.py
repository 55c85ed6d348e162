"""Requests that were scanned and not opened yet: implements ``receiver.ports.Columns``."""

from __future__ import annotations

from dataclasses import dataclass

from receiver.signals import Signal

_OBJECT_BYTES = 100
"""What a bytes object and its place in lists take beside the bytes."""


@dataclass(frozen=True)
class RequestColumns:
    """The bytes of requests whose columns are made when the loader asks for rows."""

    signal: Signal
    bodies: list[bytes]
    records: int
    nbytes: int

    @classmethod
    def of(cls, signal: Signal, bodies: list[bytes], records: int) -> RequestColumns:
        """Return the requests with what they take in memory."""
        return cls(signal, bodies, records, sum(map(len, bodies)) + _OBJECT_BYTES * len(bodies))
