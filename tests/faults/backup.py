"""Fault: the database is destroyed after a backup was made under load, and the backup is restored.

Half of the rounds also lose the spool, as with another machine: then what was acknowledged before the backup's
moment counts. Where the spool is there, what it still held counts too.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.faults.fault import FaultReport
from tests.faults.numbered_client import quick_client
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers
from tests.support.command_line import otlp_receiver

_MOST_REQUESTS = 60
_NEVER = {"OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "3600"}
"""No checkpoint but the backup's: the spool holds all that came after it."""


class BackupAndRestore:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "database destroyed, restored from a backup made under load"
    short_rounds = 1  # without the spool: tests/integration/test_backup.py
    long_rounds = 30

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            _round(report, place, chance, spool_too=bool(number % 2))
        return report


def _round(report: FaultReport, place: Path, chance: random.Random, *, spool_too: bool) -> None:
    receivers = Receivers(place, _NEVER)
    with receivers.next() as receiver, quick_client(receiver, number=0) as client:
        client.wait_for(chance.randrange(1, _MOST_REQUESTS))
        acknowledged = acknowledged_numbers([client])
        made = _command(place, "backup", place / "backup", "--endpoint", f"http://{receiver.query}")
        client.wait_for(chance.randrange(1, _MOST_REQUESTS))
        receiver.kill()
    if not spool_too:
        acknowledged = acknowledged_numbers([client])
    _destroy(receivers.data_dir, chance, spool_too=spool_too)
    restored = _command(place, "restore", place / "backup", "--data-dir", receivers.data_dir)
    assert restored["moment"] == made["moment"]
    assert restored["spool_kept"] is not spool_too
    assert not any(restored["not_restored"].values()), restored
    with receivers.following(report) as receiver:
        compare_with_store(report, receiver, acknowledged)
    report.tried += 1


def _destroy(data_dir: Path, chance: random.Random, *, spool_too: bool) -> None:
    store = data_dir / "telemetry.duckdb"
    store.write_bytes(chance.randbytes(store.stat().st_size))
    if spool_too:
        for file in data_dir.glob("spool.db*"):
            file.unlink()


def _command(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    done = otlp_receiver(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
