"""Fault: a receiver takes over from the running one (``serve --take-over``) under clients that never retry.

A request that is refused, reset or answered with an error is lost for them, so that not one may be: it would
break a promise. Five of them: the Node SDK's gRPC exporter, and those of ``tests.support.impatient_client``.
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.faults.numbered_client import (
    NUMBERS_OF_A_CLIENT,
    RECORDS,
    NumberedClient,
    node_client,
)
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers, wait_until_ready
from tests.support.receiver_process import ReceiverProcess

_PAUSE_S = 0.002
_MOST_REQUESTS = 100
_LONGEST_WAIT_S = 5.0
"""Real exporters wait 10 s for an answer, the Collector 5 s."""


class TakeOver:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "serve --take-over under exporters that never retry"
    short_rounds = 1
    long_rounds = 20

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        if sys.platform != "linux":
            raise FaultNotPossibleError("only Linux shares ports like this")
        report = FaultReport()
        receivers = Receivers(folder)
        with ExitStack() as all_of_them:
            receiver = all_of_them.enter_context(receivers.next())
            clients = [all_of_them.enter_context(client) for client in _clients(receiver, report)]
            for _ in range(rounds):
                for client in clients:
                    client.wait_for(1 + chance.randrange(_MOST_REQUESTS))
                receiver, old = all_of_them.enter_context(receivers.next(take_over=True)), receiver
                accepting_at = time.monotonic()
                ended = old.ended()
                assert ended.exit_code == 0, old.log
                assert "handed over" in ended.output
                wait_until_ready(receiver)
                receiver.flush()
                report.healthy_s.append(time.monotonic() - accepting_at)
                report.tried += 1
            for client in clients:
                client.wait_for(1)
                client.finish()
            receiver.flush()
            compare_with_store(report, receiver, acknowledged_numbers(clients))
        gave_up = sum(client.gave_up for client in clients)
        longest_s = max(client.longest_s for client in clients)
        assert gave_up == 0, f"{gave_up} requests were refused or reset"
        assert longest_s < _LONGEST_WAIT_S, f"a request took {longest_s:.2f} s"
        report.notes.append(f"0 refused, 0 reset, longest answer {longest_s:.2f} s")
        return report


def impatient_clients(receiver: ReceiverProcess, *, number: int, pause_s: float) -> NumberedClient:
    """Return a process with clients over gRPC and HTTP that never retry; see :func:`sdk_client`."""
    first = number * NUMBERS_OF_A_CLIENT // RECORDS
    figures = map(str, (first, RECORDS, pause_s))
    return NumberedClient(
        [sys.executable, "-m", "tests.support.impatient_client", receiver.grpc, receiver.http, *figures]
    )


def _clients(receiver: ReceiverProcess, report: FaultReport) -> list[NumberedClient]:
    clients = [impatient_clients(receiver, number=0, pause_s=_PAUSE_S)]
    try:
        clients.append(node_client(receiver, number=1, pause_s=_PAUSE_S, protocol="grpc"))
    except FaultNotPossibleError as error:
        report.notes.append(f"without Node: {error}")
    return clients
