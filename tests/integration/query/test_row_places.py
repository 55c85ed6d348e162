"""Answers that come by what is known of places of rows are those that whole columns give."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.questions import Filters, Status
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.row_moves import RowMoves
from tests.support.store_rows import T0, StoreRows, identity, trace

_MS = 1_000_000
_TEXTS = [f"text {number}" for number in range(12)]
_AWKWARD = ["a,", ",", '","b":1', '"', "x", "", "{", "}", "ü", "a/b", "1", "a\\"]


@pytest.fixture
def moves() -> RowMoves:
    """Tell when rows move, to the learned reader."""
    return RowMoves()


@pytest.fixture
def learned(rows: StoreRows, moves: RowMoves, tmp_path: Path) -> Iterator[DuckDbReader]:
    """Give a reader that learns 64 rows at a time."""
    opened = DuckDbReader(
        rows.cursor, readers=2, timeout_s=30, moves=moves, places_folder=tmp_path, stretch_rows=64
    )
    yield opened
    opened.close()


def fill(rows: StoreRows, chance: random.Random, first: int, count: int) -> None:
    """Add spans and log records in about the order of their times, all of which differ."""
    resources = [rows.resource("shop"), rows.resource("bank", zone="a"), rows.resource("rare")]
    rows.connection.execute("BEGIN")
    for number in range(first, first + count):
        time = T0 + (number + chance.randrange(-40, 40)) * _MS + number
        attributes: dict[str, Any] = {chance.choice("kvz"): chance.choice(_AWKWARD), "n": chance.randrange(9)}
        if chance.random() < 0.3:
            attributes = {"deep": {"n": 3, "k": "x"}, **attributes, "truth": chance.random() < 0.5}
        owner = resources[2 if chance.random() < 0.01 else chance.randrange(2)]
        text = _TEXTS[min(int(chance.expovariate(0.5)), 11)]
        if number % 4:
            rows.span(
                trace(chance.randrange(count // 4)), number, resource_id=owner, start=time, text=text,
                attributes=attributes, status=2 if chance.random() < 0.05 else 0,
                attr_error_type="late" if chance.random() < 0.1 else None,
            )  # fmt: skip
        else:
            of = trace(chance.randrange(count // 4)) if chance.random() < 0.7 else None
            rows.log(text, resource_id=owner, time=time, trace_id=of, attributes=attributes)
    rows.connection.execute("COMMIT")


_FILTERS = [
    Filters(),
    Filters(service="shop"),
    Filters(service="rare"),
    Filters(service="nobody"),
    Filters(status=Status.ERROR),
    Filters(since_ns=T0 + 100 * _MS, until_ns=T0 + 300 * _MS),
    Filters(until_ns=T0),
    Filters(attributes={"error.type": "late"}),
    Filters(attributes={"zone": "a"}),
    Filters(attributes={"truth": True}),
    Filters(attributes={"n": 3, "truth": False}),
    *(Filters(attributes={"k": value}) for value in _AWKWARD),
]


async def same(plain: DuckDbReader, learned: DuckDbReader) -> None:
    """Compare every kind of answer."""
    for number in (*range(0, 60, 8), 9999):
        left = await plain.trace(trace(number), limit=1000)
        assert await learned.trace(trace(number), limit=1000) == left
    assert await learned.trace(trace(1), limit=2) == await plain.trace(trace(1), limit=2)
    for filters in _FILTERS:
        for limit in (3, 500):
            assert await learned.traces(filters, limit) == await plain.traces(filters, limit), filters
    similarities = {identity("text" + text): 1.0 - max(number, 1) / 20 for number, text in enumerate(_TEXTS)}
    few = {key: similarities[key] for key in list(similarities)[9:]}
    for asked in (similarities, few):
        for filters in (*_FILTERS[:2], *_FILTERS[4:6], Filters(signal=Signal.LOGS)):
            for limit in (2, 10):
                found = await learned.search_records(asked, filters, limit)
                assert found == await plain.search_records(asked, filters, limit), filters
                enough = await learned.search_records(asked, filters, limit, fewest=len(found))
                assert enough == found
                for reader in (plain, learned):
                    assert not await reader.search_records(asked, filters, limit, fewest=len(found) + 1)


async def test_answers_are_those_of_whole_columns(
    rows: StoreRows, reader: DuckDbReader, learned: DuckDbReader
) -> None:
    """With most rows known, and with newer ones that are not yet."""
    chance = random.Random(11)
    fill(rows, chance, 0, 350)
    await learned.learn()
    fill(rows, chance, 350, 60)
    await same(reader, learned)


async def test_what_was_known_is_forgotten_when_rows_move(
    rows: StoreRows, reader: DuckDbReader, learned: DuckDbReader, moves: RowMoves
) -> None:
    """Places of before a move name other rows after it, so they are not asked any more."""
    fill(rows, random.Random(12), 0, 250)
    await learned.learn()
    with moves.moving():
        rows.connection.execute("CREATE TABLE kept AS SELECT * FROM spans WHERE rowid >= 37 ORDER BY rowid")
        rows.connection.execute("DELETE FROM spans")
        rows.connection.execute("CHECKPOINT")
        rows.connection.execute("INSERT INTO spans SELECT * FROM kept")
    for number in range(0, 60, 12):
        left = await reader.trace(trace(number), limit=1000)
        assert await learned.trace(trace(number), limit=1000) == left
    await learned.learn()
    for number in range(0, 60, 12):
        left = await reader.trace(trace(number), limit=1000)
        assert await learned.trace(trace(number), limit=1000) == left


async def test_without_room_questions_read_whole_columns(
    rows: StoreRows, reader: DuckDbReader, tmp_path: Path
) -> None:
    """Where its file cannot be made nothing is learnt, and answers are the same."""
    fill(rows, random.Random(13), 0, 200)
    bare = DuckDbReader(
        rows.cursor, readers=2, timeout_s=30, places_folder=tmp_path / "missing", stretch_rows=64
    )
    try:
        await bare.learn()
        assert await bare.traces(Filters(service="shop"), 5) == await reader.traces(
            Filters(service="shop"), 5
        )
    finally:
        bare.close()
