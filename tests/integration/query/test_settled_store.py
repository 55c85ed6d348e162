"""Between two commits a question does not ask again what was learnt; after one it never answers by what was."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import numpy as np
import pytest

from receiver.config import StoreConfig
from receiver.errors import ShuttingDownError
from receiver.ports import LoadBatch, TextVectors
from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store import idle_processor, known_texts, place_keeper
from receiver.store.commits import Commits
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.place_keeper import PlaceKeeper
from receiver.store.question_run import Beside
from receiver.store.read_pool import ReadPool
from receiver.store.read_records import records_at
from receiver.store.row_moves import RowMoves
from tests.integration.query.test_read_pool import endless
from tests.integration.query.test_row_places import fill, nearness
from tests.support.store_rows import StoreRows, trace

_FILTERS = (Filters(), Filters(service="shop"), Filters(service="new"))


@pytest.fixture
def commits() -> Commits:
    """Tell when something is committed."""
    return Commits()


@pytest.fixture
def learned(rows: StoreRows, commits: Commits, tmp_path: Path) -> Iterator[DuckDbReader]:
    """Give a reader that is told."""
    opened = DuckDbReader(
        rows.cursor,
        readers=2,
        timeout_s=30,
        moves=RowMoves(),
        commits=commits,
        places_folder=tmp_path,
        stretch_rows=64,
    )
    yield opened
    opened.close()


@pytest.fixture
def keeper(commits: Commits, tmp_path: Path) -> Iterator[PlaceKeeper]:
    """Give one that is told."""
    opened = PlaceKeeper(RowMoves(), tmp_path, commits=commits, stretch_rows=64)
    yield opened
    opened.close()


def learn(keeper: PlaceKeeper, cursor: duckdb.DuckDBPyConnection) -> None:
    """Have it look at all there is."""
    while keeper.step(cursor):
        pass


async def same(plain: DuckDbReader, learned: DuckDbReader) -> None:
    """Compare answers with those of whole columns."""
    for number in (*range(0, 60, 12), 700, 9999):
        assert await learned.trace(trace(number), limit=1000) == await plain.trace(trace(number), limit=1000)
    near = nearness([f"text {number}" for number in range(12)], least=0.0)
    for filters in _FILTERS:
        assert await learned.traces(filters, 20) == await plain.traces(filters, 20)
        found = await learned.search_records(near, filters, 10)
        assert found == await plain.search_records(near, filters, 10)
    assert await learned.count_texts("m") == await plain.count_texts("m")


async def test_answers_follow_every_commit(
    rows: StoreRows, reader: DuckDbReader, learned: DuckDbReader, commits: Commits
) -> None:
    """New rows, a new service, a new text and deleted rows: before and after they were learnt."""
    chance = random.Random(21)
    fill(rows, chance, 0, 250)
    await learned.learn()
    await same(reader, learned)
    with commits.committing():
        rows.span(trace(700), 9000, resource_id=rows.resource("new"), text="something new")
    await same(reader, learned)
    await learned.learn()
    await same(reader, learned)
    with commits.committing(deletes=True):
        rows.connection.execute("BEGIN")
        rows.connection.execute("DELETE FROM spans WHERE rowid % 3 = 0")
        rows.connection.execute("DELETE FROM record_totals")
        rows.connection.execute("INSERT INTO record_totals VALUES ('traces', 250, 60)")
        rows.connection.execute("COMMIT")
    await same(reader, learned)
    await learned.learn()
    await same(reader, learned)


def in_two(
    read: partial[dict[int, dict[str, Any]]], cursor: duckdb.DuckDBPyConnection, beside: Beside | None
) -> dict[int, dict[str, Any]]:
    """Read with the second thread that a question is given."""
    assert beside is not None
    return read(cursor, beside=beside)


async def test_records_that_are_read_in_two_threads_are_those_of_one(
    rows: StoreRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, in whatever order they are asked for; a place without a row gives none."""
    fill(rows, random.Random(23), 0, 150)
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    monkeypatch.setattr(idle_processor, "_PROCESSORS", 1_000_000)
    for count in (1, 3, 4, 7, 30):
        places = random.Random(count).sample(range(100), count)
        for asked in (places, [*places, 10_000]):
            read = partial(records_at, signal=Signal.TRACES, rowids=asked)
            alone = await pool.run(read)
            found = await pool.run_with_more(partial(in_two, read))
            assert found == alone
            assert found.keys() == set(places)
    pool.close()


