"""The connection that writes: each block is one synced commit, and the last of the disk is not for requests."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.disk import free_bytes, words_of
from receiver.errors import SpoolUnavailableError
from receiver.spool.failures import disk_errors_named
from receiver.spool.fair_lock import FairLock
from receiver.spool.spool_schema import connect

_LOOK_S = 0.1
"""Where there is plenty of room above the reserve, it is asked for this often: no disk is filled that fast."""
_PLENTY_BYTES = 1 << 30


class SpoolWriter:
    """Writes one spool file. Threads: any; whoever uses it holds ``turn``."""

    def __init__(self, path: Path, *, min_free_bytes: int) -> None:
        """Open the file, which need not have its tables yet.

        Args:
            path: The file.
            min_free_bytes: Room that appends leave on the disk; what makes room may use it.

        Raises:
            sqlite3.Error: It cannot be opened, or is not SQLite.
        """
        self.turn = FairLock()
        self.connection = connect(path)
        self._folder = path.parent
        self._min_free_bytes = min_free_bytes
        self._free_bytes = 0
        self._look_again_at = 0.0
        (self.page_bytes,) = self.connection.execute("PRAGMA page_size").fetchone()

    @contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one synced transaction, or undo all of it.

        Raises:
            SpoolUnavailableError: Nothing of it is in the file.
        """
        writer = self.connection
        with disk_errors_named("write", self._folder):
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:  # SQLite has rolled back by itself after some errors
                    writer.execute("ROLLBACK")
                raise

    @contextmanager
    def one_statement(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one statement, which is a synced transaction by itself, or undone.

        Raises:
            SpoolUnavailableError: Nothing of it is in the file.
        """
        writer = self.connection
        with disk_errors_named("write", self._folder):
            if writer.in_transaction:  # one that could not be ended: the statement would be a part of it
                writer.execute("ROLLBACK")
                raise sqlite3.OperationalError("the transaction before this one was left open")
            yield writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a look at what the last commit left.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        with disk_errors_named("read", self._folder):
            yield self.connection

    def refuse_without_room(self) -> None:
        """Keep the last of the disk for what makes room: checkpoints of the store, removals, retention.

        Pages that removals have left free in the file count as room, for they are used first; a quarter must be
        free on the disk itself, because every commit goes through the log.

        Raises:
            SpoolUnavailableError: An append would take it.
        """
        if not self._min_free_bytes:
            return
        now = time.monotonic()
        if now < self._look_again_at and self._free_bytes >= self._min_free_bytes + _PLENTY_BYTES:
            return
        try:
            free = self._free_bytes = free_bytes(self._folder)
        except OSError as error:
            raise SpoolUnavailableError(f"cannot write the spool: {words_of(error)}") from error
        self._look_again_at = now + _LOOK_S
        if free >= self._min_free_bytes:
            return
        with self.read() as connection:
            (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        if free < self._min_free_bytes // 4 or free + pages * self.page_bytes < self._min_free_bytes:
            raise SpoolUnavailableError(
                "the disk is full but for the reserve (spool.min_free_bytes)",
                hint="free space on the disk of the data directory",
            )

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self.connection.close()
