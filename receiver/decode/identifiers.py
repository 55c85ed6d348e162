"""Ids as columns: trace ids as UUID, span ids as unsigned 64-bit integers, hashes of content as UUID."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from receiver.decode.inspection import byte_lengths


def trace_ids(values: pa.BinaryArray) -> pa.Array:
    """Return 16-byte ids as UUID; null where the length is another or all bytes are zero."""
    present = byte_lengths(values) == 16
    packed = values if present.all() else values.filter(pa.array(present))
    words = np.frombuffer(_bytes(packed), dtype=np.dtype((np.void, 16)))
    full = np.zeros(len(values), dtype=np.dtype((np.void, 16)))
    full[present] = words
    filled: NDArray[np.bool_] = np.any(full.view(np.uint64).reshape(-1, 2), axis=1)
    return uuids(full.tobytes(), len(values), mask=None if filled.all() else ~filled)


def span_ids(values: pa.BinaryArray) -> pa.UInt64Array:
    """Return 8-byte ids as big-endian integers; null where the length is another or all bytes are zero."""
    present = byte_lengths(values) == 8
    packed = values if present.all() else values.filter(pa.array(present))
    full = np.zeros(len(values), dtype=np.uint64)
    full[present] = np.frombuffer(_bytes(packed), dtype=">u8")
    zero = full == 0
    return pa.array(full, mask=zero) if zero.any() else pa.array(full)


def hexadecimal(values: pa.BinaryArray) -> pa.StringArray:
    """Return ids of any length as lower-case hex text."""
    return pa.array([v.hex() for v in values.to_pylist()], pa.string())


def uuids(data: bytes, count: int, *, mask: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return ``count`` UUIDs from their bytes; null where ``mask`` is true."""
    validity = None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little").tobytes())
    storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [validity, pa.py_buffer(data)])
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def uuids_of(digests: Sequence[bytes], places: NDArray[np.int32]) -> pa.Array:
    """Return for each place the UUID of the digest there."""
    table = np.frombuffer(b"".join(digests), dtype=np.dtype((np.void, 16)))
    return uuids(table[places].tobytes() if len(table) else b"", len(places))


def content_hash(*parts: str) -> bytes:
    """Return 16 bytes that stand for these texts, in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


def _bytes(values: pa.BinaryArray) -> bytes | pa.Buffer:
    """Return the values' bytes, one behind the other, without nulls."""
    if not len(values):
        return b""
    offsets = values.offsets if hasattr(values, "offsets") else None
    if offsets is None:
        offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)[
            values.offset : values.offset + len(values) + 1
        ]
        first, last = int(offsets[0]), int(offsets[-1])
    else:
        first, last = offsets[0].as_py(), offsets[-1].as_py()
    return values.buffers()[2].slice(first, last - first)