def test_what_was_learnt_is_settled_until_the_next_commit_begins(
    rows: StoreRows, keeper: PlaceKeeper, commits: Commits
) -> None:
    """During it nobody can know, and after it there may be newer rows."""
    fill(rows, random.Random(22), 0, 100)
    assert keeper.all_places()[Signal.TRACES].settled is None
    learn(keeper, rows.connection)
    first = keeper.all_places()[Signal.TRACES].settled
    assert first is not None
    assert keeper.all_places()[Signal.LOGS].settled is first
    with commits.committing():
        assert keeper.all_places()[Signal.TRACES].settled is None
        learn(keeper, rows.connection)
        assert keeper.all_places()[Signal.TRACES].settled is None
    assert keeper.all_places()[Signal.TRACES].settled is None
    assert not keeper.is_settled(first)
    learn(keeper, rows.connection)
    assert keeper.all_places()[Signal.TRACES].settled not in (None, first)


def test_what_is_committed_before_the_first_statement_is_learnt(
    rows: StoreRows, keeper: PlaceKeeper, commits: Commits
) -> None:
    """The count of commits is taken after the transaction has begun, and nothing of it may be missed."""
    with rows.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        with commits.committing():
            rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="late")
        learn(keeper, cursor)
    places = keeper.all_places()[Signal.TRACES]
    assert places.settled is not None
    assert places.places("trace_id", [trace(1)]).tolist() == [0]


def test_texts_are_known_until_something_is_deleted(
    rows: StoreRows, keeper: PlaceKeeper, commits: Commits
) -> None:
    """A text that was deleted may come again in other words; one too long, or not looked at yet, is not known."""
    words = {rows.text(each): each for each in ("", "ünlike 日本", "plain", "y" * 1024)}
    other, longer = rows.text("other"), rows.text("x" * 1025)
    learn(keeper, rows.connection)
    assert keeper.texts().texts([*words, longer]) == words
    with commits.committing():
        later = rows.text("later")
    assert keeper.texts().texts([later, other]) == {other: "other"}
    learn(keeper, rows.connection)
    assert keeper.texts().texts([later, *words]) == {later: "later", **words}
    with commits.committing(deletes=True):
        assert keeper.texts().texts(words) == {}
        rows.connection.execute("UPDATE texts SET text = 'Other' WHERE text_id = ?", [other])
    assert keeper.texts().texts([other]) == {}
    learn(keeper, rows.connection)
    assert keeper.texts().texts([other]) == {other: "Other"}


def test_no_text_is_learnt_while_something_is_committed(
    rows: StoreRows, keeper: PlaceKeeper, commits: Commits
) -> None:
    """It may be one that is being deleted, and come again in other words."""
    other = rows.text("other")
    with commits.committing(deletes=True):
        learn(keeper, rows.connection)
        rows.connection.execute("UPDATE texts SET text = 'Other' WHERE text_id = ?", [other])
    assert keeper.texts().texts([other]) == {}
    learn(keeper, rows.connection)
    given = keeper.texts()
    assert given.texts([other]) == {other: "Other"}
    assert keeper.holds(given)
    with commits.committing(deletes=True):
        pass
    learn(keeper, rows.connection)
    assert not keeper.holds(given)
    assert keeper.holds(keeper.texts())


