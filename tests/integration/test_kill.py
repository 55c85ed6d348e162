"""A receiver that is killed or stopped in the middle of a load, and started again on the same directory.

Real processes: clients that send numbered records and note which were acknowledged, and the receiver, ended at
a moment that differs from round to round. What counts as random is fixed by a seed, so that a failure can be
had again; what the machine does in between cannot.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
    """A process that sends one signal and prints the number of each acknowledged request."""

    def __init__(self, endpoint: str, signal: str, first: int, requests: int, *, retry: bool = False) -> None:
        """Start it."""
        self.signal = signal
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.support.exporting_client", endpoint, signal, str(first), str(requests),
                str(RECORDS), *(["--retry"] if retry else []),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )  # fmt: skip
        self.acknowledged: list[int] = []

    def read(self, acknowledged: int) -> None:
        """Return when it has printed so many acknowledgements more, or has ended."""
        assert self.process.stdout is not None
        wanted = len(self.acknowledged) + acknowledged
        while len(self.acknowledged) < wanted and (line := self.process.stdout.readline()):
            if line.strip().isdigit():
                self.acknowledged.append(int(line))

    def wait(self) -> None:
        """Return when it has ended."""
        output, _ = self.process.communicate(timeout=60)
        self.acknowledged += [int(line) for line in output.split() if line.isdigit()]
        assert self.process.returncode == 0


@contextmanager
def clients(
    receiver: ReceiverProcess, first: int, requests: int, *, retry: bool = False
) -> Iterator[list[Client]]:
    """Start a client per signal; none is left behind."""
    started: list[Client] = []
    try:
        for signal in SIGNALS:
            started.append(Client(receiver.grpc, signal, first, requests, retry=retry))
        yield started
    finally:
        for client in started:
            client.process.kill()
            client.process.communicate()


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


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_under_load_loses_nothing_and_stores_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Killed twice under load: after each start every acknowledged record is there exactly once."""
    moment = random.Random(seed)
    acknowledged: dict[str, list[int]] = {signal: [] for signal in SIGNALS}
    for turn in range(2):
        with (
            ReceiverProcess(tmp_path / "data") as receiver,
            clients(receiver, turn * 1_000_000, 100_000) as senders,
        ):
            moment.choice(senders).read(moment.randrange(1, 400))
            receiver.kill()
            for client in senders:
                client.wait()
                acknowledged[client.signal] += client.acknowledged
    assert all(acknowledged.values())
    with ReceiverProcess(tmp_path / "data") as receiver:
        _check(receiver, acknowledged)
        stats = receiver.stats()
        assert stats["quarantine"]["requests"] == 0
        for words in _by_signal(stats["conservation"]):
            assert words["accepted"] == (
                words["stored"] + words["duplicates"] + words["in_spool"] + words["quarantined"]
            )


def _by_signal(conservation: dict[str, dict[str, int]]) -> list[dict[str, int]]:
    signals = next(iter(conservation.values()))
    return [{word: totals[signal] for word, totals in conservation.items()} for signal in signals]


@pytest.mark.parametrize("seed", range(2))
def test_sigterm_under_load_finishes_what_was_accepted(tmp_path: Path, seed: int) -> None:
    """SIGTERM under load: it says that all is stored, exits with 0, and the next start has every record once."""
    moment = random.Random(100 + seed)
    with ReceiverProcess(tmp_path / "data") as receiver, clients(receiver, 0, 100_000) as senders:
        senders[0].read(moment.randrange(1, 400))
        stopped = receiver.stop()
        for client in senders:
            client.wait()
    assert stopped.exit_code == 0
    assert "everything that was accepted is stored" in stopped.output
    with ReceiverProcess(tmp_path / "data") as again:
        _check(again, {client.signal: client.acknowledged for client in senders})


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_clients_that_retry_across_a_restart_lose_nothing(tmp_path: Path, how: str) -> None:
    """Clients that send the same bytes again until they are answered: all of it is there, once."""
    requests = 600
    with ReceiverProcess(tmp_path / "data") as receiver, clients(receiver, 0, requests, retry=True) as senders:
        senders[-1].read(50)
        if how == "SIGKILL":
            receiver.kill()
        else:
            assert receiver.stop().exit_code == 0
        with ReceiverProcess(tmp_path / "data", same_ports_as=receiver) as again:
            for client in senders:
                client.wait()
                assert len(client.acknowledged) == requests
            again.flush()
            for signal in SIGNALS:
                assert _stored(again, signal) == list(range(requests * RECORDS))
