"""What a failing disk becomes: an error that says what happened and what to do, never a bare SQLite one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.disk import why_not_writable
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
_OF_THE_DISK = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")


@contextmanager
def disk_errors_named(what: str, folder: Path | None = None) -> Iterator[None]:
    """Turn every SQLite error inside the block into a :class:`SpoolUnavailableError` with a hint.

    SQLite has one word for most failures of a disk, so the folder itself is asked. The message does not name it:
    clients read it.

    Args:
        what: What could not be done, for the message: "write", "read".
        folder: Where the spool is; None: it is not asked.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        hint = next((text for prefix, text in _HINTS if name.startswith(prefix)), None)
        of_the_disk = what != "read" and name.startswith(_OF_THE_DISK)
        cause = why_not_writable(folder) if folder is not None and of_the_disk else None
        if cause is not None and not name.startswith("SQLITE_FULL"):
            hint = "the receiver goes on by itself when the data directory can be written again"
        raise SpoolUnavailableError(
            f"cannot {what} the spool: {cause or error} ({name})", hint=hint
        ) from error
