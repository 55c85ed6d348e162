"""What a failing disk becomes: an error that says what happened and what to do, never a bare SQLite one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from receiver.errors import SpoolUnavailableError

_HINTS = (
    ("SQLITE_FULL", "free space on the disk of the data directory"),
    ("SQLITE_IOERR", "look at the disk of the data directory: is it full, over quota or failing?"),
    ("SQLITE_READONLY", "the data directory has become read-only; remount it or give the rights back"),
    ("SQLITE_PERM", "give the user that runs the receiver the right to write the data directory"),
    ("SQLITE_CANTOPEN", "the data directory has gone or has no rights; bring it back"),
    ("SQLITE_BUSY", "another program holds the spool file; close it"),
    ("SQLITE_LOCKED", "another program holds the spool file; close it"),
    ("SQLITE_CORRUPT", "stop the receiver, copy the spool file, and try `sqlite3 spool.db .recover`"),
    ("SQLITE_NOTADB", "the spool file was overwritten; bring back the right one"),
)


@contextmanager
def disk_errors_named(what: str) -> Iterator[None]:
    """Turn every SQLite error inside the block into a :class:`SpoolUnavailableError` with a hint.

    Args:
        what: What could not be done, for the message: "write", "read".
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        hint = next((text for prefix, text in _HINTS if name.startswith(prefix)), None)
        raise SpoolUnavailableError(f"cannot {what} the spool: {error} ({name})", hint=hint) from error
