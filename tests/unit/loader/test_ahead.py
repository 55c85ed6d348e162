"""Parts are made one ahead, in their order, and never by two threads at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from receiver.loader.ahead import Ahead


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    """Return one that is closed after the test."""
    ahead = Ahead("rows")
    yield ahead
    ahead.close()


def test_the_next_part_is_made_while_its_predecessor_is_used(ahead: Ahead) -> None:
    """The second part is there before anybody asks for it, the third is not."""
    made = [threading.Event() for _ in range(3)]

    def source() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    parts = ahead.parts(source())
    assert next(parts) == 0
    assert made[1].wait(30)
    assert not made[2].is_set()
    assert list(parts) == [1, 2]


def test_what_the_source_raises_is_raised_after_the_parts_before_it(ahead: Ahead) -> None:
    """No part is lost and none comes behind the error."""

    def source() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    parts = ahead.parts(source())
    assert next(parts) == 1
    with pytest.raises(ValueError, match="no more"):
        next(parts)


def test_a_source_is_left_alone_when_the_iteration_is_closed(ahead: Ahead) -> None:
    """Who goes on with the source afterwards finds no other thread in it."""
    inside = threading.Semaphore(1)
    released = threading.Event()

    def source() -> Iterator[int]:
        for number in range(3):
            with inside:
                if number == 1:
                    assert released.wait(30)
            yield number

    with closing(ahead.parts(source())) as parts:
        assert next(parts) == 0
        released.set()
    assert inside.acquire(blocking=False)


def test_nothing_is_yielded_where_there_is_nothing(ahead: Ahead) -> None:
    """An empty batch moves the position only."""
    assert list(ahead.parts(iter(()))) == []
