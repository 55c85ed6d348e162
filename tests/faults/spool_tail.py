"""Fault: the spool's write-ahead log ends in a commit that never ended.

After a kill -9 one more request is committed in a copy of the spool, and a part of what that wrote is put behind
the real log: what a disk holds whose power went off between a write and its sync. Nobody was told about it.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from tests.faults.fault import FaultReport
from tests.faults.numbered_records import compare_with_store, fill_and_kill
from tests.faults.receivers import Receivers

_LOG = "the spool's write-ahead log ends in an unfinished commit"
_FRAME_HEAD = 25  # bytes of a frame that show whose it is, and one more


class SpoolTail:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "unfinished tail of the spool's log after kill -9"
    short_rounds = 1
    long_rounds = 30

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            receivers = Receivers(place)
            with receivers.next() as receiver:
                acknowledged = fill_and_kill(receiver, chance)
            append_unfinished_commit(receivers.data_dir / "spool.db", chance)
            with receivers.following(report) as receiver:
                assert _LOG in receiver.log, receiver.log
                compare_with_store(report, receiver, acknowledged)
            report.tried += 1
        return report


def append_unfinished_commit(spool: Path, chance: random.Random) -> None:
    """Put a part of one more commit behind the log of a spool that nobody has open."""
    log = spool.with_name(f"{spool.name}-wal")
    before = log.read_bytes()
    with tempfile.TemporaryDirectory(dir=spool.parent.parent) as scratch:
        copy = Path(shutil.copy(spool, scratch))
        copied_log = Path(shutil.copy(log, scratch))
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(
                "INSERT INTO payloads SELECT max(sequence) + 1000, randomblob(100000) FROM payloads"
            )
            after = copied_log.read_bytes()  # its end is written, and closing would take it away
    old, new = (np.frombuffer(content[: len(before)], dtype=np.uint8) for content in (before, after))
    changed = np.flatnonzero(old != new)
    first = int(changed[0]) if len(changed) else len(before)
    end = len(after) if len(after) > len(before) else int(changed[-1]) + 1
    cut = chance.randrange(first + _FRAME_HEAD, end)
    log.write_bytes(after[:cut] + before[cut:])
