"""Reads files from the disk, of any size in constant memory, unpacking what is compressed."""

from __future__ import annotations

import fcntl
import gzip
import os
import stat
import time
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard

from receiver.ports import ImportUnit
from receiver.sources.parquet import requests_of_parquet
from receiver.sources.reading import FileReading

__all__ = [
    "SETTLED_S",
    "Batch",
    "FileReading",
    "UnreadableFileError",
    "file_batches",
    "is_compressed",
    "open_file",
]

SETTLED_S = 600.0
"""Seconds without a change after which nobody writes a file any more."""
_READ_BYTES = 1 << 20
_BATCH_BYTES = 4 << 20
_BATCH_UNITS = 5_000
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some units of a file, and how far the file is read."""

    units: Sequence[ImportUnit]
    bytes_read: int
    bytes_total: int


class UnreadableFileError(Exception):
    """A file cannot be opened; the text says why."""


def file_batches(path: Path, reading: FileReading, *, now_s: float | None = None) -> Generator[Batch]:
    """Yield the units of a whole file; its problems are those of ``reading`` afterwards.

    Args:
        path: The file; what is wrong with it becomes a problem.
        reading: A new one.
        now_s: Unix time in seconds that tells whether the file is still being written; the present if None.

    Threads: any, one at a time; blocks on the disk.
    """
    try:
        raw, status = open_file(path)
    except UnreadableFileError as error:
        reading.refuse(str(error))
        return
    with raw:
        total = status.st_size
        settled = (time.time() if now_s is None else now_s) - status.st_mtime >= SETTLED_S
        try:
            if (found := reading.unframed(_magic(raw))) is not None:
                for units in _in_batches(reading.documents(found, requests_of_parquet(path, raw))):
                    yield Batch(units, raw.tell(), total)
                yield Batch([], total, total)
                return
            for chunk in _chunks(raw):
                for units in _in_batches(reading.feed(chunk)):
                    yield Batch(units, raw.tell(), total)
                if reading.refused:
                    return
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            reading.problems.add(f"the compressed file breaks off or is damaged: {error}")
        except OSError as error:
            reading.problems.add(f"it cannot be read on: {error.strerror or error}")
        yield Batch(list(reading.end(settled=settled)), total, total)


def _in_batches(units: Iterator[ImportUnit]) -> Iterator[list[ImportUnit]]:
    """Yield units in lists of a size that one import takes, at least one list, empty if there are none."""
    batch: list[ImportUnit] = []
    size = 0
    for unit in units:
        batch.append(unit)
        size += len(unit.payload)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_UNITS:
            yield batch
            batch, size = [], 0
    yield batch


def open_file(path: Path) -> tuple[IO[bytes], os.stat_result]:
    """Return an open file and its status.

    Raises:
        UnreadableFileError: It is missing, no regular file, must not be read, or is written by this process.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFileError("it is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("it is no regular file")
        if _is_written_here(status):
            raise UnreadableFileError("it is a file of the receiver itself")
        raw = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    except FileNotFoundError:
        raise UnreadableFileError("there is no such file") from None
    except PermissionError:
        raise UnreadableFileError("it must not be read: permission denied") from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(
            f"it cannot be opened: {getattr(error, 'strerror', None) or error}"
        ) from None
    return raw, status


def _is_written_here(status: os.stat_result) -> bool:
    """Return True if this process has the file open for writing, its spool or its database for instance.

    To close a second handle of such a file gives up this process's POSIX locks on it, and SQLite's and DuckDB's are
    such: another process could then write to it at the same time. Source: fcntl(2), "Record locking".
    """
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not paths
        try:
            ours = os.fstat(int(name))
            same = (ours.st_dev, ours.st_ino) == (status.st_dev, status.st_ino)
            if same and fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file so that reading ends where it would wait: /proc/kmsg calls itself a regular file."""
    return os.open(path, flags | os.O_NONBLOCK)


def is_compressed(head: bytes) -> bool:
    """Return True for what gzip or zstd wrote."""
    return head.startswith((_GZIP, _ZSTD))


def _magic(raw: IO[bytes]) -> bytes:
    magic = raw.read(4) or b""
    raw.seek(0)
    return magic


def _chunks(raw: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed."""
    magic = _magic(raw)
    source: IO[bytes] = raw
    if magic.startswith(_GZIP):
        source = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    elif magic.startswith(_ZSTD):
        source = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            raw, read_across_frames=True, closefd=False
        )
    while chunk := source.read(_READ_BYTES):
        yield chunk
