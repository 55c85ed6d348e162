"""Fault: after kill -9 the database's write-ahead log is missing, cut, or full of something else.

DuckDB opens what it finds; a log that it refuses is set aside. Either way the spool has what is missing, because
nothing leaves it before a completed checkpoint, and the log of the receiver says how far the store has gone back.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import duckdb

from tests.faults.fault import FaultReport
from tests.faults.numbered_records import compare_with_store, fill_and_kill, together
from tests.faults.receivers import Receivers

_DAMAGES = ("missing", "cut", "zeros at its end", "a flipped byte", "other bytes")
_IN_A_ROW = 2


class StoreLog:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "DuckDB's log missing, cut or damaged after kill -9"
    short_rounds = 2
    long_rounds = 50

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        while report.tried < rounds:
            place = folder / str(report.tried)
            place.mkdir()
            receivers = Receivers(place)
            with receivers.next() as receiver:
                acknowledged = fill_and_kill(receiver, chance)
            for turn in range(1, 1 + min(_IN_A_ROW, rounds - report.tried)):  # the second on top of the first
                damage = _DAMAGES[report.tried % len(_DAMAGES)]
                wanted = _damage(receivers.data_dir / "telemetry.duckdb", damage, chance)
                with receivers.following(report) as receiver:
                    for words in wanted:
                        assert words in receiver.log, f"{damage}: {words!r} is not said in: {receiver.log}"
                    compare_with_store(report, receiver, acknowledged)
                    report.tried += 1
                    acknowledged = together(acknowledged, fill_and_kill(receiver, chance, number=turn))
        return report


def _damage(store: Path, damage: str, chance: random.Random) -> list[str]:
    """Damage its log; return what the receiver's log has to say about it."""
    log = store.with_name(f"{store.name}.wal")
    if not log.exists():
        return []  # a checkpoint had just been completed
    before, _ = _position(store)
    content = bytearray(log.read_bytes())
    at = chance.randrange(len(content))
    match damage:
        case "missing":
            log.unlink()
        case "cut":
            log.write_bytes(content[:at])
        case "zeros at its end":
            log.write_bytes(content[:at] + bytes(len(content) - at))
        case "a flipped byte":
            content[at] ^= 1 << chance.randrange(8)
            log.write_bytes(content)
        case _:
            log.write_bytes(chance.randbytes(len(content)))
    after, refused = _position(store)
    words = [f"{log.name}.damaged-"] if refused else []
    return (
        [*words, f"the store has gone back from position {before} to {after} "] if after < before else words
    )


def _position(store: Path) -> tuple[int, bool]:
    """Return the position in a copy of the store, and whether DuckDB refuses its log."""
    with tempfile.TemporaryDirectory(dir=store.parent.parent) as scratch:
        copy = Path(shutil.copy(store, scratch))
        log = store.with_name(f"{store.name}.wal")
        if log.exists():
            shutil.copy(log, scratch)
        try:
            return _asked(copy), False
        except duckdb.Error:
            copy.with_name(log.name).unlink()
            return _asked(copy), True


def _asked(store: Path) -> int:
    with duckdb.connect(store) as connection:
        tables = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'spool_positions'")
        if not tables.fetchall():
            return 0
        ((position,),) = connection.execute(
            "SELECT coalesce(max(position), 0) FROM spool_positions"
        ).fetchall()
        return int(position)
