"""Fault: the receiver is killed, stopped and started again while real SDK exporters keep sending.

Three processes send: the Python SDK over gRPC and over HTTP, the Node SDK over HTTP. Each round ends the receiver
in one of three ways, at a moment that chance decides, and starts it again on the same ports.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.faults.numbered_client import NumberedClient, node_client, sdk_client
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers, start_and_time
from tests.support.receiver_process import ReceiverProcess

_PAUSE_S = 0.01
_MOST_REQUESTS = 20
_STARTING_S = 0.6
_WAYS = ("kill", "stop", "kill at start")
_SHORT_CHECKPOINTS = {"OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "0.7"}


class KillUnderLoad:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "kill -9, SIGTERM and restart under Python gRPC, Python HTTP and Node HTTP exporters"
    short_rounds = 2
    long_rounds = 100

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        receivers = Receivers(folder, _SHORT_CHECKPOINTS)
        with ExitStack() as all_of_them:
            receiver = all_of_them.enter_context(receivers.next())
            clients = [all_of_them.enter_context(client) for client in _clients(receiver, report)]
            kills = stops = 0
            for number in range(rounds):
                how = _WAYS[number] if number < len(_WAYS) else chance.choices(_WAYS, (5, 3, 2))[0]
                for client in clients:
                    client.wait_for(1)  # each of them is in the middle of its work
                chance.choice(clients).wait_for(chance.randrange(_MOST_REQUESTS))
                if how == "stop":
                    stops += 1
                    assert receiver.stop().exit_code == 0, receiver.log
                else:
                    kills += 1
                    receiver.kill()
                if how == "kill at start":
                    kills += 1
                    _killed_while_it_starts(receivers.next(), chance)
                receiver = receivers.next()
                all_of_them.push(receiver)
                start_and_time(receiver, report)
                report.tried += 1
            for client in clients:
                client.finish()
            receiver.flush()
            compare_with_store(report, receiver, acknowledged_numbers(clients))
            report.notes += [
                f"{kills} × SIGKILL and {stops} × SIGTERM",
                f"exporters gave up {sum(client.gave_up for client in clients)} requests",
            ]
        return report


def _clients(receiver: ReceiverProcess, report: FaultReport) -> list[NumberedClient]:
    clients = [
        sdk_client(protocol, receiver, number=number, pause_s=_PAUSE_S)
        for number, protocol in enumerate(("grpc", "http"))
    ]
    try:
        clients.append(node_client(receiver, number=2, pause_s=_PAUSE_S))
    except FaultNotPossibleError as error:
        report.notes.append(f"without Node: {error}")
    return clients


def _killed_while_it_starts(receiver: ReceiverProcess, chance: random.Random) -> None:
    """Kill it shortly after it listens: while the store is opened, while the spool is loaded."""
    with receiver:
        time.sleep(chance.uniform(0, _STARTING_S))  # not a wait for something: the moment itself
        receiver.kill()
