"""Writes what a receiver has stored to a folder of files: shared by whoever offers exports.

A table comes as it was at one moment. It is kept in a temporary file until all of it is there, so that the store's
transaction does not wait for the writing of the result, which is slower.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import pyarrow as pa

from receiver.access import RecordAccess
from receiver.errors import ConfigError, StoreUnavailableError
from receiver.questions import RecordTable
from receiver.signals import Signal
from receiver.sinks.json_lines_file import append_json_lines
from receiver.sinks.parquet_file import write_parquet

_WHOLE = ".partial"


class ExportFormat(StrEnum):
    """How the files are written."""

    PARQUET = "parquet"
    OTLP_JSON = "otlp-json"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written."""

    path: Path
    signal: Signal
    records: int
    bytes: int


async def export_records(
    access: RecordAccess,
    folder: Path,
    *,
    file_format: ExportFormat,
    signals: Collection[Signal] = tuple(Signal),
    since_ns: int | None = None,
    until_ns: int | None = None,
    replace: bool = False,
    finished: Callable[[ExportedFile], None] | None = None,
) -> list[ExportedFile]:
    """Return the files that were written once everything acknowledged before the call is in them.

    A file has its name only when it is complete; tables without records have none.

    Args:
        access: What is read.
        folder: Made if it is not there.
        file_format: Parquet: a file a table. OTLP-JSON: a file a signal.
        signals: Which of them.
        since_ns: Unix time; only records at or after it.
        until_ns: Unix time; only records before it.
        replace: Overwrite files of an earlier export.
        finished: Called with each file.

    Raises:
        ConfigError: A file is there already, or the folder cannot be written.
        RetryableError: The receiver does not answer now; files that were complete stay.
    """
    tables = [table for table in RecordTable if table.signal in signals]
    stream_of = functools.partial(access.record_stream, since_ns=since_ns, until_ns=until_ns)
    targets = {table: folder / _name(table, file_format) for table in tables}
    try:
        await asyncio.to_thread(_prepare, folder, list(targets.values()), replace)
        await access.flush()
        written = []
        for path in dict.fromkeys(targets.values()):
            of_file = [table for table in tables if targets[table] == path]
            file = await _export(stream_of, path, of_file, file_format)
            if file is not None:
                written.append(file)
                if finished is not None:
                    finished(file)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror or error}", hint="name another folder"
        ) from error
    return written


async def _export(
    stream_of: Callable[[RecordTable], AsyncGenerator[bytes]],
    path: Path,
    tables: Sequence[RecordTable],
    file_format: ExportFormat,
) -> ExportedFile | None:
    part = path.with_name(path.name + _WHOLE)
    stream = path.with_name(path.name + ".arrow")
    rows = 0
    try:
        await asyncio.to_thread(lambda: _create(part).close())
        for table in tables:
            with await asyncio.to_thread(_create, stream) as file:
                async for chunk in stream_of(table):
                    await asyncio.to_thread(file.write, chunk)
            rows += await asyncio.to_thread(_written, part, table, stream, file_format)
        if not rows:
            return None
        await asyncio.to_thread(_complete, part, path)
        size = (await asyncio.to_thread(path.stat)).st_size
        return ExportedFile(path, tables[0].signal, rows, size)
    finally:
        await asyncio.to_thread(_remove, part, stream)


def _written(part: Path, table: RecordTable, stream: Path, file_format: ExportFormat) -> int:
    with pa.OSFile(str(stream), "rb") as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid as error:
            raise StoreUnavailableError(f"what came of {table} is no Arrow stream: {error}") from error
        if file_format is ExportFormat.PARQUET:
            return write_parquet(part, table, reader.schema, _batches(reader))
        return append_json_lines(part, table, _batches(reader))


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield from reader


def _name(table: RecordTable, file_format: ExportFormat) -> str:
    return f"{table}.parquet" if file_format is ExportFormat.PARQUET else f"{table.signal}.jsonl"


def _prepare(folder: Path, targets: Sequence[Path], replace: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = [path.name for path in dict.fromkeys(targets) if path.exists()]
    if there and not replace:
        raise ConfigError(
            f"{folder} has {', '.join(there)} already", hint="name another folder, or say --replace"
        )


def _create(path: Path) -> IO[bytes]:
    """Return a new file that only its owner may read: telemetry is private."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123 - the caller closes it


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _complete(part: Path, path: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
