"""The spool's SQLite file: its tables, its settings, and how a connection to it is opened.

The payload has a table of its own, so that counting a backlog of gigabytes at start reads only the small
rows. Sequences are AUTOINCREMENT: SQLite remembers the highest in ``sqlite_sequence``, so that an emptied
spool never starts again below a position that a store has already noted.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from uuid import UUID, uuid4

from receiver.disk import sync_folder
from receiver.errors import StartError
from receiver.signals import Signal

PAGE_BYTES = 16 << 10
"""Of a new file; ADR 17 has the measurement."""
APPLICATION_ID = 0x6F746C70  # "otlp": `file spool.db` tells what it is
VERSION = 3
WAL_BYTES = 64 << 20
"""Size of the write-ahead log above which a checkpoint makes it start anew."""
_BUSY_S = 5.0
_CACHE_KIB = 8 << 10
_CACHED_STATEMENTS = 128
"""An append has one for each of 15 numbers of rows, and of 64 numbers of large payloads."""

_TABLES = (
    "CREATE TABLE spool (uuid TEXT NOT NULL, created_at_ns INTEGER NOT NULL)",
    """CREATE TABLE totals (
      signal TEXT PRIMARY KEY, accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE requests (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      signal TEXT NOT NULL,
      records INTEGER NOT NULL,
      payload_bytes INTEGER NOT NULL,
      checksum INTEGER NOT NULL,
      accepted_at_ns INTEGER NOT NULL,
      key BLOB,
      outcome_rejected INTEGER NOT NULL,
      outcome_message TEXT NOT NULL
    )""",
    "CREATE TABLE payloads (sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
    # No index on the key: at 1.8 M keys a unique one cost 92 KiB of writes a request.
    """CREATE TABLE keys (
      sequence INTEGER PRIMARY KEY,
      key BLOB NOT NULL,
      records INTEGER NOT NULL,
      accepted_at_ns INTEGER NOT NULL,
      outcome_rejected INTEGER NOT NULL,
      outcome_message TEXT NOT NULL
    )""",
    """CREATE TABLE quarantine (
      sequence INTEGER PRIMARY KEY,
      signal TEXT NOT NULL,
      records INTEGER NOT NULL,
      checksum INTEGER NOT NULL,
      accepted_at_ns INTEGER NOT NULL,
      quarantined_at_ns INTEGER NOT NULL,
      damaged INTEGER NOT NULL,
      reason TEXT NOT NULL,
      payload BLOB NOT NULL
    )""",
)
# What was imported, for ever. Keys of one file begin alike, so that a commit touches few pages (ADR 11).
_IMPORTS = "CREATE TABLE imports (key BLOB PRIMARY KEY) WITHOUT ROWID"
# Payloads above some MiB have no row in `payloads`: see `receiver.spool.pieces`.
_PIECES = (
    "CREATE TABLE pieces (id INTEGER PRIMARY KEY, piece BLOB NOT NULL)",
    "CREATE TABLE large_payloads (sequence INTEGER PRIMARY KEY, staged INTEGER NOT NULL)",
)


def make_file(path: Path) -> None:
    """Make the file with mode 0600 where it is missing; SQLite gives its own files the same mode.

    The folders are synced, so that the new names outlive a power cut like the content does.

    Raises:
        OSError: The folder cannot be made or written.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for folder in (path.parent, *(folder.parent for folder in made)):
        sync_folder(folder)


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that syncs each commit and never checkpoints inside one.

    Raises:
        sqlite3.Error: The file cannot be opened, or is not SQLite.

    Threads: the connection may be used from any thread, by one at a time.
    """
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        connection.text_factory = lambda text: text.decode("utf-8", "replace")  # damaged text must not raise
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # counts only while the file is empty
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # Many builds of SQLite overwrite what is deleted, which would write every payload twice.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")  # else pieces of payloads land in /var/tmp
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path) -> UUID:
    """Return the spool's identity; an empty file has got its tables and a new identity, in one commit.

    Raises:
        StartError: The file belongs to another program, or to a newer version of this one.
        sqlite3.Error: The file cannot be read or written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
        if version == 0 and tables == 0:
            _create(connection)
        else:
            _recognise(connection, version, path)
            _upgrade(connection, version)
        row = connection.execute("SELECT uuid FROM spool").fetchone()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return UUID(row[0])


def _create(connection: sqlite3.Connection) -> None:
    for statement in (*_TABLES, _IMPORTS, *_PIECES):
        connection.execute(statement)
    connection.execute("INSERT INTO spool VALUES (?, ?)", (str(uuid4()), time.time_ns()))
    connection.executemany("INSERT INTO totals VALUES (?, 0, 0)", [(s.value,) for s in Signal])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    if version < 2:
        connection.execute(_IMPORTS)
    if version < VERSION:
        for statement in _PIECES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _recognise(connection: sqlite3.Connection, version: int, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StartError(
            f"{path} is a database of another program", hint="choose another folder with --data-dir"
        )
    if version > VERSION:
        raise StartError(
            f"{path} was written by a newer version (format {version}, this one knows {VERSION})",
            hint="start the newer version; it holds requests that were acknowledged",
        )
