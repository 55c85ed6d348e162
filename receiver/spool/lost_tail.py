"""Finds acknowledged commits that SQLite leaves out, without a word, behind a damaged part of its WAL.

SQLite reads a write-ahead log up to the first frame whose checksum is wrong and ignores the rest. For the
tail of a commit that was cut off this is right: it was never acknowledged. But a commit that another one
*follows* had been synced, so frames behind the end that SQLite found are evidence of damage.
Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

_HEADER = struct.Struct(">8L")
_FRAME = struct.Struct(">6L")


def lost_commits(wal: Path, recovered_frames: int) -> int:
    """Return how many finished commits lie in ``wal`` behind the frames that SQLite recovered from it.

    The last commit is never counted: it may be one whose sync did not end before the power did.
    """
    if not wal.exists():
        return 0
    with wal.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return 0
        _, _, page_bytes, _, salt_1, salt_2, _, _ = _HEADER.unpack(header)
        step = _FRAME.size + page_bytes
        frames = (wal.stat().st_size - _HEADER.size) // step
        pending = lost = 0
        for number in range(max(recovered_frames, 0), frames):
            file.seek(_HEADER.size + number * step)
            _, pages_after_commit, frame_salt_1, frame_salt_2, _, _ = _FRAME.unpack(file.read(_FRAME.size))
            if (frame_salt_1, frame_salt_2) != (salt_1, salt_2):
                continue  # left over from before the log was last started anew
            lost += pending
            pending = 1 if pages_after_commit else 0
    return lost


def keep_copy(wal: Path, now_ns: int) -> Path:
    """Return a byte-for-byte copy of ``wal``, made because SQLite is about to write over it."""
    copy = wal.with_name(f"{wal.name}.damaged-{now_ns}")
    shutil.copy(wal, copy)
    return copy
