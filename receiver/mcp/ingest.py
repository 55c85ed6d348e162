"""What ``ingest_otel_traces`` does: files and traces become units, and true counts come back."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.access import Access, Given
from receiver.errors import InvalidTraceError, PermanentError, RetryableError
from receiver.ports import Encoding, ImportOutcome, ImportUnit, Outcome
from receiver.signals import Signal
from receiver.sources.collector.otlp_file import RequestReader
from receiver.sources.collector.otlp_messages import record_count
from receiver.sources.ingest import Progress, ingest_files
from receiver.sources.ingest_report import FileReport
from receiver.sources.trace_dicts.units import ReadOtlp, TraceDicts

BACKEND = "duckdb"
"""What the documented tools call ``storage_backend``."""
RequestsOf = Callable[[], RequestReader]
"""Makes what judges OTLP requests that stand in files; one for each call, as one is for one thread."""

_UNITS_AT_ONCE = 500
_EMBEDDING_S = 20.0
"""How long an answer waits for vectors; search finds the rest by words until they are there."""
_NO_FILES = "reading files is switched off (mcp.read_files); give trace_data, or run: otlp-receiver ingest"


class CountedAccess:
    """Implements ``receiver.access.Access``: an access that counts which traces got something new.

    Threads: one event loop. Holds 16 bytes of each trace that passes.
    """

    def __init__(self, access: Access) -> None:
        """Hand everything on to ``access``, which somebody else closes."""
        self._access = access
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()
        self.records: Counter[str] = Counter()
        """Records that were stored, by their noun."""

    @property
    def traces(self) -> int:
        """Return how many traces got something that was not there."""
        return len(self._new)

    @property
    def duplicates(self) -> int:
        """Return how many traces brought nothing new."""
        return len(self._old - self._new)

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Return the answer to a question."""
        return await self._access.ask(question, given)

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Return once the records are on disk and synced; they are not counted."""
        return await self._access.export(signal, body)

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once the units are on disk, each once, and counted."""
        outcome = await self._access.import_units(units)
        await asyncio.to_thread(self._count, units, outcome.stored)
        return outcome

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found."""
        await self._access.flush(embeddings=embeddings)

    async def close(self) -> None:
        """Do nothing: the receiver belongs to somebody else."""

    def _count(self, units: Sequence[ImportUnit], stored: Sequence[bool]) -> None:
        for unit, is_new in zip(units, stored, strict=True):
            if is_new:
                self.records[unit.signal.records] += record_count(unit)
            if unit.signal is Signal.TRACES:
                (self._new if is_new else self._old).update(_trace_ids(unit.payload))


async def ingested(
    access: Access,
    log_files: Sequence[str],
    trace_data: Sequence[Any],
    *,
    system_id: str,
    requests_of: RequestsOf,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the documented answer once everything that could be stored is stored and can be found.

    Raises:
        ReceiverError: Nothing can be stored now.
    """
    counted = CountedAccess(access)
    files = await _from_files(counted, log_files, system_id, requests_of, progress) if log_files else []
    errors = [error for report in files for error in await asyncio.to_thread(_errors, report)]
    errors += await asyncio.to_thread(_empty_folders, log_files, files)
    if trace_data:
        errors += await _from_dicts(counted, trace_data, system_id, requests_of)
    stored = any(counted.records.values())
    answer: dict[str, Any] = {
        "status": "success" if stored else "warning",
        "traces_ingested": counted.traces,
        "duplicates": counted.duplicates,
        "files_processed": sum(report.format is not None for report in files),
        "errors": errors,
        "system_id": system_id,
        "storage_backend": BACKEND,
        "records": dict(counted.records),
        "sessions": list(dict.fromkeys(each for report in files for each in report.sessions)),
    }
    if stored and (note := await _findable(access)):
        answer["note"] = note
    return answer


def refused(log_files: Sequence[str]) -> list[str]:
    """Return an error for each file that must not be read here."""
    return [f"Failed to process {path}: {_NO_FILES}" for path in log_files]


async def _from_files(
    access: Access,
    paths: Sequence[str],
    system_id: str,
    requests_of: RequestsOf,
    progress: Progress | None,
) -> list[FileReport]:
    named = None if system_id in {"", "unknown"} else system_id
    requests = await asyncio.to_thread(requests_of)
    report = await ingest_files(paths, access, requests=requests, system_id=named, progress=progress)
    return [file for file in report.files if not file.skipped]


async def _from_dicts(
    access: Access, traces: Sequence[Any], system_id: str, requests_of: RequestsOf
) -> list[str]:
    """Store traces; return the errors: a bad trace stops no other."""
    errors: list[str] = []
    requests = await asyncio.to_thread(requests_of)
    reader = TraceDicts(system_id=system_id, read_otlp=_read_otlp(requests))
    for first in range(0, len(traces), _UNITS_AT_ONCE):
        part = traces[first : first + _UNITS_AT_ONCE]
        units = await asyncio.to_thread(_units, reader, part, first, errors)
        if units:
            outcome = await access.import_units(units)
            if outcome.rejected:
                errors.append(f"trace_data: {outcome.rejected} spans were rejected: {outcome.message}")
    return errors


def _units(reader: TraceDicts, traces: Sequence[Any], first: int, errors: list[str]) -> list[ImportUnit]:
    units: list[ImportUnit] = []
    for number, trace in enumerate(traces, first):
        try:
            units += reader.units(trace)
        except InvalidTraceError as error:
            errors.append(f"trace_data[{number}]: {error}")
    return units


def _read_otlp(requests: RequestReader) -> ReadOtlp:
    def read(body: bytes) -> bytes:
        (found,) = requests.read(Signal.TRACES, [body], Encoding.JSON)
        if isinstance(found, PermanentError):
            raise found
        if found.rejected:
            raise InvalidTraceError(found.message)
        return found.payload

    return read


def _errors(file: FileReport) -> list[str]:
    """Return the problems of a file in the documented words; looks at the disk."""
    if file.format is None and not os.path.exists(file.path):  # noqa: PTH110 - Path.exists raises on long names
        return [f"File not found: {file.path}"]
    kind = "Invalid format in" if file.format is None else "Failed to process"
    said = [f"{kind} {file.path}: {problem}" for problem in file.problems]
    if file.more_problems:
        said.append(f"{kind} {file.path}: {file.more_problems} more problems")
    return said


def _empty_folders(paths: Sequence[str], files: Sequence[FileReport]) -> list[str]:
    """Return an error for each folder of which nothing was read; looks at the disk."""
    read = [Path(file.path) for file in files]
    folders = [(path, Path(os.path.expanduser(path))) for path in paths]  # noqa: PTH111 - see _errors
    return [
        f"Failed to process {path}: no file in this folder is of a known format"
        for path, folder in folders
        if os.path.isdir(folder) and not any(each.is_relative_to(folder) for each in read)  # noqa: PTH112 - see _errors
    ]


def _trace_ids(payload: bytes) -> set[bytes]:
    request = ExportTraceServiceRequest.FromString(payload)
    return {
        span.trace_id
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


async def _findable(access: Access) -> str | None:
    """Return once what was stored is found by filters, and by meaning too if that comes soon; else say so."""
    await access.flush()
    try:
        async with asyncio.timeout(_EMBEDDING_S):
            await access.flush(embeddings=True)
    except TimeoutError:
        return (
            "stored; some texts wait for their vectors, and search by meaning finds them when they are there"
        )
    except RetryableError as error:
        return f"stored; search matches words: {error.message}"
    return None
