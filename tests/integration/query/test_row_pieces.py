"""Rows of a stretch that is not complete are known too, in pieces that are put together as they grow."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.questions import Filters, Status
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.place_keeper import PlaceKeeper
from tests.support.store_rows import T0, StoreRows, trace

_STRETCH = 64
_MS = 1_000_000


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[PlaceKeeper]:
    """Give one that takes 64 rows for a stretch."""
    opened = PlaceKeeper(None, tmp_path, stretch_rows=_STRETCH)
    yield opened
    opened.close()


def test_after_each_load_all_rows_are_known_in_few_pieces(rows: StoreRows, keeper: PlaceKeeper) -> None:
    """Whatever the size of loads; the pieces of a stretch become one when it is complete."""
    chance, owner = random.Random(5), rows.resource("shop")
    count = 0
    while count < 5 * _STRETCH:
        for _ in range(chance.choice((1, 1, 2, 3, 7, 30, 100))):
            rows.span(trace(count % 9), count, resource_id=owner, start=T0 + count)
            count += 1
        while keeper.step(rows.connection):
            pass
        places = keeper.all_places()[Signal.TRACES]
        assert places.known_rows == places.rows == count
        sizes = [stretch.end - stretch.first for stretch in places.stretches]
        complete = count // _STRETCH
        assert sizes[:complete] == [_STRETCH] * complete
        assert len(sizes) - complete <= _STRETCH.bit_length()
        for number in range(9):
            assert places.places("trace_id", [trace(number)]).tolist() == list(range(number, count, 9))


async def test_the_newest_traces_are_found_in_pieces_as_in_the_table(
    rows: StoreRows, reader: DuckDbReader, tmp_path: Path
) -> None:
    """Loads that overlap in time, traces that go over several pieces, and few rows that pass."""
    chance = random.Random(6)
    shop, bank = rows.resource("shop"), rows.resource("bank")
    learned = DuckDbReader(
        rows.cursor, readers=2, timeout_s=30, places_folder=tmp_path, stretch_rows=_STRETCH
    )
    try:
        for first in range(0, 400, 40):
            for number in range(first, first + 40):
                rows.span(
                    trace((number + chance.randrange(60)) // 6), number,
                    resource_id=chance.choice((shop, shop, bank)), status=chance.choice((0, 0, 0, 1, 2)),
                    start=T0 + (number + chance.randrange(-50, 50)) * _MS + number,
                    parent=None if chance.random() < 0.2 else number + 1,
                )  # fmt: skip
            if first % 80:
                await learned.learn()
            for filters in (
                Filters(),
                Filters(service="shop"),
                Filters(service="bank", status=Status.ERROR),
                Filters(since_ns=T0 + 100 * _MS, until_ns=T0 + 120 * _MS),
            ):
                for limit in (1, 5, 50):
                    found = await learned.traces(filters, limit)
                    assert found == await reader.traces(filters, limit), (filters, limit)
    finally:
        learned.close()
