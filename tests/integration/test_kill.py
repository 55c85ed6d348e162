"""A receiver that is killed or stopped in the middle of a load, and started again on the same directory.

Real processes: clients that send numbered records and note which were acknowledged, and the receiver, ended at
a moment that differs from round to round. What counts as random is fixed by a seed, so that a failure can be
had again; what the machine does in between cannot.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from tests.support.process_output import lines_to_the_end
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

SIGNALS = ("traces", "metrics", "logs")
RECORDS = 20
"""Records in a request."""
_NUMBERS = {
    "traces": "SELECT span_id - 1 FROM spans",
    "metrics": "SELECT value_int - 1 FROM metric_points",
    "logs": "SELECT observed_time_unix_nano - 1 FROM logs",
}


class Client:
    """A process that sends all three signals; a context manager that leaves none behind."""

    def __init__(self, receiver: ReceiverProcess, first: int, requests: int, *, retry: bool = False) -> None:
        """Prepare; nothing runs yet."""
        self._command = [
            sys.executable, "-m", "tests.support.exporting_client", receiver.grpc, str(first), str(requests),
            str(RECORDS), *(["--retry"] if retry else []),
        ]  # fmt: skip
        self.acknowledged: dict[str, list[int]] = {signal: [] for signal in SIGNALS}

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def read(self, acknowledgements: int) -> None:
        """Return when it has printed so many more, or has ended."""
        assert self._process.stdout is not None
        for _ in range(acknowledgements):
            self._note(self._process.stdout.readline())

    def wait(self) -> None:
        """Return when it has ended by itself."""
        for line in lines_to_the_end(self._process):
            self._note(line)
        assert self._process.returncode == 0

    def _note(self, line: str) -> None:
        if line:
            signal, number = line.split()
            self.acknowledged[signal].append(int(number))


def _stored(receiver: ReceiverProcess, signal: str) -> list[int]:
    """Return the numbers of the stored records, sorted; one that is stored twice is there twice."""
    first, found = 0, []
    while True:  # an answer of SQL holds 10,000 rows
        rows = receiver.sql(f"SELECT n FROM ({_NUMBERS[signal]}) t(n) ORDER BY n LIMIT 10000 OFFSET {first}")
        found += [number for (number,) in rows]
        if len(rows) < 10_000:
            return found
        first += len(rows)


def _check(receiver: ReceiverProcess, acknowledged: dict[str, list[int]]) -> None:
    """Assert that every acknowledged record is stored, and none twice."""
    receiver.flush()
    for signal, requests in acknowledged.items():
        stored = _stored(receiver, signal)
        assert len(stored) == len(set(stored)), f"{signal}: stored twice"
        wanted = {number * RECORDS + each for number in requests for each in range(RECORDS)}
        assert wanted <= set(stored), f"{signal}: {len(wanted - set(stored))} acknowledged records are lost"
        whole = {number // RECORDS for number in stored}
        assert len(stored) == len(whole) * RECORDS, f"{signal}: a part of a request is stored"


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_under_load_loses_nothing_and_stores_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Killed twice under load: in the end every acknowledged record is there exactly once, and all add up."""
    moment = random.Random(seed)
    acknowledged: dict[str, list[int]] = {signal: [] for signal in SIGNALS}
    for turn in range(2):
        with ReceiverProcess(tmp_path / "data") as receiver, Client(receiver, turn * 10**6, 10**5) as client:
            client.read(moment.randrange(1, 300))
            receiver.kill()
            client.wait()
            for signal, requests in client.acknowledged.items():
                acknowledged[signal] += requests
    with ReceiverProcess(tmp_path / "data") as receiver:
        _check(receiver, acknowledged)
        stats = receiver.stats()
        assert stats["quarantine"]["requests"] == 0
        for total in _by_signal(stats["conservation"]):
            assert total["accepted"] == (
                total["stored"] + total["duplicates"] + total["in_spool"] + total["quarantined"]
            )


@pytest.mark.parametrize("seed", range(2))
def test_sigterm_under_load_finishes_what_was_accepted(tmp_path: Path, seed: int) -> None:
    """SIGTERM under load: it says that all is stored, exits with 0, and the next start has every record once."""
    moment = random.Random(100 + seed)
    with ReceiverProcess(tmp_path / "data") as receiver, Client(receiver, 0, 10**5) as client:
        client.read(moment.randrange(1, 300))
        stopped = receiver.stop()
        client.wait()
    assert stopped.exit_code == 0
    assert "everything that was accepted is stored" in stopped.output
    with ReceiverProcess(tmp_path / "data") as again:
        _check(again, client.acknowledged)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_clients_that_retry_across_a_restart_lose_nothing(tmp_path: Path, how: str) -> None:
    """Clients that send the same bytes again until they are answered: all of it is there, once."""
    requests = 300
    with ReceiverProcess(tmp_path / "data") as receiver, Client(receiver, 0, requests, retry=True) as client:
        client.read(100)
        if how == "SIGKILL":
            receiver.kill()
        else:
            assert receiver.stop().exit_code == 0
        with ReceiverProcess(tmp_path / "data", same_ports_as=receiver) as again:
            client.wait()
            again.flush()
            for signal in SIGNALS:
                assert len(client.acknowledged[signal]) == requests
                assert _stored(again, signal) == list(range(requests * RECORDS))


def _by_signal(conservation: dict[str, dict[str, int]]) -> list[dict[str, int]]:
    signals = next(iter(conservation.values()))
    return [{word: totals[signal] for word, totals in conservation.items()} for signal in signals]
