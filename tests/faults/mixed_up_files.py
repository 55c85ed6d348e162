"""Fault: spool and store do not belong together any more, because somebody put other files there.

A new spool beside an old store, an older store beside a newer spool that still has the rest, one that has it no more
(the newer store, put back as the log says, has everything), and a spool that a restart has emptied.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.fault import FaultReport
from tests.faults.numbered_records import compare_with_store, fill_and_kill, fill_and_stop, together
from tests.faults.receivers import Receivers

Numbers = Mapping[str, set[int]]
Way = Callable[[Receivers, random.Random, FaultReport, Numbers], Numbers]
_STORE = "telemetry.duckdb*"
_BACK = "the store has gone back from position "
_LEFT = " have left the spool, so they were in a newer state of the store and are not in this one"


class MixedUpFiles:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "new spool with an old store, old store with a newer spool, emptied spool"
    short_rounds = 2
    long_rounds = 40

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        ways: list[Way] = [_old_store, _newer_store_again, _new_spool, _emptied_spool]
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            receivers = Receivers(place)
            with receivers.next() as receiver:
                before = fill_and_stop(receiver, chance, number=0)
            way = ways[number % len(ways)]
            acknowledged = way(receivers, chance, report, before)
            with receivers.following(report) as receiver:
                compare_with_store(report, receiver, acknowledged, one_spool=way is not _new_spool)
            report.tried += 1
        return report


def _old_store(receivers: Receivers, chance: random.Random, _: FaultReport, before: Numbers) -> Numbers:
    """An older copy of the store, and a spool that still has everything since: replayed, and said."""
    older = _copy_of_store(receivers)
    with receivers.next() as receiver:
        later = fill_and_kill(receiver, chance, number=1)
    _put_store(receivers, older)
    with receivers.next() as receiver:
        receiver.flush()
        assert _BACK in receiver.log, receiver.log
        assert _LEFT not in receiver.log, receiver.log
        receiver.kill()
    return together(before, later)


def _newer_store_again(
    receivers: Receivers, chance: random.Random, _: FaultReport, before: Numbers
) -> Numbers:
    """An older copy of the store, and a spool that has forgotten the rest: the log says to put back the newer one."""
    older = _copy_of_store(receivers)
    with receivers.next() as receiver:
        later = fill_and_stop(receiver, chance, number=1)
    newer = _copy_of_store(receivers)
    _put_store(receivers, older)
    with receivers.next() as receiver:
        receiver.flush()
        assert _BACK in receiver.log, receiver.log
        assert _LEFT in receiver.log, receiver.log
        assert receiver.stop().exit_code == 0
    _put_store(receivers, newer)
    return together(before, later)


def _new_spool(receivers: Receivers, chance: random.Random, _: FaultReport, before: Numbers) -> Numbers:
    """No spool beside a store: a new one begins, and its first request is not taken for a stored one."""
    for file in receivers.data_dir.glob("spool.db*"):
        file.unlink()
    with receivers.next() as receiver:
        later = fill_and_kill(receiver, chance, number=1)
    return together(before, later)


def _emptied_spool(
    receivers: Receivers, chance: random.Random, report: FaultReport, before: Numbers
) -> Numbers:
    """A stop without load has emptied the spool: the numbers go on where they were."""
    with receivers.next() as receiver:
        receiver.flush()
        assert receiver.stop().exit_code == 0
    with receivers.following(report) as receiver:
        assert receiver.stats()["spool"]["requests"] == 0
        later = fill_and_kill(receiver, chance, number=1)
    return together(before, later)


def _copy_of_store(receivers: Receivers) -> Path:
    """Return a folder with the files of a store that nobody has open."""
    copy = receivers.data_dir.with_name(f"store-{len(list(receivers.data_dir.parent.iterdir()))}")
    copy.mkdir()
    for file in receivers.data_dir.glob(_STORE):
        shutil.copy(file, copy)
    return copy


def _put_store(receivers: Receivers, copy: Path) -> None:
    for file in receivers.data_dir.glob(_STORE):
        file.unlink()
    for file in copy.iterdir():
        shutil.copy(file, receivers.data_dir)
