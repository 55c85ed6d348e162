"""A client of its own process: one span every 10 ms over gRPC, and the longest wait for an answer of each part of a run.

Each line on its standard input ends a part, and is answered with what the part was like, as JSON. A wait counts
from the moment at which the span was due, so that nothing that came meanwhile is left out; how late the process
itself woke up is reported beside it, for on a busy machine that is no fault of the receiver.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import numpy as np

from receiver.signals import Signal
from tests.benchmarks.grpc_sender import GrpcSender
from tests.benchmarks.payload_small import small_traces
from tests.benchmarks.template import Chance, Template

_EVERY_S = 0.01
_TIMEOUT_S = 20.0


class Probe:
    """Sends spans and keeps what it waited."""

    def __init__(self, endpoint: str) -> None:
        """Prepare; needs a running event loop."""
        message, marks = small_traces(1, random.Random(1))
        self._template = Template(message, marks, 1)
        self._chance = Chance()
        self._sender = GrpcSender(endpoint, Signal.TRACES, timeout_s=_TIMEOUT_S)
        self._waits: list[float] = []
        self._late_s = 0.0
        self._failures = 0

    async def run(self) -> None:
        """Send until cancelled."""
        due = time.perf_counter()
        sending: set[asyncio.Task[None]] = set()
        while True:
            due += _EVERY_S
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            self._late_s = max(self._late_s, time.perf_counter() - due)
            task = asyncio.ensure_future(self._send(due))
            sending.add(task)
            task.add_done_callback(sending.discard)

    async def _send(self, due: float) -> None:
        answer = await self._sender.send(self._template.fresh(time.time_ns(), self._chance))
        self._failures += not answer.accepted
        self._waits.append(time.perf_counter() - due)

    def part(self) -> dict[str, float]:
        """Return the figures since the last call."""
        waits, self._waits = np.array(self._waits or [0.0]), []
        late_s, self._late_s = self._late_s, 0.0
        failures, self._failures = self._failures, 0
        return {
            "spans": len(waits),
            "p50_ms": round(float(np.percentile(waits, 50)) * 1e3, 1),
            "p99_ms": round(float(np.percentile(waits, 99)) * 1e3, 1),
            "longest_ms": round(float(waits.max()) * 1e3, 1),
            "probe_late_ms": round(late_s * 1e3, 1),
            "failures": failures,
        }


async def main(endpoint: str) -> None:
    """Probe until standard input ends."""
    probe = Probe(endpoint)
    running = asyncio.ensure_future(probe.run())
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(probe.part()), flush=True)
    running.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
