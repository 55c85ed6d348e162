"""Faults: a disk that takes seconds for each sync, and a database that stands still; both get well again."""

from __future__ import annotations

import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.disk_trial import DiskTrial, bad_disk, disk_trial
from tests.faults.fault import FaultReport
from tests.support.receiver_process import ReceiverProcess


class SlowSync:
    """Each sync of the spool takes longer than clients are held; implements :class:`tests.faults.fault.Fault`."""

    name = "each sync of the spool takes 5 s (1 s in the test suite)"
    short_rounds = 1
    long_rounds = 6

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        data_dir = folder / "data"
        disk = bad_disk(folder, data_dir)
        sync_ms, wait_s = (1000, 0.5) if rounds <= self.short_rounds else (5000, 4.0)
        patience = {"OTLP_RECEIVER_LIMITS__WAIT_S": str(wait_s)}
        with disk_trial(data_dir, {**disk.environment, **patience}, report) as trial:
            for _ in range(rounds):
                trial.client.wait_for(chance.randrange(1, 5))
                trial.round(
                    disk.rules(f"sync spool.db +{sync_ms}"),
                    problem=r"requests cannot be written to .*the disk is slow: a commit (took|has been)",
                    refused=True,
                )
        return report


class BlockedStore:
    """The database stands still, in syncs that do not end and under a heavy query; implements ``Fault``."""

    name = "the database stands still for 65 s (1 s in the test suite)"
    short_rounds = 1
    long_rounds = 2

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        data_dir = folder / "data"
        disk = bad_disk(folder, data_dir)
        seconds = 1 if rounds <= self.short_rounds else 65
        patience = {"OTLP_RECEIVER_QUERY__SQL_TIMEOUT_S": str(seconds)}
        with disk_trial(data_dir, {**disk.environment, **patience}, report) as trial:
            for _ in range(rounds):
                trial.client.wait_for(chance.randrange(1, 5))
                with disk.rules(f"sync .duckdb +{seconds * 1000}"), _heavy_query(trial.receiver):
                    _kept_working(trial, seconds)
                ended = time.monotonic()
                trial.receiver.flush()
                report.healthy_s.append(time.monotonic() - ended)
                report.tried += 1
        return report


def _kept_working(trial: DiskTrial, seconds: float) -> None:
    """Assert that clients are accepted all the while, and that a long standstill is told."""
    deadline = time.monotonic() + seconds
    refused, told = trial.client.gave_up, False
    while time.monotonic() < deadline:
        trial.client.wait_for(1)
        told = told or any("nothing was stored for" in each for each in trial.problems())
        time.sleep(0.1)  # between two looks
    assert trial.client.gave_up == refused, "somebody was asked to come again"
    assert told or seconds < 60, "it was not told that nothing is stored"


@contextmanager
def _heavy_query(receiver: ReceiverProcess) -> Iterator[None]:
    """Keep a query running that ends at its time limit."""

    def ask() -> None:
        request = urllib.request.Request(
            f"http://{receiver.query}/api/v1/sql",
            data=b'{"query": "SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b"}',
            headers={"content-type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=120).close()
        except urllib.error.HTTPError as error:
            error.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        asking.join()
