"""The pipe between the receiver and an embedding worker: frames of a JSON header and raw bytes.

A frame is two big-endian 32-bit lengths, then the header, then the payload. Both ends are ours and of the
same version; a frame that is cut off means that the other end died. Standard library only: the worker
imports this before it loads anything.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

_LENGTHS = struct.Struct(">II")


class Frame(NamedTuple):
    """One message of either direction."""

    header: dict[str, Any]
    payload: bytes = b""


def encode_frame(frame: Frame) -> bytes:
    """Return the frame as bytes; text may hold anything a Python string can."""
    header = json.dumps(frame.header).encode("ascii")
    return _LENGTHS.pack(len(header), len(frame.payload)) + header + frame.payload


def read_frame(read: Callable[[int], bytes]) -> Frame:
    """Return the next frame.

    Args:
        read: Returns up to that many bytes; nothing at the end of the stream.

    Raises:
        EOFError: The other end is gone.
    """
    header_length, payload_length = _LENGTHS.unpack(_read_exactly(read, _LENGTHS.size))
    header = json.loads(_read_exactly(read, header_length))
    return Frame(header, _read_exactly(read, payload_length))


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = read(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
