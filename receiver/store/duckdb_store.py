"""The one DuckDB database of a receiver: opened, migrated, bounded; cursors for readers, the writer's connection.

A DuckDB file belongs to one process. DuckDB's own default for memory is most of the machine, so memory,
temporary space and threads are set from the configuration. Checkpoints never happen inside a commit: the
loader asks for them (``DuckDbWriter.checkpoint``), because what they cover may leave the spool.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import duckdb

from receiver.config import StoreConfig
from receiver.errors import StartError, StoreUnavailableError
from receiver.store.migrate import migrate


class DuckDbStore:
    """An open database. Threads: ``cursor`` may be called from any thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Wrap an open connection; use :meth:`open`."""
        self.connection = connection
        self.path = path
        self._lock = threading.Lock()  # DuckDB refuses two calls at once on one connection

    @classmethod
    def open(cls, path: Path, config: StoreConfig, *, temp_directory: Path) -> DuckDbStore:
        """Return the database at ``path``, created if it is not there, its schema up to date.

        Raises:
            StoreUnavailableError: Another process holds the file; it may let go of it.
            StartError: The file is not a database that this release can use.
        """
        temp_directory.mkdir(parents=True, exist_ok=True)
        try:
            connection = duckdb.connect(
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
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise StoreUnavailableError(
                    f"{path} is held by another process: {_first_line(error)}",
                    hint="a receiver that runs answers questions itself; stop it, or ask it",
                ) from error
            raise StartError(
                f"{path} cannot be opened: {_first_line(error)}", hint="check the file and its disk"
            ) from error
        except duckdb.Error as error:
            raise StartError(
                f"{path} cannot be opened: {_first_line(error)}", hint="check the file and its disk"
            ) from error
        if path.exists():
            os.chmod(path, 0o600)  # noqa: PTH101 - Path.chmod follows the same call
        migrate(connection)
        return cls(connection, path)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the same database."""
        with self._lock:
            return self.connection.cursor()

    def file_bytes(self) -> int:
        """Return the size of the database file and its write-ahead log."""
        return file_bytes(self.path)

    def close(self) -> None:
        """Close the database; DuckDB checkpoints what is in its log."""
        with self._lock:
            self.connection.close()


def file_bytes(path: Path) -> int:
    """Return the size of a database file and its write-ahead log; 0 where there is none. Blocks."""
    files = (path, path.with_name(path.name + ".wal"))
    return sum(f.stat().st_size for f in files if f.exists())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
