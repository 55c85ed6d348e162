"""Compressed streams, piece by piece."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections import deque
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import MalformedRequestError
from receiver.transport.inflate import open_inflated

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}
CODINGS = st.sampled_from(sorted(COMPRESS))


def read_all(coding: str, chunks: list[bytes], step: int) -> bytes:
    """Read a stream to its end; no piece may be larger than asked for."""
    waiting = deque(chunks)
    stream = open_inflated(coding, waiting)
    pieces = []
    while piece := stream.read(step):
        assert len(piece) <= step
        pieces.append(piece)
    assert not waiting
    return b"".join(pieces)


@given(CODINGS, st.binary(max_size=5000), st.integers(1, 2000), st.integers(1, 3000), st.integers(1, 50))
def test_h4_any_body_comes_back_whatever_the_pieces(
    coding: str, data: bytes, cut: int, step: int, repeat: int
) -> None:
    """Chunk borders on the wire and sizes of pieces make no difference."""
    data *= repeat
    wire = COMPRESS[coding](data)
    chunks = [wire[at : at + cut] for at in range(0, len(wire), cut)]
    assert read_all(coding, chunks, step) == data


@given(CODINGS, st.binary(min_size=1, max_size=500), st.data())
def test_h4_every_truncation_is_noticed(coding: str, body: bytes, data: st.DataObject) -> None:
    """No prefix of a stream passes for the stream."""
    wire = COMPRESS[coding](body * 20)
    keep = data.draw(st.integers(0, len(wire) - 1))
    with pytest.raises(MalformedRequestError):
        read_all(coding, [wire[:keep]] if keep else [], 1000)


@given(CODINGS, st.binary(max_size=300), st.sampled_from([1, 64, 10_000]))
def test_h10_garbage_raises_the_one_error(coding: str, garbage: bytes, step: int) -> None:
    """Random bytes are malformed or, by chance, a body; nothing else comes out."""
    with contextlib.suppress(MalformedRequestError):
        read_all(coding, [garbage], step)


def test_zstd_frames_may_be_skippable_and_have_checksums() -> None:
    """Metadata frames carry nothing."""
    compressor = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    wire = compressor.compress(b"a" * 1000) + skippable + compressor.compress(b"b" * 1000)
    assert read_all("zstd", [wire], 700) == b"a" * 1000 + b"b" * 1000


def test_zstd_windows_above_8_mib_are_refused() -> None:
    """RFC 9659 forbids them, as they cost the receiver that much memory."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wire = compressor.compress(b"a" * 100) + compressor.flush()
    with pytest.raises(MalformedRequestError, match="zstd"):
        read_all("zstd", [wire], 1000)


def test_zstd_of_endless_tiny_blocks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the frames has a bound of its own."""
    monkeypatch.setattr("receiver.transport.inflate._ZSTD_BLOCKS", 100)
    head = zstandard.compress(b"")[:6]
    with pytest.raises(MalformedRequestError, match="blocks"):
        read_all("zstd", [head + b"\x00\x00\x00" * 101 + b"\x01\x00\x00"], 1000)
