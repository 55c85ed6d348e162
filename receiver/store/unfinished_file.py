"""A database file whose making was cut short by a crash or a full disk: it holds nothing, and goes.

DuckDB makes a file with three headers of 4 KiB and then never looks at one that lacks a part of them. The first
checkpoint adds blocks; before it, the spool has everything that was ever in the log.
"""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path

_LOG = logging.getLogger(__name__)
_HEADERS_BYTES = 3 * 4096
_MAGIC = slice(8, 12)


def remove_unfinished_file(store: Path) -> bool:
    """Remove ``store`` if it is nothing but the beginning of DuckDB's headers, or zeros; a log beside it is kept aside.

    Returns:
        True: it is gone, which the log says. False: it is there no longer, or holds something.

    Raises:
        OSError: It cannot be read or removed.

    Threads: only while this process does not have the file open: closing it drops the process's locks on it.
    """
    try:
        if store.stat().st_size > _HEADERS_BYTES:
            return False
        found = store.read_bytes()
    except FileNotFoundError:
        return False
    if found.strip(b"\0") and found[_MAGIC] != b"DUCK":
        return False  # somebody else's file
    log = store.with_name(f"{store.name}.wal")
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(f"{log.name}.damaged-{time.time_ns()}"))
    store.unlink()
    _LOG.warning("%s was an unfinished database file without any data; a new one is made", store)
    return True
