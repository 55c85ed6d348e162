"""Fault: SIGTERM and a start on the same ports, under a full load and exporters with the patience of real ones.

The Python SDK over gRPC and HTTP, the Node SDK over HTTP, and a client that retries as the Java SDK does. None of
them may give up a request. Another client keeps connecting: for how long nobody accepts is in the notes.
"""

from __future__ import annotations

import random
import socket
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.faults.numbered_client import (
    NUMBERS_OF_A_CLIENT,
    RECORDS,
    NumberedClient,
    node_client,
    quick_client,
    sdk_client,
)
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers, start_and_time
from tests.support.receiver_process import ReceiverProcess

_PAUSE_S = 0.05
_MOST_REQUESTS = 20
_CONNECT_EVERY_S = 0.01


class PlainRestart:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "SIGTERM and start under exporters with real patience"
    short_rounds = 1
    long_rounds = 10

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        receivers = Receivers(folder)
        unreachable_s: list[float] = []
        with ExitStack() as all_of_them:
            receiver = all_of_them.enter_context(receivers.next())
            patient = [all_of_them.enter_context(client) for client in _clients(receiver, report)]
            with quick_client(receiver, number=9) as load:
                for _ in range(rounds):
                    for client in (*patient, load):
                        client.wait_for(1 + chance.randrange(_MOST_REQUESTS))
                    with Connecting(receiver.http) as connecting:
                        assert receiver.stop().exit_code == 0, receiver.log
                        receiver = receivers.next()
                        all_of_them.push(receiver)
                        start_and_time(receiver, report)
                    unreachable_s.append(connecting.refused_s)
                    report.tried += 1
                for client in patient:
                    client.wait_for(1)
                    client.finish()
            receiver.flush()
            compare_with_store(report, receiver, acknowledged_numbers([*patient, load]))
        gave_up = sum(client.gave_up for client in patient)
        assert gave_up == 0, f"exporters gave up {gave_up} requests; unreachable for {unreachable_s} s"
        report.notes.append(
            f"0 requests given up; nobody accepts for {statistics.median(unreachable_s):.2f} s,"
            f" at most {max(unreachable_s):.2f} s"
        )
        return report


class Connecting:
    """Connects again and again, and measures the time in which it is refused. Threads: one of its own."""

    def __init__(self, address: str) -> None:
        """Prepare."""
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.refused_s = 0.0
        """From the first refused connection to the next accepted one."""

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        refused_at = None
        while not self._end.wait(_CONNECT_EVERY_S):
            begun = time.monotonic()
            try:
                socket.create_connection(self._address).close()
            except OSError:
                refused_at = refused_at or begun
            else:
                if refused_at is not None:
                    self.refused_s += time.monotonic() - refused_at
                    refused_at = None


def _clients(receiver: ReceiverProcess, report: FaultReport) -> list[NumberedClient]:
    java = [sys.executable, "-m", "tests.faults.java_like_client", receiver.grpc]
    first = 3 * NUMBERS_OF_A_CLIENT // RECORDS
    clients = [
        *(
            sdk_client(protocol, receiver, number=n, pause_s=_PAUSE_S)
            for n, protocol in enumerate(("grpc", "http"))
        ),
        NumberedClient([*java, *map(str, (first, RECORDS, _PAUSE_S))]),
    ]
    try:
        clients.append(node_client(receiver, number=2, pause_s=_PAUSE_S))
    except FaultNotPossibleError as error:
        report.notes.append(f"without Node: {error}")
    return clients
