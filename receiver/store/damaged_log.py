"""A write-ahead log of DuckDB that cannot be replayed: set aside, because the spool has what was in it.

A log can be torn in its middle: after a power cut a file may have its new length and not all of its new bytes.
Nothing is lost with it, because requests leave the spool only when a completed checkpoint covers them.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import duckdb

_LOG = logging.getLogger(__name__)
_NOT_REPLAYED = "while replaying wal"


def set_aside_damaged_log(store: Path, error: duckdb.Error) -> bool:
    """Move the log of ``store`` out of the way if it is the reason why the store does not open.

    Returns:
        True: it was moved, which the log says; open again, from the last completed checkpoint. False: it is there
        no longer, or something else is wrong.

    Raises:
        OSError: It cannot be moved.
    """
    log = store.with_name(f"{store.name}.wal")
    if _NOT_REPLAYED not in str(error).lower() or isinstance(error, duckdb.OutOfMemoryException):
        return False
    if not log.exists():
        return False
    aside = log.with_name(f"{log.name}.damaged-{time.time_ns()}")
    log.replace(aside)
    _LOG.error(
        "the store's write-ahead log is damaged and is kept as %s; the store goes on from its last checkpoint, and"
        " what came after it is loaded from the spool again: %s",
        aside.name,
        str(error).splitlines()[0],
    )
    return True
