"""Closed and open loops of exports, and when each request was due, sent and acknowledged.

Open loop: requests are due at given times whatever the receiver does, and a latency counts from that time, so that
a stall shows in every request that it held up. Closed loop: some requests are always under way.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.answers import Answer, Sender
from tests.benchmarks.template import Chance, Template

_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 0.1, 5.0
_ATTEMPTS = 40
_MOST_UNDER_WAY = 2048
"""Requests of an open loop that wait for an answer; above it the next ones are late, which their latency shows."""
_TICK_S = 0.001


@dataclass
class Measured:
    """The times of all acknowledged requests, in seconds of the monotonic clock, and what else happened."""

    due: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    """Answers other than plain success, by status; those that were repeated too."""
    retries: int = 0
    given_up: int = 0
    rejected: int = 0

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return due and acknowledged times, in the order of acknowledgement."""
        return np.array(self.due), np.array(self.acknowledged)


class Load:
    """Sends requests of a pool. Threads: the event loop."""

    def __init__(self, sender: Sender, pool: Sequence[Template], chance: Chance) -> None:
        """Prepare; nothing is sent yet."""
        self._sender = sender
        self._pool = pool
        self._chance = chance
        self._sent = 0
        self.measured = Measured()

    async def closed(self, *, under_way: int, until: float) -> None:
        """Return when the requests that were begun before ``until`` are answered."""

        async def worker() -> None:
            while (now := time.monotonic()) < until:
                await self._export(now)

        await asyncio.gather(*(worker() for _ in range(under_way)))

    async def open(self, *, per_second: float, until: float) -> None:
        """Return when the requests that were due before ``until`` are answered; they are due at even intervals."""
        running: set[asyncio.Task[None]] = set()
        due, interval = time.monotonic(), 1 / per_second
        while due < until:
            now = time.monotonic()
            if due > now:
                await asyncio.sleep(max(due - now, _TICK_S))
                continue
            if len(running) >= _MOST_UNDER_WAY:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.get_running_loop().create_task(self._export(due))
            running.add(task)
            task.add_done_callback(running.discard)
            due += interval
        if running:
            await asyncio.gather(*running)

    async def _export(self, due: float) -> None:
        self._sent += 1
        body = self._pool[self._sent % len(self._pool)].fresh(time.time_ns(), self._chance)
        answer = await self._sender.send(body)
        if not answer.accepted or answer.rejected:
            answer = await self._repeated(answer, body)
            if not answer.accepted:
                self.measured.given_up += 1
                return
            self.measured.rejected += answer.rejected
        self.measured.due.append(due)
        self.measured.acknowledged.append(time.monotonic())

    async def _repeated(self, answer: Answer, body: bytes) -> Answer:
        """Send the same bytes again as OTLP's clients do: after the time that was asked for, else ever later."""
        backoff = _FIRST_BACKOFF_S
        for _ in range(_ATTEMPTS):
            self.measured.statuses[answer.status] += 1
            if answer.accepted or not answer.retryable:
                break
            asked = answer.retry_after_s
            await asyncio.sleep(random.uniform(0.5, 1.0) * backoff if asked is None else asked)
            backoff = min(backoff * 2, _MOST_BACKOFF_S)
            self.measured.retries += 1
            answer = await self._sender.send(body)
        return answer
