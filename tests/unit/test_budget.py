"""The byte budget: first come, first served, bounded waits, nothing lost when a wait ends badly."""

from __future__ import annotations

import asyncio

import pytest
from anyio import wait_all_tasks_blocked

from receiver.budget import BudgetStatistics, ByteBudget
from receiver.errors import BusyError

LONG_S = 30.0


async def test_room_is_granted_at_once_while_there_is_some() -> None:
    """Up to the capacity nobody waits."""
    budget = ByteBudget(10)
    await budget.reserve(4, wait_s=0)
    await budget.reserve(6, wait_s=0)
    assert budget.statistics() == BudgetStatistics(10, 10, 0)


async def test_a_wait_without_room_ends_with_a_busy_error_and_holds_nothing() -> None:
    """The error says how much is held; the next one is not hindered."""
    budget = ByteBudget(10)
    await budget.reserve(10, wait_s=0)
    with pytest.raises(BusyError, match="10 bytes"):
        await budget.reserve(1, wait_s=0.01)
    assert budget.statistics() == BudgetStatistics(10, 10, 0)
    budget.release(10)
    assert budget.statistics().used_bytes == 0


async def test_those_who_wait_are_let_in_in_their_order() -> None:
    """A small request does not overtake a large one, which would never get in."""
    budget = ByteBudget(10)
    order: list[int] = []

    async def take(size: int) -> None:
        await budget.reserve(size, wait_s=LONG_S)
        order.append(size)

    await budget.reserve(10, wait_s=0)
    tasks = []
    for size in (8, 1, 2):
        tasks.append(asyncio.create_task(take(size)))
        await wait_all_tasks_blocked()
    budget.release(5)
    await wait_all_tasks_blocked()
    assert order == []
    budget.release(5)
    await wait_all_tasks_blocked()
    assert order == [8, 1]
    budget.release(8)
    await asyncio.gather(*tasks)
    assert order == [8, 1, 2]
    assert budget.statistics() == BudgetStatistics(3, 10, 0)


async def test_one_larger_than_the_budget_is_let_in_alone() -> None:
    """Else it would wait for ever; others wait until it is done."""
    budget = ByteBudget(10)
    async with budget.held(50, wait_s=0):
        with pytest.raises(BusyError):
            await budget.reserve(1, wait_s=0)
    await budget.reserve(1, wait_s=0)


async def test_a_cancelled_wait_holds_nothing_and_lets_the_next_one_in() -> None:
    """Who waits behind it moves up."""
    budget = ByteBudget(10)
    await budget.reserve(5, wait_s=0)
    large = asyncio.create_task(budget.reserve(9, wait_s=LONG_S))
    await wait_all_tasks_blocked()
    small = asyncio.create_task(budget.reserve(5, wait_s=LONG_S))
    await wait_all_tasks_blocked()
    large.cancel()
    await small
    with pytest.raises(asyncio.CancelledError):
        await large
    assert budget.statistics() == BudgetStatistics(10, 10, 0)


async def test_a_grant_that_comes_together_with_a_cancellation_is_given_back() -> None:
    """The bytes are not lost between the two."""
    budget = ByteBudget(10)
    await budget.reserve(10, wait_s=0)
    waiting = asyncio.create_task(budget.reserve(10, wait_s=LONG_S))
    await wait_all_tasks_blocked()
    budget.release(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.statistics() == BudgetStatistics(0, 10, 0)


async def test_a_failure_inside_the_block_gives_the_bytes_back() -> None:
    """Whatever happens to the request."""
    budget = ByteBudget(10)
    with pytest.raises(RuntimeError):
        async with budget.held(10, wait_s=0):
            raise RuntimeError
    assert budget.statistics().used_bytes == 0
