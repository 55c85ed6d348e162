"""Stores what files hold, each thing once: shared by the command line and the MCP tool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from receiver.access import Access
from receiver.errors import PermanentError, ReceiverError, RetryableError
from receiver.ports import ImportOutcome, ImportUnit
from receiver.signals import Signal
from receiver.sources.collector.otlp_file import RequestReader
from receiver.sources.collector.otlp_messages import record_count
from receiver.sources.formats import PARSERS, Format, ReadingContext
from receiver.sources.ingest_paths import FoundFile, files_of
from receiver.sources.ingest_report import FileReport, IngestReport
from receiver.sources.reader import Batch, file_batches
from receiver.sources.reading import FileReading

_TRIES = 8
_PAUSE_S = 0.25
_SYSTEM_ID = "system_id"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far reading has come."""

    path: str
    number: int
    """Of this file, counted from 1."""
    files: int
    bytes_read: int
    bytes_total: int


Progress = Callable[[FileProgress], None]


async def ingest_files(
    paths: Sequence[str | os.PathLike[str]],
    access: Access,
    *,
    requests: RequestReader,
    system_id: str | None = None,
    progress: Progress | None = None,
    formats: Sequence[Format] = PARSERS,
) -> IngestReport:
    """Return what became of the files once all that can be read of them is on disk.

    A problem of a file is told in its report and never ends another one. What was imported before is a
    duplicate and changes nothing.

    Args:
        paths: Files, folders, patterns; ``~`` is the home folder.
        access: Where to store.
        requests: Judges the OTLP requests that stand in files.
        system_id: Written to the resources that have none (``system_id``).
        progress: Called on the event loop as reading goes on.
        formats: What is read; a file of another format is a problem.

    Raises:
        RetryableError: The receiver takes nothing now, although it was asked for some time.

    Cancellation: what was handed in before is stored.
    """
    found = await in_thread(lambda: files_of(paths))
    report = IngestReport()
    for number, file in enumerate(found, 1):
        said = _said(progress, FileProgress(str(file.path), number, len(found), 0, 0))
        report.files.append(
            await _ingest_file(file, access, ReadingContext(requests, system_id), said, formats)
        )
    return report


async def store_units(
    access: Access, units: Sequence[ImportUnit], report: FileReport, *, system_id: str | None = None
) -> str:
    """Import units and count them in a report; return what was refused, empty for nothing.

    Raises:
        RetryableError: The receiver takes nothing now, although it was asked for some time.
    """
    if not units:
        return ""
    if system_id:
        units = await in_thread(lambda: [with_system(unit, system_id) for unit in units])
    try:
        outcome = await _imported(access, units)
    except PermanentError as error:
        if len(units) == 1:
            return str(error)
        half = len(units) // 2  # one of them is no request at all; the others are
        said = [await store_units(access, part, report) for part in (units[:half], units[half:])]
        return "; ".join(dict.fromkeys(each for each in said if each))
    new = [unit for unit, stored in zip(units, outcome.stored, strict=True) if stored]
    for unit in new:
        report.records[unit.signal.records] += record_count(unit)
    report.units_stored += len(new)
    report.duplicates += len(units) - len(new)
    if outcome.rejected:
        return f"{outcome.rejected} records not stored: {outcome.message}"
    return ""


def with_system(unit: ImportUnit, system_id: str) -> ImportUnit:
    """Return a unit, under its key, with ``system_id`` on every resource that has none."""
    request = _REQUESTS[unit.signal]()
    request.ParseFromString(unit.payload)
    pair = KeyValue(key=_SYSTEM_ID, value=AnyValue(string_value=system_id))
    for name in ("resource_spans", "resource_logs", "resource_metrics"):
        for group in getattr(request, name, ()):
            if all(each.key != _SYSTEM_ID for each in group.resource.attributes):
                group.resource.attributes.append(pair)
    return replace(unit, payload=request.SerializeToString())


async def in_thread(work: Callable[[], _T]) -> _T:
    """Return what blocking work gives; a cancellation waits for its end, so that nobody else enters it."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


async def _ingest_file(
    file: FoundFile,
    access: Access,
    context: ReadingContext,
    said: Callable[[Batch], None],
    formats: Sequence[Format],
) -> FileReport:
    report = FileReport(str(file.path))
    reading = FileReading(report.path, context, formats)
    batches = file_batches(file.path, reading)
    try:
        batch = await in_thread(lambda: next(batches, None))
        while batch is not None:
            said(batch)
            report.bytes = batch.bytes_read
            refused, following = await _both(
                store_units(access, batch.units, report, system_id=context.system_id), batches
            )
            if refused:
                reading.problems.add(refused)
            batch = following
    except ReceiverError:
        raise
    except Exception as error:  # noqa: BLE001 - one file's fault, whatever it is, must not end the others
        reading.problems.add(f"it cannot be read on: {type(error).__name__}: {error}")
    finally:
        batches.close()
    finish_report(report, reading, named=file.named)
    return report


async def _both(storing: Coroutine[Any, Any, str], batches: Iterator[Batch]) -> tuple[str, Batch | None]:
    """Store one batch while the next one is read."""
    stored = asyncio.ensure_future(storing)
    try:
        following = await in_thread(lambda: next(batches, None))
    except BaseException:
        stored.cancel()
        await asyncio.gather(stored, return_exceptions=True)
        raise
    return await stored, following


def finish_report(report: FileReport, reading: FileReading, *, named: bool) -> None:
    """Write into a report what its reading found."""
    report.format = reading.format.name if reading.format else None
    report.sessions = reading.session_ids
    if reading.refused and not named:
        report.skipped = reading.refused
        return
    report.problems = list(reading.problems.listed)
    report.more_problems = reading.problems.more


async def _imported(access: Access, units: Sequence[ImportUnit]) -> ImportOutcome:
    pause = _PAUSE_S
    for _ in range(_TRIES - 1):
        try:
            return await access.import_units(units)
        except RetryableError as error:
            await asyncio.sleep(max(pause, error.retry_after_s or 0))
            pause *= 2
    return await access.import_units(units)


def _said(progress: Progress | None, start: FileProgress) -> Callable[[Batch], None]:
    def said(batch: Batch) -> None:
        if progress is not None:
            progress(replace(start, bytes_read=batch.bytes_read, bytes_total=batch.bytes_total))

    return said


_REQUESTS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
