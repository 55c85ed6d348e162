"""Faults: calls on files that end with an error of the disk, and work again later."""

from __future__ import annotations

import errno
import json
import random
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.disk_trial import DiskTrial, bad_disk, disk_trial
from tests.faults.fault import FaultReport

_NO_DATABASE = (f"sync telemetry.duckdb {errno.EIO}", f"read telemetry.duckdb {errno.EIO}")
_ENDS = (
    (f"write * {errno.ENOSPC}", "the disk is full"),
    (f"write * {errno.EROFS}", "the disk is read-only"),
    (f"sync * {errno.EIO}", "SQLITE_IOERR_FSYNC"),
)


class FailingDisk:
    """Writes or syncs fail, of everything; implements :class:`tests.faults.fault.Fault`."""

    name = "writes fail (ENOSPC, EROFS) or syncs (EIO), by turns"
    short_rounds = len(_ENDS)
    long_rounds = 30

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        data_dir = folder / "data"
        disk = bad_disk(folder, data_dir)
        with disk_trial(data_dir, disk.environment, report) as trial:
            for number in range(rounds):
                trial.client.wait_for(chance.randrange(1, 5))
                rule, words = _ENDS[number % len(_ENDS)]
                trial.round(
                    disk.rules(rule), problem=f"requests cannot be written to .*{words}", refused=True
                )
        return report


class FailingStore:
    """Syncs and reads of the database fail: DuckDB gives up as a whole; implements ``Fault``."""

    name = "the database's syncs and reads fail (EIO), it gives up and is opened again"
    short_rounds = 1
    long_rounds = 20

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        data_dir = folder / "data"
        disk = bad_disk(folder, data_dir)
        with disk_trial(data_dir, disk.environment, report) as trial:
            for number in range(rounds):
                trial.client.wait_for(chance.randrange(1, 5))
                trial.round(
                    disk.rules(*_NO_DATABASE),
                    problem=r"the store cannot be written: .* cannot be opened: the disk fails",
                    refused=False,
                    meanwhile=lambda: _told_to_ask_again(trial),
                )
                assert trial.metric("otlp_receiver_store_reopened_total") > number
        return report


class UnopenedStore:
    """Syncs and reads of the database fail from the start, so that it cannot be made; implements ``Fault``."""

    name = "the database's syncs and reads fail (EIO) from the start, it cannot be opened at all"
    short_rounds = 1
    long_rounds = 10

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        for number in range(rounds):
            data_dir = folder / f"data-{number}"
            disk = bad_disk(folder, data_dir)
            with ExitStack() as trouble:
                trouble.enter_context(disk.rules(*_NO_DATABASE))
                with disk_trial(data_dir, disk.environment, report, is_opened=False) as trial:
                    trial.client.wait_for(chance.randrange(1, 5))
                    trial.round(
                        trouble,
                        problem="cannot be opened: the disk fails",
                        refused=False,
                        meanwhile=lambda: _told_to_ask_again(trial),
                    )
        return report


def _told_to_ask_again(trial: DiskTrial) -> None:
    """Assert that a question is answered in a way that its asker understands."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"http://{trial.receiver.query}/api/v1/services", timeout=30).close()
    with refusal.value as answer:
        assert answer.code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert json.load(answer)
