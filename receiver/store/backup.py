"""The database file as a backup sees it: copied while it is in use, counted, and told of a new spool.

What may be copied under a running receiver is the state of the last checkpoint. DuckDB names it in headers at the
beginning of the file, which change with every checkpoint and with nothing else, and until then writes only to blocks
that it does not refer to. So a copy is whole if the headers before and after it are the same.
Source: duckdb/storage/storage_info.hpp (``DatabaseHeader``); shown by tests/integration/test_backup.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from receiver.errors import QueryError, RetryableError, StoreUnavailableError
from receiver.signals import Signal
from receiver.store.migrate import migrations
from receiver.store.row_tables import POINT_TABLES

_HEADERS_BYTES = 3 * 4096
_SLICE_BYTES = 32 << 20
_MEMORY = "256MiB"
_NOT_HERE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
_ROWS = {"spans": ("spans",), "log_records": ("logs",), "metric_points": POINT_TABLES}


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What one database file holds."""

    schema_version: int
    positions: Mapping[UUID, int]
    stored: Mapping[Signal, int]
    """Cumulative; retention lowers none of them."""
    rows: Mapping[str, int]
    """Spans, log records and data points that are there now."""
    embeddings: Mapping[str, int]
    """Texts that have vectors, by the identity of the model."""


def copy_file(source: Path, target: Path, *, observer: Callable[[], None] = lambda: None) -> None:
    """Write a file's bytes to a new file of mode 0600, synced; shared with the source where the disk can.

    Args:
        source: May be larger when the copy ends than when it began.
        target: Must not exist.
        observer: Called every 32 MiB; what it raises ends the copy.

    Raises:
        OSError: It cannot be read or written.
    """
    with source.open("rb", buffering=0) as reader:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            left, in_kernel = os.fstat(reader.fileno()).st_size, hasattr(os, "copy_file_range")
            while left > 0:
                count, in_kernel = _copy_slice(reader.fileno(), writer, min(left, _SLICE_BYTES), in_kernel)
                if not count:
                    break
                left -= count
                os.fdatasync(writer)  # slice by slice: one sync of gigabytes would outlast the hold
                observer()
            os.fsync(writer)
        finally:
            os.close(writer)


def copy_store(source: Path, target: Path, *, observer: Callable[[], None] = lambda: None) -> None:
    """Write the state of a database's last checkpoint to a new file; see the module and :func:`copy_file`.

    Raises:
        RetryableError: A checkpoint was completed meanwhile; the copy is worth nothing.
        OSError: It cannot be read or written.
    """
    before = _headers(source)
    copy_file(source, target, observer=observer)
    if _headers(source) != before or _headers(target) != before:
        raise RetryableError(
            f"{source} was checkpointed while it was copied", hint="make the backup again from its beginning"
        )


def store_facts(path: Path) -> StoreFacts:
    """Return what the file at ``path`` holds, opened read-only. Blocks.

    Raises:
        StoreUnavailableError: A process holds it.
        QueryError: It is no database that this release can read.
    """
    try:
        with closing(_connect(path, read_only=True)) as connection:
            return _facts(connection)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, duckdb.IOException) and "lock" in reason.lower():
            raise StoreUnavailableError(f"{path} is held by another process: {reason}") from error
        raise QueryError(
            f"{path} is not a database of a receiver: {reason}",
            hint="move it away and restore a backup, or let the next start begin a new one",
        ) from error


def read_everything(path: Path) -> None:
    """Read every value of every table once: DuckDB compares each block with its checksum. Blocks for long.

    Raises:
        QueryError: Something cannot be read; the message names the table.
    """
    with closing(_connect(path, read_only=True)) as connection:
        for (table,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
        ).fetchall():
            try:
                connection.execute(f'SELECT bit_xor(hash(each)) FROM "{table}" each').fetchall()
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise QueryError(
                    f"the table {table} cannot be read: {reason}", hint="restore a backup"
                ) from error


def set_positions(path: Path, positions: Mapping[UUID, int]) -> None:
    """Write down where spools stand in a database that nobody has open.

    Raises:
        QueryError: It cannot be written.
    """
    try:
        with closing(_connect(path, read_only=False)) as connection:
            for spool, position in positions.items():
                connection.execute("DELETE FROM spool_positions WHERE spool = ?", [str(spool)])
                connection.execute("INSERT INTO spool_positions VALUES (?, ?)", [str(spool), position])
            connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise QueryError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error


def newest_schema() -> int:
    """Return the newest schema version that this release knows."""
    return max(migrations())


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        str(path),
        read_only=read_only,
        config={
            "memory_limit": _MEMORY,
            "threads": 1,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )


def _facts(connection: duckdb.DuckDBPyConnection) -> StoreFacts:
    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query).fetchall()

    ((version,),) = rows("SELECT max(version) FROM schema_migrations")
    stored = dict(rows("SELECT signal, stored FROM record_totals"))
    return StoreFacts(
        schema_version=version,
        positions=dict(rows("SELECT spool, max(position) FROM spool_positions GROUP BY spool")),
        stored={signal: stored.get(signal.value, 0) for signal in Signal},
        rows={
            name: sum(rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables)
            for name, tables in _ROWS.items()
        },
        embeddings=dict(rows("SELECT model, count(DISTINCT text_id) FROM embeddings GROUP BY model")),
    )


def _headers(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADERS_BYTES)


def _copy_slice(reader: int, writer: int, size: int, in_kernel: bool) -> tuple[int, bool]:
    """Return how many bytes were copied, and whether the kernel can do it."""
    if in_kernel:
        try:
            return os.copy_file_range(reader, writer, size), True
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    data = os.read(reader, size)
    view = memoryview(data)
    while view:
        view = view[os.write(writer, view) :]
    return len(data), False
