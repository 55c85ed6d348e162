"""One receiver after another on the same folder and the same ports, and how long each takes to be well."""

from __future__ import annotations

import random
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.fault import FaultReport
from tests.support.receiver_process import ReceiverProcess

_BELOW_EPHEMERAL = range(20_000, 32_000)
_ASK_AGAIN_S = 0.01
_READY_S = 60.0


class Receivers:
    """Makes the receivers of one data directory; each is started and ended by its user."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Choose ports below the ephemeral ones: a client that calls a closed port must not get it itself."""
        self.data_dir = folder / "data"
        self._environment = dict(environment or {})
        self._ports = ReceiverProcess(self.data_dir)
        taken = (f"localhost:{port}" for port in _free_ports())
        self._ports.grpc, self._ports.http, self._ports.query = taken

    @property
    def ports(self) -> ReceiverProcess:
        """Return one that has the addresses of all of them and never runs."""
        return self._ports

    def next(
        self, environment: Mapping[str, str] | None = None, *, take_over: bool = False
    ) -> ReceiverProcess:
        """Return the next one, not started yet.

        Args:
            environment: Added to that of all.
            take_over: It takes over from the one that runs.
        """
        return ReceiverProcess(
            self.data_dir,
            environment=self._environment | dict(environment or {}),
            same_ports_as=self._ports,
            take_over=take_over,
        )

    @contextmanager
    def following(
        self, report: FaultReport, environment: Mapping[str, str] | None = None
    ) -> Iterator[ReceiverProcess]:
        """Lend the next one, started after a fault; the report says how long it took to be well."""
        receiver = self.next(environment)
        with ExitStack() as end:
            end.push(receiver)
            start_and_time(receiver, report)
            yield receiver


def wait_until_ready(receiver: ReceiverProcess) -> None:
    """Return when /readyz says 200."""
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{receiver.query}/readyz", timeout=_READY_S):
                return
        except urllib.error.HTTPError as refusal:
            with refusal:
                said = refusal.read().decode()
            assert time.monotonic() < deadline, f"not ready: {said}; its log: {receiver.log}"
        time.sleep(_ASK_AGAIN_S)


def start_and_time(receiver: ReceiverProcess, report: FaultReport) -> None:
    """Start it; note how long it took until it was ready and all that had been acknowledged was stored."""
    started = time.monotonic()
    receiver.start()
    wait_until_ready(receiver)
    receiver.flush()
    report.healthy_s.append(time.monotonic() - started)


def metric(receiver: ReceiverProcess, name: str) -> float:
    """Return the value of a metric that has no labels."""
    with urllib.request.urlopen(f"http://{receiver.query}/metrics", timeout=_READY_S) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    raise AssertionError(f"there is no metric {name}")


def _free_ports() -> list[int]:
    chance = random.SystemRandom()  # another run at the same time must not choose the same ones
    found: list[int] = []
    while len(found) < 3:
        port = chance.choice(_BELOW_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