async def test_what_is_committed_right_before_the_first_statement_is_answered(
    rows: StoreRows, learned: DuckDbReader, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question has been given what was known, and its transaction sees a trace of which nothing was."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="early")
    await learned.learn()
    known = learned._keeper.all_places

    def late() -> object:
        monkeypatch.undo()
        places = known()
        assert places[Signal.TRACES].settled is not None
        with commits.committing():
            rows.span(trace(2), 2, resource_id=rows.resource("shop"), text="late")
        return places

    monkeypatch.setattr(learned._keeper, "all_places", late)
    found = await learned.traces(Filters(), 5)
    assert {row["trace_id"] for row in found} == {trace(1).hex, trace(2).hex}


def test_texts_are_known_in_parts_up_to_a_number(
    rows: StoreRows, keeper: PlaceKeeper, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they come, each once; those beyond the last part are asked for."""
    for module in (place_keeper, known_texts):
        monkeypatch.setattr(module, "PART_ROWS", 8)
    monkeypatch.setattr(place_keeper, "MOST_PARTS", 4)
    words: dict[UUID, str] = {}
    while len(words) < 40:
        with commits.committing():
            words |= {rows.text(f"text {len(words) + at}"): f"text {len(words) + at}" for at in range(3)}
        learn(keeper, rows.connection)
        parts = keeper.texts().parts
        assert [part.first for part in parts[1:]] == [part.end for part in parts[:-1]]
        assert keeper.texts().texts(words) == dict(list(words.items())[: parts[-1].end])
        assert parts[-1].end == min(len(words), 4 * 8)


def test_the_writer_tells_of_everything_that_it_commits(tmp_path: Path) -> None:
    """A load, vectors, a deletion, and what is gone when it is opened again; what deletes is told apart."""
    commits = Commits()
    rows = StoreRows(tmp_path / "telemetry.duckdb")
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="old")
    rows.close()
    store = DuckDbStore.open(tmp_path / "telemetry.duckdb", StoreConfig(), temp_directory=tmp_path / "tmp")
    writer = DuckDbWriter(store, commits=commits)
    seen = [(commits.count, commits.deletions)]
    writer.load(LoadBatch(uuid4(), 1, [], {}))
    seen.append((commits.count, commits.deletions))
    writer.write_embeddings([TextVectors(uuid4(), np.ones((1, 4), dtype=np.float32))], model="m")
    seen.append((commits.count, commits.deletions))
    for end in (1, 1 << 62):  # nothing is that old; the span is
        writer.retire(before_ns=end)
        seen.append((commits.count, commits.deletions))
    store.connection.close()  # as after a failure: nobody gets a cursor any more
    assert writer.revive()
    seen.append((commits.count, commits.deletions))
    writer.close()
    store.close()
    assert seen == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2)]


async def test_a_question_has_a_second_thread_while_no_other_is_asked(
    rows: StoreRows,
) -> None:
    """Its transaction is another one; beside another question there is none."""
    pool = ReadPool(rows.cursor, readers=2, timeout_s=60)

    def work(cursor: duckdb.DuckDBPyConnection, beside: Beside | None) -> object:
        if beside is None:
            return None
        both = threading.Barrier(2)

        def other(more: duckdb.DuckDBPyConnection) -> object:
            both.wait(30)
            return more.execute("SELECT 7").fetchall()

        answer = beside(other)
        both.wait(30)
        return cursor.execute("SELECT 6").fetchall() + answer()  # type: ignore[operator]

    assert await pool.run_with_more(work) == [(6,), (7,)]
    began, go_on = threading.Event(), threading.Event()

    def hold(_: duckdb.DuckDBPyConnection) -> None:
        began.set()
        go_on.wait(30)

    busy = asyncio.ensure_future(pool.run(hold))
    await asyncio.to_thread(began.wait, 30)
    assert await pool.run_with_more(work) is None
    go_on.set()
    await busy
    pool.close()


async def test_a_pool_that_is_closed_waits_for_no_second_thread_that_never_began(rows: StoreRows) -> None:
    """The asker hears that the store is being closed, and no thread is left."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    occupied, asked = threading.Event(), threading.Event()
    pool._more_threads.submit(occupied.wait, 30)

    def work(_: duckdb.DuckDBPyConnection, beside: Beside | None) -> object:
        assert beside is not None
        answer = beside(lambda more: more.execute("SELECT 7").fetchall())
        asked.set()
        return answer()

    asking = asyncio.ensure_future(pool.run_with_more(work))
    await asyncio.to_thread(asked.wait, 30)
    pool.close()
    occupied.set()
    with pytest.raises(ShuttingDownError):
        await asking
    await asyncio.to_thread(pool._threads.shutdown)


@pytest.mark.parametrize(
    ("load", "is_idle"),
    [("0.5 0.4 0.3 1/99 7", True), ("0.0 0.0 0.0 2/99 7", False), ("9 9 9 31/99 7", False), ("", False)],
)
def test_a_processor_is_idle_where_fewer_threads_run_than_there_are_processors(
    load: str, is_idle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel's figure of this moment, on two processors; none is where there is no such figure."""
    (tmp_path / "loadavg").write_text(load, encoding="ascii")
    monkeypatch.setattr(idle_processor, "_LOAD", tmp_path / "loadavg")
    monkeypatch.setattr(idle_processor, "_PROCESSORS", 2)
    assert idle_processor.processor_is_idle() is is_idle


async def test_cancellation_stops_both_threads_of_a_question(
    rows: StoreRows,
) -> None:
    """Neither statement would have ended by itself, and the place is free again."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    both = threading.Barrier(3)

    def forever(cursor: duckdb.DuckDBPyConnection) -> None:
        both.wait(30)
        endless(cursor)

    def work(cursor: duckdb.DuckDBPyConnection, beside: Beside | None) -> None:
        assert beside is not None
        answer = beside(forever)
        try:
            forever(cursor)
        finally:
            answer()

    question = asyncio.ensure_future(pool.run_with_more(work))
    await asyncio.to_thread(both.wait, 30)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert await pool.run(lambda cursor: cursor.execute("SELECT 7").fetchall()) == [(7,)]
    pool.close()
