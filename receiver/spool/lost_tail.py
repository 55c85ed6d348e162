"""Finds acknowledged commits that SQLite leaves out, without a word, behind a damaged part of its WAL.

SQLite reads a write-ahead log up to the first frame whose checksum is wrong and ignores the rest. For the
tail of a commit that was cut off this is right: it was never acknowledged. But a commit that another one
*follows* had been synced, so frames behind the end that SQLite found are evidence of damage.
Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger("receiver.spool")

_HEADER = struct.Struct(">8L")
_FRAME = struct.Struct(">6L")


@dataclass(frozen=True, slots=True)
class Tail:
    """What lies in a log behind the frames that SQLite recovered from it."""

    lost_commits: int = 0
    """Finished commits, all but the last one: that may be one whose sync did not end before the power did."""
    unfinished: bool = False
    """True if there is that last commit, or a part of one: it was never acknowledged."""


def tail_of(wal: Path, recovered_frames: int) -> Tail:
    """Return what SQLite leaves out of ``wal``."""
    if not wal.exists():
        return Tail()
    with wal.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return Tail()
        _, _, page_bytes, _, salt_1, salt_2, _, _ = _HEADER.unpack(header)
        step = _FRAME.size + page_bytes
        size = wal.stat().st_size
        unfinished = False
        pending = lost = 0
        for start in range(_HEADER.size + max(recovered_frames, 0) * step, size - _FRAME.size, step):
            file.seek(start)
            _, pages_after_commit, frame_salt_1, frame_salt_2, _, _ = _FRAME.unpack(file.read(_FRAME.size))
            if (frame_salt_1, frame_salt_2) != (salt_1, salt_2):
                continue  # left over from before the log was last started anew
            unfinished = True
            lost += pending
            pending = 1 if pages_after_commit and start + step <= size else 0
    return Tail(lost, unfinished)


def keep_copy(wal: Path, now_ns: int) -> Path:
    """Return a byte-for-byte copy of ``wal``, made because SQLite is about to write over it."""
    copy = wal.with_name(f"{wal.name}.damaged-{now_ns}")
    shutil.copy(wal, copy)
    return copy


def report_lost_tail(connection: sqlite3.Connection, wal: Path, now_ns: int) -> None:
    """Checkpoint a spool that was stopped hard; what its log has lost is said, and the log kept beside it."""
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    tail = tail_of(wal, int(frames))
    if tail.lost_commits:
        copy = keep_copy(wal, now_ns)
        logger.error(
            "the spool's write-ahead log is damaged: %d commits that were acknowledged could not be read"
            " back; the log is kept as %s",
            tail.lost_commits,
            copy.name,
        )
    elif tail.unfinished:
        logger.warning(
            "the spool's write-ahead log ends in an unfinished commit; it was never acknowledged and is left out"
        )
