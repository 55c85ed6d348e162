"""Keeps up with files that grow, are rotated, or appear.

A file is known by its device and inode, so that a renamed one goes on where it was and the new one of its name
begins. Nothing is kept on disk about how far a file was read: what is read again is a duplicate.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from receiver.access import Access
from receiver.ports import ImportUnit
from receiver.sources.collector.otlp_file import RequestReader
from receiver.sources.formats import ReadingContext
from receiver.sources.ingest import finish_report, in_thread, store_units
from receiver.sources.ingest_paths import FoundFile, files_of
from receiver.sources.ingest_report import FileReport
from receiver.sources.reader import (
    SETTLED_S,
    UnreadableFileError,
    file_batches,
    is_compressed,
    open_file,
)
from receiver.sources.reading import FileReading

POLL_S = 0.5
_READ_BYTES = 1 << 20
_MARK_BYTES = 64
"""Bytes before the place read up to that are compared, to see that the file is still the same."""

_Identity = tuple[int, int]


@dataclass
class _Tail:
    """One file that is followed."""

    file: FoundFile
    report: FileReport
    reading: FileReading
    raw: IO[bytes] | None
    at: int = 0
    mark: bytes = b""
    seen: tuple[int, int] = (-1, -1)
    """Size and time of the last change when it was last looked at."""
    compressed: bool = False
    changed: bool = True

    def close(self) -> None:
        """Let go of the file."""
        if self.raw is not None:
            self.raw.close()
            self.raw = None


@dataclass
class _Step:
    """Some units of one file."""

    tail: _Tail
    units: list[ImportUnit] = field(default_factory=list)


async def follow(
    paths: Sequence[str | os.PathLike[str]],
    access: Access,
    *,
    requests: RequestReader,
    system_id: str | None = None,
    ticks: AsyncIterator[None] | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[FileReport]:
    """Yield the report of a file, with its totals so far, whenever something new of it is on disk.

    Ends when ``ticks`` end, or by cancellation; what is open then is stored as it is. A file that nobody wrote for
    ten minutes is taken for finished until it grows again.

    Args:
        paths: Files, folders, patterns; looked up anew at every tick, so new files are found.
        access: Where to store.
        requests: Judges the OTLP requests that stand in files.
        system_id: Written to the resources that have none.
        ticks: Each one is a look at the files; by default one every half second.
        clock: The Unix time in seconds.

    Raises:
        RetryableError: The receiver takes nothing now, although it was asked for some time.
    """
    follower = _Follower(paths, ReadingContext(requests, system_id), clock)
    try:
        async for _ in _every_half_second() if ticks is None else ticks:
            async for report in _stored(follower.look(), access, system_id):
                yield report
    finally:
        try:
            async for _ in _stored(follower.stop(), access, system_id):
                pass
        finally:
            follower.close()


async def _stored(steps: Iterator[_Step], access: Access, system_id: str | None) -> AsyncIterator[FileReport]:
    while (step := await in_thread(lambda: next(steps, None))) is not None:
        tail = step.tail
        before = (
            tail.report.units_stored,
            tail.report.duplicates,
            len(tail.report.problems),
            tail.report.skipped,
        )
        if refused := await store_units(access, step.units, tail.report, system_id=system_id):
            tail.reading.problems.add(refused)
        tail.report.bytes = tail.at
        finish_report(tail.report, tail.reading, named=tail.file.named)
        after = (
            tail.report.units_stored,
            tail.report.duplicates,
            len(tail.report.problems),
            tail.report.skipped,
        )
        if after != before:
            yield tail.report


async def _every_half_second() -> AsyncIterator[None]:
    while True:
        yield
        await asyncio.sleep(POLL_S)


class _Follower:
    """Threads: one at a time; blocks on the disk."""

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], context: ReadingContext, clock: Callable[[], float]
    ) -> None:
        self._paths = paths
        self._context = context
        self._clock = clock
        self._tails: dict[_Identity, _Tail] = {}
        self._missing: dict[str, _Tail] = {}

    def look(self) -> Iterator[_Step]:
        """Yield what is new in all files."""
        here: set[_Identity] = set()
        for file in files_of(self._paths):
            try:
                status = os.stat(file.path)  # noqa: PTH116 - the same call for folders and files
            except OSError:
                yield from self._not_there(file)
                continue
            self._missing.pop(str(file.path), None)
            identity = (status.st_dev, status.st_ino)
            here.add(identity)
            tail = self._tails.get(identity)
            if tail is None:
                tail = self._tails[identity] = self._begun(file)
            yield from self._read(tail, status)
        for identity in [each for each in self._tails if each not in here]:  # deleted, or moved out of sight
            yield from self._finished(self._tails.pop(identity))

    def stop(self) -> Iterator[_Step]:
        """Yield what is open in all files."""
        for tail in list(self._tails.values()):
            yield from self._finished(tail)
        self._tails.clear()

    def close(self) -> None:
        """Let go of all files."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    def _begun(self, file: FoundFile) -> _Tail:
        report = FileReport(str(file.path))
        return _Tail(file, report, FileReading(report.path, self._context), None)

    def _again(self, tail: _Tail) -> None:
        """Read a file from its beginning."""
        tail.reading = FileReading(tail.report.path, self._context)
        tail.at, tail.mark = 0, b""

    def _not_there(self, file: FoundFile) -> Iterator[_Step]:
        if file.named and str(file.path) not in self._missing:
            tail = self._missing[str(file.path)] = self._begun(file)
            tail.reading.refuse("there is no such file; it is waited for")
            yield _Step(tail)

    def _read(self, tail: _Tail, status: os.stat_result) -> Iterator[_Step]:
        seen = (status.st_size, status.st_mtime_ns)
        idle = self._clock() - status.st_mtime >= SETTLED_S
        if seen != tail.seen:
            tail.seen = seen
            if tail.raw is None:
                self._opened(tail)
            if tail.compressed:
                yield from self._whole(tail)
            elif tail.raw is not None:
                if status.st_size < tail.at or not self._is_same(tail):
                    yield _Step(tail, list(tail.reading.end()))
                    self._again(tail)
                yield from self._grown(tail)
                if not idle:
                    yield _Step(tail, list(tail.reading.pause()))
        if idle and tail.raw is not None:
            yield _Step(tail, list(tail.reading.end()))
            tail.close()

    def _opened(self, tail: _Tail) -> None:
        self._again(tail)
        try:
            tail.raw, _ = open_file(tail.file.path)
        except UnreadableFileError as error:
            tail.reading.refuse(str(error))
            return
        tail.compressed = is_compressed(tail.raw.read(4))
        if tail.compressed:
            tail.close()
        else:
            tail.raw.seek(0)

    def _is_same(self, tail: _Tail) -> bool:
        """Return False if the file was cut and written anew beyond the place read up to."""
        assert tail.raw is not None  # noqa: S101 - it is open
        tail.raw.seek(tail.at - len(tail.mark))
        return tail.raw.read(len(tail.mark)) == tail.mark

    def _grown(self, tail: _Tail) -> Iterator[_Step]:
        assert tail.raw is not None  # noqa: S101 - it is open
        tail.raw.seek(tail.at)
        while chunk := tail.raw.read(_READ_BYTES):
            tail.at += len(chunk)
            tail.mark = (tail.mark + chunk)[-_MARK_BYTES:]
            yield _Step(tail, list(tail.reading.feed(chunk)))

    def _whole(self, tail: _Tail) -> Iterator[_Step]:
        """Read a compressed file, which does not grow: one that changed is another one."""
        self._again(tail)
        for batch in file_batches(tail.file.path, tail.reading, now_s=self._clock()):
            tail.at = batch.bytes_read
            yield _Step(tail, list(batch.units))

    def _finished(self, tail: _Tail) -> Iterator[_Step]:
        """Read the rest of a file that nobody writes any more."""
        if tail.raw is not None:
            yield from self._grown(tail)
            yield _Step(tail, list(tail.reading.end()))
            tail.close()
