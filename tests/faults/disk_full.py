"""Faults: the disk is full, under everything or under the database alone; then there is room again."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.disk_trial import disk_trial
from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.support.small_disk import NoMountError, filled, small_disk

_MEGABYTES = 256  # the logs of spool and database alone may take 130
_SPOOL_FULL = r"requests cannot be written to .*the disk is full .*free space"
_STORE_FULL = r"the store cannot be written: .*the disk is full \(/"


class FullDisk:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "full disk"
    short_rounds = 1
    long_rounds = 20

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        data_dir = folder / "data"
        try:
            with small_disk(data_dir, _MEGABYTES), disk_trial(data_dir, {}, report) as trial:
                for _ in range(rounds):
                    trial.client.wait_for(chance.randrange(1, 5))

                    def told() -> None:
                        assert trial.metric("otlp_receiver_spool_writable") == 0
                        assert trial.metric("otlp_receiver_disk_free_bytes") < 1 << 20
                        assert trial.metric("otlp_receiver_refused_requests_total") > 0

                    trial.round(filled(data_dir), problem=_SPOOL_FULL, refused=True, meanwhile=told)
        except NoMountError as error:
            raise FaultNotPossibleError(str(error)) from error
        return report


class FullStoreDisk:
    """The database has a disk of its own, which is full; implements :class:`tests.faults.fault.Fault`."""

    name = "full disk of the database, the spool has room"
    short_rounds = 1
    long_rounds = 20

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        disk = folder / "disk"
        where = {"OTLP_RECEIVER_STORE__PATH": str(disk / "telemetry.duckdb")}
        try:
            with small_disk(disk, _MEGABYTES), disk_trial(folder / "data", where, report) as trial:
                for _ in range(rounds):
                    trial.client.wait_for(chance.randrange(1, 5))

                    def told() -> None:
                        assert trial.metric("otlp_receiver_store_writable") == 0
                        assert trial.metric("otlp_receiver_spool_writable") == 1
                        assert trial.metric("otlp_receiver_store_disk_free_bytes") < 1 << 20

                    trial.round(filled(disk), problem=_STORE_FULL, refused=False, meanwhile=told)
        except NoMountError as error:
            raise FaultNotPossibleError(str(error)) from error
        return report
