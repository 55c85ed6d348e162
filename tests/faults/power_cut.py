"""Fault: the whole receiver loses its power; what no sync followed is gone, in the spool and in the database.

A library in the receiver keeps, beside the data directory, every file as it was when it was last synced
(``tests/support/sync_shadow.c``), and kills the receiver before a write or sync call that chance has chosen. The
files that it kept become the data directory, and a receiver without the library has to get well on them.
"""

from __future__ import annotations

import contextlib
import filecmp
import random
import shutil
import signal
from pathlib import Path

from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.faults.numbered_client import quick_client
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers
from tests.support.power_cut import COMPILER, compile_shim

_CUTS_OF_A_STORE = 10
_MOST_CALLS = 600
_PAUSE_S = 0.03
_NOT_ON_DISK = ("*.lock", "*-shm", "*.position", "tmp")
_DATA = {".db", ".db-wal", ".duckdb", ".wal"}
_SHORT_CHECKPOINTS = {"OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "0.4"}


class PowerCut:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "power cut: every write that no sync followed is dropped"
    short_rounds = 3
    long_rounds = 100

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        if COMPILER is None:
            raise FaultNotPossibleError("no C compiler for the library that stands in for a disk")
        library = compile_shim(folder)
        report = FaultReport()
        dropped = 0
        while report.tried < rounds:
            place = folder / str(report.tried)
            place.mkdir()
            cuts = min(_CUTS_OF_A_STORE, rounds - report.tried)
            dropped += self._cut_one_store(place, library, cuts, chance, report)
        report.notes.append(f"{dropped} cuts dropped something")
        return report

    @staticmethod
    def _cut_one_store(
        folder: Path, library: Path, cuts: int, chance: random.Random, report: FaultReport
    ) -> int:
        receivers = Receivers(folder, _SHORT_CHECKPOINTS)
        receivers.data_dir.mkdir(mode=0o700)
        with quick_client(receivers.ports, number=0, pause_s=_PAUSE_S) as client:
            dropped = 0
            for _ in range(cuts):
                dropped += _lose_power(receivers, library, chance.randrange(1, _MOST_CALLS))
                with receivers.following(report) as receiver:
                    report.tried += 1
                    client.wait_for(1)
                    receiver.kill()
        with receivers.next() as receiver:
            receiver.flush()
            compare_with_store(report, receiver, acknowledged_numbers([client]))
        return dropped


def _lose_power(receivers: Receivers, library: Path, call: int) -> bool:
    """Run a receiver until its write or sync call of this number; leave what was synced before.

    Returns:
        True if a database or its log was not what was synced last.
    """
    live, shadow = receivers.data_dir, receivers.data_dir.with_name("shadow")
    shutil.copytree(live, shadow, ignore=shutil.ignore_patterns(*_NOT_ON_DISK))
    receiver = receivers.next(
        {
            "LD_PRELOAD": str(library),
            "SYNC_FOLDER": str(live),
            "SYNC_SHADOW": str(shadow),
            "SYNC_CUT": str(call),
        }
    )
    with contextlib.suppress(AssertionError):  # it may not get so far as to listen
        receiver.start()
    assert receiver.wait() == -signal.SIGKILL, receiver.log
    dropped = any(not _same(file, shadow / file.name) for file in live.iterdir() if file.suffix in _DATA)
    shutil.rmtree(live)
    shadow.rename(live)
    return dropped


def _same(file: Path, other: Path) -> bool:
    return other.exists() and filecmp.cmp(file, other, shallow=False)
