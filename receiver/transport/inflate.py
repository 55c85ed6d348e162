"""Compressed bodies: wire chunks in, inflated pieces of bounded size out.

A stream is read like a file, so that its reader decides after every piece whether to go on: a bomb costs one
piece. Corrupt and truncated streams raise; nothing is cut silently.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import Protocol

import zstandard

from receiver.errors import MalformedRequestError

_SLICE_BYTES = 1 << 16
_GZIP_BITS = 16 + zlib.MAX_WBITS
# RFC 9659: a zstd window above 8 MiB must not be used for content coding.
_ZSTD_WINDOW_BYTES = 8 << 20
# Blocks hold up to 128 KiB each; a body of nothing but tiny ones would keep the check busy for seconds.
_ZSTD_BLOCKS = 1_000_000


class InflatedStream(Protocol):
    """**Protocol:** an inflated body, read piece by piece.

    Threads: one thread at a time; ``read`` computes and releases the GIL while it does.
    """

    def read(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes, or ``b""`` at the end.

        Raises:
            MalformedRequestError: The stream is corrupt or ends too early.
        """
        ...


def open_inflated(coding: str, chunks: deque[bytes]) -> InflatedStream:
    """Return the stream for a content coding: gzip, deflate or zstd.

    Args:
        coding: As :func:`receiver.transport.http_head.content_coding` returns it.
        chunks: The whole compressed body; is emptied, so that a chunk is let go once it was inflated.
    """
    if coding == "zstd":
        wire = b"".join(chunks)
        chunks.clear()
        return _ZstdStream(wire)
    return _ZlibStream(coding, chunks)


class _ZlibStream:
    """gzip with any number of members, or deflate with or without the zlib header."""

    def __init__(self, coding: str, chunks: deque[bytes]) -> None:
        self._coding = coding
        self._waiting = chunks
        self._input = b""
        bits = _GZIP_BITS if coding == "gzip" else _deflate_bits(self._waiting)
        self._bits = bits
        self._member = zlib.decompressobj(bits)

    def read(self, size: int) -> bytes:
        while True:
            self._refill()
            if self._member.eof:
                if not self._input:
                    return b""
                self._next_member()
            try:
                piece = self._member.decompress(self._input, size)
            except zlib.error as error:
                raise MalformedRequestError(
                    f"the body is not valid {self._coding}: {error}",
                    hint="check the Content-Encoding header",
                ) from error
            self._input = self._member.unused_data or self._member.unconsumed_tail
            if piece:
                return piece
            if not self._member.eof and not self._input and not self._waiting:
                raise MalformedRequestError(f"the {self._coding} body ends too early")

    def _refill(self) -> None:
        # Slices, because zlib copies what it left over on every call.
        if not self._input and self._waiting:
            chunk = self._waiting.popleft()
            if len(chunk) > _SLICE_BYTES:
                self._waiting.appendleft(chunk[_SLICE_BYTES:])
            self._input = chunk[:_SLICE_BYTES]

    def _next_member(self) -> None:
        if self._coding != "gzip":
            raise MalformedRequestError("there are bytes behind the end of the deflate body")
        self._member = zlib.decompressobj(self._bits)


def _deflate_bits(chunks: deque[bytes]) -> int:
    """Return zlib's window bits: HTTP's deflate has a zlib header, and some clients leave it out (RFC 9110)."""
    head = b"".join(list(chunks)[:2])[:2]
    has_header = len(head) == 2 and head[0] & 0x0F == 8 and int.from_bytes(head, "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


class _ZstdStream:
    """zstd, any number of frames."""

    # Python 3.14's compression.zstd bounds its output and knows the end of a frame: then this can go.

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self._checked = False
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._reader = decompressor.stream_reader(wire, read_across_frames=True)

    def read(self, size: int) -> bytes:
        if not self._checked:
            _check_zstd_frames(self._wire)
            self._checked = True
        try:
            piece: bytes = self._reader.read(size)
        except zstandard.ZstdError as error:
            raise MalformedRequestError(
                f"the body is not valid zstd: {error}", hint="check the Content-Encoding header"
            ) from error
        return piece


def _check_zstd_frames(wire: bytes) -> None:
    """Raise unless ``wire`` is whole zstd frames: the library takes a truncated frame for an end.

    Source: RFC 8878, 3.1 (frames, blocks, skippable frames).
    """
    view = memoryview(wire)
    at = 0
    try:
        while at < len(view) or not at:
            magic = _little(view, at, 4)
            if magic & 0xFFFFFFF0 == 0x184D2A50:
                at = _within(view, at + 8 + _little(view, at + 4, 4))
            elif magic == 0xFD2FB528:
                at = _frame_end(view, at)
            else:
                raise MalformedRequestError(
                    "the body is not valid zstd: unknown magic number",
                    hint="check the Content-Encoding header",
                )
    except IndexError:
        raise MalformedRequestError("the zstd body ends too early") from None


def _frame_end(view: memoryview, at: int) -> int:
    descriptor = view[at + 4]
    single_segment = bool(descriptor & 0x20)
    content_size_bytes = (int(single_segment), 2, 4, 8)[descriptor >> 6]
    at += 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size_bytes
    for _ in range(_ZSTD_BLOCKS):
        header = _little(view, at, 3)
        run = header >> 1 & 3 == 1  # a run holds one byte, whatever its size
        at += 3 + (1 if run else header >> 3)
        if header & 1:  # the last block
            return _within(view, at + (4 if descriptor & 4 else 0))
    raise MalformedRequestError(f"the zstd body has more than {_ZSTD_BLOCKS} blocks in a frame")


def _little(view: memoryview, at: int, size: int) -> int:
    return int.from_bytes(view[at : _within(view, at + size)], "little")


def _within(view: memoryview, at: int) -> int:
    if at > len(view):
        raise IndexError
    return at
