"""When requests are handed on to the worker: at once, or together where many clients send side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from receiver.intake.lane import Lane
from receiver.intake.waiting_request import WaitingRequest
from receiver.ports import ExportRequest
from receiver.signals import Signal

FOREVER_S = 600.0
TURNS = 10


class Observed:
    """A lane that runs, and how often it handed something on."""

    def __init__(self, under_way: int, spacing_s: float) -> None:
        """Let it seem as if so many requests waited for their answers."""
        self.lane = Lane(lambda: under_way, spacing_s=spacing_s)
        self.handed_on = 0

    async def pace(self) -> None:
        """Count: a lane calls this each time before it hands on."""
        self.handed_on += 1

    async def put(self, *sizes: int) -> None:
        """Let requests arrive in one turn of the loop, and the lane do what it does at once."""
        for size in sizes:
            self.lane.put(WaitingRequest(ExportRequest(Signal.TRACES, b"." * size), b"", ()))
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def take(self) -> list[int]:
        """Return the sizes of what the worker gets."""
        return [len(each.request.body) for each in await asyncio.to_thread(self.lane.take, 1 << 30, 1 << 30)]


@asynccontextmanager
async def running(*, under_way: int, spacing_s: float = FOREVER_S) -> AsyncIterator[Observed]:
    """Lend a lane that runs."""
    observed = Observed(under_way, spacing_s)
    task = asyncio.create_task(observed.lane.run(observed.pace))
    yield observed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_few_clients_never_wait_for_others() -> None:
    """With less than eight under way, what arrives is handed on at once, however soon after the last."""
    async with running(under_way=7) as observed:
        for size in (1, 2, 3):
            await observed.put(size)
            assert await observed.take() == [size]


@pytest.mark.parametrize("more", [pytest.param([1] * 62, id="many"), pytest.param([256 << 10], id="large")])
async def test_requests_side_by_side_are_gathered_until_they_are_enough(more: list[int]) -> None:
    """With eight under way one that comes soon after a group waits for others: for 64, or for 256 KiB."""
    async with running(under_way=8) as observed:
        await observed.put(5)
        assert await observed.take() == [5]
        await observed.put(6)
        await observed.put(7)
        assert observed.handed_on == 1
        await observed.put(*more)
        assert observed.handed_on == 2
        assert await observed.take() == [6, 7, *more]


async def test_what_is_gathered_goes_when_its_time_is_over() -> None:
    """Nobody waits for more requests than come."""
    async with running(under_way=8, spacing_s=0.05) as observed:
        await observed.put(1)
        assert await observed.take() == [1]
        await observed.put(2)
        assert await observed.take() == [2]
