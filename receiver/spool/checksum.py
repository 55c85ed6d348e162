"""The checksum of a spooled request: damaged bytes are found when they are read back."""

from __future__ import annotations

import zlib

from receiver.signals import Signal


def content_checksum(signal: str, records: int, payload: bytes) -> int:
    """Return the CRC-32 of what a request *is*, whatever its sequence number.

    CRC-32 of zlib, not CRC-32C: both find every burst of up to 32 bits, and zlib is in the standard library.
    The sequence number is left out so that a request put back in the queue keeps its checksum, and damaged
    bytes stay recognisable for ever.

    Threads: any; lets other threads run while it reads a large payload.
    """
    return zlib.crc32(payload, zlib.crc32(f"{signal}:{records}:".encode()))


def is_intact(signal: object, records: object, payload: object, checksum: object) -> bool:
    """Return whether values read back from a file have the types and the checksum they were written with."""
    return (
        isinstance(signal, str)
        and isinstance(records, int)
        and isinstance(payload, bytes)
        and content_checksum(signal, records, payload) == checksum
    )


def signal_of(name: object, records: int, payload: bytes, checksum: int) -> Signal:
    """Return the signal that a row of the quarantine belongs to, even where the word itself is damaged.

    An unreadable word is replaced by the signal that makes the checksum right, else by traces.
    """
    for signal in Signal:
        if signal.value == name:
            return signal
    return next((s for s in Signal if content_checksum(s, records, payload) == checksum), Signal.TRACES)
