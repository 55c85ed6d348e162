"""Answers that come by what is known of places of rows are those that whole columns give."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.questions import Filters, NearTexts, Status
from receiver.signals import Signal
from receiver.store import read_ranked_hits
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.row_moves import RowMoves
from tests.support.store_rows import T0, ExactIndex, StoreRows, identity, trace

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

_SEARCHED = [
    *_FILTERS[:7],
    Filters(signal=Signal.LOGS),
    Filters(service="bank", signal=Signal.TRACES),
    Filters(service="shop", since_ns=T0 + 30 * _MS, until_ns=T0 + 60 * _MS),
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
    for texts in (_TEXTS, _TEXTS[9:]):
        near = nearness(texts, least=0.0)
        for filters in _SEARCHED:
            for limit in (2, 10, 500):
                found = await learned.search_records(near, filters, limit)
                assert found == await plain.search_records(near, filters, limit), filters


def nearness(texts: Sequence[str], *, least: float) -> NearTexts:
    """Return texts of which each is a little less near than the one before it, but the first two, which are equally."""
    ids = [identity("text" + text) for text in texts]
    similarities = [[1.0 - max(number, 1) / (len(texts) + 8)] for number in range(len(texts))]
    vectors = np.array(similarities, dtype=np.float32)
    return NearTexts(ExactIndex(ids, vectors), np.ones(1, dtype=np.float32), least)


async def test_answers_are_those_of_whole_columns(
    rows: StoreRows, reader: DuckDbReader, learned: DuckDbReader
) -> None:
    """With most rows known, and with newer ones that are not yet."""
    chance = random.Random(11)
    fill(rows, chance, 0, 350)
    await learned.learn()
    fill(rows, chance, 350, 60)
    await same(reader, learned)


async def test_a_search_that_looks_at_more_and_more_texts_finds_the_same(
    rows: StoreRows, reader: DuckDbReader, learned: DuckDbReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows pass; only how many records of a trace fit is counted among more texts where few rows do."""
    texts = [f"kind {number}" for number in range(240)]
    rare, often = rows.resource("rare"), rows.resource("often")
    rows.connection.execute("BEGIN")
    for number, text in enumerate(texts):
        owner = rare if number % 20 == 19 else often
        rows.span(trace(number // 3), number, start=T0 + number // 5 * _MS, text=text, resource_id=owner)
    rows.connection.execute("COMMIT")
    await learned.learn()
    late = Filters(service="rare", since_ns=T0 + 24 * _MS)
    for filters, limit, least in product((Filters(), Filters(service="rare"), late), (1, 8, 30), (0.0, 0.9)):
        near = nearness(texts, least=least)
        plain = await reader.search_records(near, filters, limit)
        for few, some in ((50_000, 50_000), (0, 50_000), (0, 0)):
            monkeypatch.setattr(read_ranked_hits, "_FEW_ROWS", few)
            monkeypatch.setattr(read_ranked_hits, "_SOME_ROWS", some)
            found = await learned.search_records(near, filters, limit)
            if few:
                assert all(
                    row["matches"] >= other["matches"] for row, other in zip(found, plain, strict=True)
                )
                found = [
                    {**row, "matches": other["matches"]} for row, other in zip(found, plain, strict=True)
                ]
            assert found == plain, (filters, limit, least, few, some)


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
