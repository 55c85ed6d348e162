"""Commits of a spool, counted in its write-ahead log, and statements, counted as they are run."""

from __future__ import annotations

import struct
from pathlib import Path

from receiver.spool import SqliteSpool

_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def commits_in_log(spool_file: Path) -> int:
    """Return how many transactions the log holds: frames that end one tell the size of the database.

    The log must not have started anew since the spool was opened: frames of before would be counted too.
    See https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
    """
    log = spool_file.with_name(spool_file.name + "-wal").read_bytes()
    (page_bytes,) = struct.unpack_from(">I", log, 8)
    starts = range(_LOG_HEADER_BYTES, len(log), _FRAME_HEADER_BYTES + page_bytes)
    return sum(struct.unpack_from(">I", log, start + 4)[0] != 0 for start in starts)


def statements_of(spool: SqliteSpool) -> list[str]:
    """Return a list that grows by each statement of the writing connection; its triggers' are it once more, left out."""
    seen: list[str] = []

    def note(sql: str) -> None:
        if seen[-1:] != [sql]:
            seen.append(sql)

    spool._writer.connection.set_trace_callback(note)
    return seen
