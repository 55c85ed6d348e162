"""The load generator's loops: what they send when, and what they do with an answer that asks to come again."""

from __future__ import annotations

import asyncio
import time

from receiver.signals import Signal
from tests.benchmarks.answers import ACCEPTED, Answer
from tests.benchmarks.latency import latency_figures
from tests.benchmarks.load import Load
from tests.benchmarks.payload import pool_of
from tests.benchmarks.queryable import delays
from tests.benchmarks.template import Chance

_POOL = pool_of("small", Signal.TRACES, records=1, pool_records=1)
_BUSY = Answer("UNAVAILABLE", accepted=False, retryable=True, retry_after_s=0.0)
_BAD = Answer("INVALID_ARGUMENT", accepted=False)


class Answering:
    """Stands for a receiver: gives prepared answers, then success; one answer may wait for an event."""

    def __init__(self, *answers: Answer, held: asyncio.Event | None = None, wanted: int = 0) -> None:
        self._answers = list(answers)
        self._held = held
        self._wanted = wanted
        self.bodies: list[bytes] = []
        self.all_came = asyncio.Event()
        """Set when so many requests came as are wanted."""

    async def send(self, body: bytes) -> Answer:
        """Answer."""
        self.bodies.append(body)
        if len(self.bodies) == self._wanted:
            self.all_came.set()
        if self._held is not None and len(self.bodies) == 1:
            await self._held.wait()
        await asyncio.sleep(0)
        return self._answers.pop(0) if self._answers else ACCEPTED

    async def close(self) -> None:
        """Close nothing."""


async def test_a_request_that_may_come_again_is_sent_again_with_the_same_bytes() -> None:
    """Its retries are counted, its latency goes on, and it counts once."""
    sender = Answering(_BUSY, _BUSY)
    load = Load(sender, _POOL, Chance(1))
    await load.open(per_second=1.0, until=time.monotonic() + 0.5)
    assert len(sender.bodies) == 3
    assert len(set(sender.bodies)) == 1
    assert (load.measured.retries, load.measured.statuses["UNAVAILABLE"]) == (2, 2)
    assert len(load.measured.acknowledged) == 1


async def test_a_request_that_is_bad_is_given_up() -> None:
    """It is not acknowledged, which makes a run void."""
    load = Load(Answering(_BAD), _POOL, Chance(1))
    await load.open(per_second=1.0, until=time.monotonic() + 0.5)
    assert (load.measured.given_up, load.measured.acknowledged) == (1, [])


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    """While the first request hangs the others are sent when they are due; its latency counts from its due time."""
    held = asyncio.Event()
    sender = Answering(held=held, wanted=20)
    load = Load(sender, _POOL, Chance(1))
    started = time.monotonic()
    running = asyncio.create_task(load.open(per_second=200.0, until=started + 0.1))
    await sender.all_came.wait()
    released = time.monotonic()
    held.set()
    await running
    assert len(load.measured.acknowledged) == 20
    assert load.measured.acknowledged[-1] - load.measured.due[-1] >= released - started - 0.01
    assert min(load.measured.due) == load.measured.due[-1]


async def test_a_closed_loop_keeps_so_many_under_way() -> None:
    """One request that hangs leaves the other workers going."""
    held = asyncio.Event()
    sender = Answering(held=held, wanted=5)
    load = Load(sender, _POOL, Chance(1))
    running = asyncio.create_task(load.closed(under_way=2, until=time.monotonic() + 0.02))
    await sender.all_came.wait()
    held.set()
    await running
    assert len(load.measured.acknowledged) == len(sender.bodies)
    assert len(set(sender.bodies)) == len(sender.bodies)


def test_a_record_is_queryable_with_the_first_total_that_holds_it() -> None:
    """Three requests of ten records; totals were seen at 1.0, 2.0 and 3.0 s."""
    found = delays([0.5, 0.9, 1.5], 10, times=[1.0, 2.0, 3.0], stored=[10, 10, 30])
    assert [round(delay, 3) for delay in found] == [0.5, 2.1, 1.5]


def test_a_record_that_was_stored_before_its_answer_waits_for_nothing_but_the_next_look() -> None:
    """A total that was read before the acknowledgement does not count as negative."""
    assert delays([1.5], 10, times=[1.0, 2.0], stored=[10, 10]) == [0.5]


def test_percentiles_are_values_that_were_measured() -> None:
    """Of a hundred latencies p99 is the second largest, and max the largest."""
    import numpy as np  # noqa: PLC0415 - for this test

    figures = latency_figures(np.arange(1, 101) / 1e3)
    assert figures == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
