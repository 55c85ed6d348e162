"""The one DuckDB database of a receiver: opened, migrated, bounded; cursors for readers, the writer's connection.

A DuckDB file belongs to one process. DuckDB's own default for memory is most of the machine, so memory,
temporary space and threads are set from the configuration. Checkpoints never happen inside a commit: the
loader asks for them (``DuckDbWriter.checkpoint``), because what they cover may leave the spool.

When a sync or a checkpoint fails, DuckDB invalidates the whole database in memory and refuses every call from
then on. The file with its log stays what the last commit made it, so :meth:`DuckDbStore.reopen` is enough.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import duckdb

from receiver.config import StoreConfig
from receiver.disk import cause_in, sync_folder
from receiver.errors import StartError, StoreUnavailableError
from receiver.store.damaged_log import set_aside_damaged_log
from receiver.store.migrate import migrate
from receiver.store.unfinished_file import remove_unfinished_file

_LET_GO_S = 5.0
"""How long :meth:`DuckDbStore.reopen` waits for questions, which it interrupts, to let go of the old instance."""
_LOOK_S = 0.02
Open = Callable[[], duckdb.DuckDBPyConnection]


class DuckDbStore:
    """An open database. Threads: ``cursor`` may be called from any thread."""

    def __init__(self, open_file: Open, path: Path) -> None:
        """Open it; see :meth:`open`."""
        self._open_file = open_file
        self.connection = open_file()
        self.path = path
        self._lock = threading.Lock()  # DuckDB refuses two calls at once on one connection
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        config: StoreConfig,
        *,
        temp_directory: Path,
        prepare: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
    ) -> DuckDbStore:
        """Return the database at ``path``, created if it is not there, its schema up to date.

        Args:
            path: The file.
            config: What the database may use.
            temp_directory: Where it puts what does not fit into its memory; made where it is missing.
            prepare: Called with the connection each time that the file was opened.

        Raises:
            StoreUnavailableError: Another process holds the file, or the disk fails; both may pass.
            StartError: The file is not a database that this release can use.
        """

        def open_file() -> duckdb.DuckDBPyConnection:
            connection = _connect(path, config, temp_directory)
            try:
                if path.exists():
                    os.chmod(path, 0o600)  # noqa: PTH101 - Path.chmod follows the same call
                migrate(connection)
                prepare(connection)
                # A new file's name, and the one that a damaged log has got: DuckDB syncs files only, and the spool
                # forgets what a checkpoint has put into them.
                sync_folder(path.parent)
            except (duckdb.Error, OSError) as error:
                connection.close()
                raise _not_opened(path, error) from error
            except BaseException:
                connection.close()
                raise
            return connection

        return cls(open_file, path)

    @property
    def is_valid(self) -> bool:
        """Return True if the database answers; False once it has given up. Blocks."""
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT 1")
        except (duckdb.Error, StoreUnavailableError):
            return False
        return True

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the same database.

        Raises:
            StoreUnavailableError: The database has given up and is not open again, or was closed.
        """
        with self._lock:
            try:
                cursor = self.connection.cursor()
            except duckdb.ConnectionException as error:
                raise StoreUnavailableError(
                    "the store has failed and is not open again", hint="ask again in a moment; see /readyz"
                ) from error
            self._cursors.add(cursor)
            return cursor

    def reopen(self) -> None:
        """Close what has given up and open the file again; questions that still run are interrupted.

        Raises:
            StoreUnavailableError: It cannot be opened yet, or a question has not let go of it.
            StartError: It will never open again.

        Threads: the writer's, which has closed its own cursor.
        """
        deadline = time.monotonic() + _LET_GO_S
        with self._lock:
            self._close_connections(deadline)
            while not self._closed:
                self._interrupt()
                try:
                    self.connection = self._open_file()
                except _OldInstanceError as error:
                    # DuckDB gives out the instance that it has while anybody holds it.
                    if time.monotonic() > deadline:
                        raise StoreUnavailableError("questions hold the store that has failed") from error
                    time.sleep(_LOOK_S)
                else:
                    return

    def file_bytes(self) -> int:
        """Return the size of the database file and its write-ahead log."""
        return file_bytes(self.path)

    def log_bytes(self) -> int:
        """Return the size of the write-ahead log. Blocks."""
        try:
            return self.path.with_name(self.path.name + ".wal").stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Close the database; questions that still run are interrupted.

        What is in its log is checkpointed, or stays there where ``prepare`` has set so.

        Raises:
            StoreUnavailableError: A question has not let go of it in time.
        """
        with self._lock:
            self._closed = True
            self._close_connections(time.monotonic() + _LET_GO_S)

    def _close_connections(self, deadline: float) -> None:
        """Close the connection, and with it all cursors; DuckDB refuses that while one of them is busy."""
        while True:
            self._interrupt()
            try:
                self.connection.close()
            except duckdb.ResourceInUseException as error:
                if time.monotonic() > deadline:
                    raise StoreUnavailableError("questions hold the store and do not stop") from error
                time.sleep(_LOOK_S)
            else:
                return

    def _interrupt(self) -> None:
        for cursor in list(self._cursors):
            with contextlib.suppress(duckdb.Error):  # it is closed already
                cursor.interrupt()


class _OldInstanceError(StoreUnavailableError):
    """What was opened is the instance that has given up."""


def _connect(path: Path, config: StoreConfig, temp_directory: Path) -> duckdb.DuckDBPyConnection:
    was_there = path.exists()
    try:
        temp_directory.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(
            str(path),
            config={
                "memory_limit": f"{config.memory_limit_bytes}B",
                "threads": config.threads,
                "temp_directory": str(temp_directory),
                "max_temp_directory_size": f"{config.temp_limit_bytes}B",
                "checkpoint_threshold": "1TB",
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
    except (duckdb.Error, OSError) as error:
        broken_disk = cause_in(str(error)) is not None
        try:
            if broken_disk and not was_there:
                path.unlink(missing_ok=True)  # what DuckDB leaves of it could never be opened
            again = (
                isinstance(error, duckdb.Error)
                and not broken_disk
                and (
                    set_aside_damaged_log(path, error)
                    or (_is_unreadable(error) and remove_unfinished_file(path))
                )
            )
        except OSError as not_moved:
            raise _not_opened(path, not_moved) from error
        if again:
            return _connect(path, config, temp_directory)
        raise _not_opened(path, error) from error


def _is_unreadable(error: duckdb.Error) -> bool:
    text = str(error).lower()
    return "not a valid duckdb database file" in text or "could not read enough bytes" in text


def _not_opened(path: Path, error: duckdb.Error | OSError) -> StartError | StoreUnavailableError:
    """Return what an error while opening means: is it worth trying again?"""
    text = _first_line(error)
    # The first is what a new connection to the old instance says, the second that its settings have moved on.
    if isinstance(error, duckdb.FatalException | duckdb.ConnectionException):
        return _OldInstanceError(f"{path} cannot be opened: {text}")
    if isinstance(error, duckdb.IOException) and "lock" in text.lower():
        return StoreUnavailableError(
            f"{path} is held by another process: {text}",
            hint="a receiver that runs answers questions itself; stop it, or ask it",
        )
    cause = cause_in(str(error))
    if cause is not None or isinstance(error, duckdb.OutOfMemoryException | OSError):
        return StoreUnavailableError(f"{path} cannot be opened: {cause or text}")
    return StartError(f"{path} cannot be opened: {text}", hint="check the file and its disk")


def file_bytes(path: Path) -> int:
    """Return the size of a database file and its write-ahead log; 0 where there is none. Blocks."""
    files = (path, path.with_name(path.name + ".wal"))
    return sum(f.stat().st_size for f in files if f.exists())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
