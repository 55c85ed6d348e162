"""A look into a spool that nobody has open: what waits in it. Takes no lock and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID


def spool_identity(path: Path) -> UUID | None:
    """Return the identity of the spool at ``path``; None where there is none that can be read."""
    try:
        with reading(path) as connection:
            row = connection.execute("SELECT uuid FROM spool").fetchone()
            return UUID(row[0]) if row else None
    except (sqlite3.Error, ValueError):
        return None


def waiting_requests(path: Path, *, after: int) -> int:
    """Return how many requests lie above a position; 0 where there is no spool that can be read."""
    try:
        with reading(path) as connection:
            row = connection.execute("SELECT count(*) FROM requests WHERE sequence > ?", (after,)).fetchone()
            return int(row[0])
    except sqlite3.Error:
        return 0


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection that only reads.

    Raises:
        sqlite3.Error: There is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise sqlite3.OperationalError
    # Of a file that was closed in order SQLite would make a log anew, which the next start takes for a crash.
    closed = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{closed}", uri=True)) as connection:
        yield connection
