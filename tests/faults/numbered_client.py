"""A process that sends numbered records of all three signals, and what it says was acknowledged.

It lives across the deaths of the receiver. Its lines are read in a thread, so that it never waits for a reader.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.faults.fault import FaultNotPossibleError
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

SIGNALS = ("traces", "logs", "metrics")
NUMBERS_OF_A_CLIENT = 10**9
"""Each client counts its records from a multiple of this."""
RECORDS = 10
"""Records in a request."""
_WAIT_S = 60.0
_NODE = REPOSITORY / "tests" / "interop" / "node" / "node_modules"


class NumberedClient:
    """A running client; a context manager that leaves no process and no thread behind."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Prepare; nothing runs yet. Threads: one that asks."""
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._said = threading.Condition()
        self._acknowledged: dict[str, set[int]] = {signal: set() for signal in SIGNALS}
        self._ended = False
        self.gave_up = 0
        """Requests that the exporter gave up: they may be stored or not."""
        self.longest_s = 0.0
        """The longest time between two answers for one signal."""
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=self._environment,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._reader.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def requests(self) -> int:
        """Return how many requests were acknowledged so far."""
        with self._said:
            return sum(map(len, self._acknowledged.values()))

    def wait_for(self, requests: int) -> None:
        """Return when so many more requests of each signal have been acknowledged."""
        with self._said:
            wanted = {signal: len(each) + requests for signal, each in self._acknowledged.items()}
            arrived = self._said.wait_for(
                lambda: self._ended or all(len(self._acknowledged[s]) >= n for s, n in wanted.items()),
                _WAIT_S,
            )
            assert arrived, f"no answer for {_WAIT_S} s: {self._command}"
            assert not self._ended, f"it has ended: {self._command}"

    def finish(self) -> None:
        """Let it send what it has in hand to the end; return when it is gone and all its lines are read."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join(_WAIT_S)
        assert not self._reader.is_alive(), f"it does not end: {self._command}"
        assert self._process.wait() == 0

    def acknowledged(self, signal: str) -> set[int]:
        """Return the numbers of the acknowledged records."""
        with self._said:
            return {n * RECORDS + each for n in self._acknowledged[signal] for each in range(RECORDS)}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                break  # killed in the middle of a line
            signal, number, *failed = line.split()
            arrived = time.monotonic()
            with self._said:
                last = self._last.get(signal)
                self._last[signal] = arrived
                self.longest_s = max(self.longest_s, arrived - last if last else 0.0)
                if failed:
                    self.gave_up += 1
                else:
                    self._acknowledged[signal].add(int(number))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()


def sdk_client(protocol: str, receiver: ReceiverProcess, *, number: int, pause_s: float) -> NumberedClient:
    """Return a client with the Python SDK's exporters for ``grpc`` or ``http``.

    Args:
        protocol: One of the two.
        receiver: Where to send to.
        number: Which client it is; each has numbers of its own.
        pause_s: Wait between two requests of a signal.
    """
    endpoint = receiver.grpc if protocol == "grpc" else receiver.http
    first = number * NUMBERS_OF_A_CLIENT // RECORDS
    return NumberedClient(
        [
            sys.executable, "-m", "tests.faults.sdk_client", protocol, endpoint, str(first), str(RECORDS),
            str(pause_s),
        ]
    )  # fmt: skip


def node_client(
    receiver: ReceiverProcess, *, number: int, pause_s: float, protocol: str = "http"
) -> NumberedClient:
    """Return a client with the Node SDK's exporters for ``http`` or ``grpc``; see :func:`sdk_client`.

    Raises:
        FaultNotPossibleError: There is no Node, or its packages are not installed.
    """
    node = shutil.which("node")
    if node is None or not _NODE.is_dir():
        raise FaultNotPossibleError("Node or its OpenTelemetry packages are not installed")
    program = Path(__file__).with_name("node_client.js")
    endpoint = receiver.grpc if protocol == "grpc" else receiver.http
    first = number * NUMBERS_OF_A_CLIENT // RECORDS
    return NumberedClient(
        [node, str(program), protocol, endpoint, str(first), str(RECORDS), str(pause_s)],
        {"NODE_PATH": str(_NODE)},
    )


def quick_client(receiver: ReceiverProcess, *, number: int, pause_s: float = 0.0) -> NumberedClient:
    """Return a client over gRPC that repeats each request until it is answered OK; see :func:`sdk_client`."""
    first, requests = number * NUMBERS_OF_A_CLIENT // RECORDS, NUMBERS_OF_A_CLIENT // RECORDS
    return NumberedClient(
        [
            sys.executable, "-m", "tests.support.exporting_client", receiver.grpc, str(first), str(requests),
            str(RECORDS), str(pause_s), "--retry",
        ]
    )  # fmt: skip
