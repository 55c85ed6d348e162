"""Columns that wait for the loader: bounded in bytes, never out of order."""

from __future__ import annotations

from dataclasses import dataclass

from receiver.loader.handover import Handover
from receiver.ports import CommittedGroup
from receiver.signals import Signal


@dataclass(frozen=True)
class SizedColumns:
    """Columns of a size and nothing else."""

    nbytes: int
    signal: Signal = Signal.TRACES
    records: int = 1


def group(first: int, last: int, size: int) -> CommittedGroup:
    """Return a group of consecutive requests."""
    return CommittedGroup(list(range(first, last + 1)), [SizedColumns(size)], {Signal.TRACES: 1}, size)


def test_groups_come_out_in_the_order_of_their_commit() -> None:
    """Each directly behind the position that the one before brought."""
    handover = Handover(100)
    first, second = group(1, 2, 10), group(3, 3, 10)
    handover.offer(first)
    handover.offer(second)
    assert handover.highest_sequence == 3
    assert handover.take(0) is first
    assert handover.take(2) is second
    assert handover.take(3) is None


def test_what_does_not_fit_is_let_go_and_read_from_the_spool() -> None:
    """The gap is known by the first sequence behind it that is in memory."""
    handover = Handover(100)
    handover.offer(group(1, 1, 90))
    handover.offer(group(2, 4, 90))
    handover.offer(group(5, 5, 5))
    assert handover.highest_sequence == 5
    assert handover.take(0) is not None
    assert handover.take(1) is None
    assert handover.next_sequence(1) == 5
    assert handover.take(4) is not None
    assert handover.next_sequence(5) is None


def test_one_group_is_kept_however_large() -> None:
    """Else a store that keeps up would read everything twice."""
    handover = Handover(1)
    handover.offer(group(1, 1, 1000))
    assert handover.is_full
    assert handover.take(0) is not None
    assert not handover.is_full


def test_groups_that_were_loaded_from_the_spool_meanwhile_are_dropped() -> None:
    """They take up no room any more; one that is loaded in part is not taken a second time."""
    handover = Handover(100)
    handover.offer(group(1, 2, 40))
    handover.offer(group(3, 6, 40))
    handover.offer(group(7, 7, 5))
    assert handover.take(4) is None
    assert handover.next_sequence(4) == 7
    assert handover.take(6) is not None
    assert not handover.is_full
