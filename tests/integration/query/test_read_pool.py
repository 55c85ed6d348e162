"""The pool of readers: bounded, interruptible, and free again after every end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import anyio
import duckdb
import pytest

from receiver.errors import BusyError, QueryLimitError, ShuttingDownError, StoreUnavailableError
from receiver.store.read_pool import ReadPool
from tests.support.store_rows import StoreRows

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 9"


def endless(cursor: duckdb.DuckDBPyConnection) -> None:
    """Run a statement that does not end by itself."""
    cursor.execute(ENDLESS).fetchall()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere priorities are a process's")
async def test_questions_stand_behind_exports_for_the_processor(rows: StoreRows) -> None:
    """A reader's thread has a nice value that is higher by 10 (19 is the highest); the event loop's stays as it was."""
    before = _niceness()
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    assert await pool.run(lambda _: _niceness()) == min(before + 10, 19)
    assert _niceness() == before
    pool.close()


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_a_cancelled_question_is_stopped_in_the_database(rows: StoreRows) -> None:
    """Its place is free again although the statement would have run for ever."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    began = threading.Event()

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        began.set()
        endless(cursor)

    question = asyncio.ensure_future(pool.run(work))
    await asyncio.to_thread(began.wait)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert await pool.run(lambda cursor: cursor.execute("SELECT 7").fetchall()) == [(7,)]
    pool.close()


async def test_a_question_that_the_store_stops_can_be_asked_again(rows: StoreRows) -> None:
    """A store that is closed or opened again interrupts it; nobody gets DuckDB's own error."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    began = threading.Event()
    cursors: list[duckdb.DuckDBPyConnection] = []

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        cursors.append(cursor)
        began.set()
        endless(cursor)

    question = asyncio.ensure_future(pool.run(work))
    await asyncio.to_thread(began.wait)
    while not question.done():  # one that comes before the statement begins is lost
        cursors[0].interrupt()
        await asyncio.wait({question}, timeout=0.02)
    with pytest.raises(StoreUnavailableError, match="closed or opened again"):
        await question
    pool.close()


async def test_an_interrupt_between_two_statements_is_not_lost(rows: StoreRows) -> None:
    """A question of many statements is stopped although each of them is short."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        while True:
            endless(cursor) if cursor.execute("SELECT 1").fetchall() != [(1,)] else None

    with pytest.raises(QueryLimitError):
        await pool.run(work, timeout_s=0.1)
    assert await pool.run(lambda _: "free") == "free"
    pool.close()


async def test_more_than_the_bounded_number_of_waiting_questions_are_refused(rows: StoreRows) -> None:
    """A full waiting room answers at once and can be tried again later."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    go_on = threading.Event()
    first = asyncio.ensure_future(pool.run(lambda _: go_on.wait()))
    waiting = [asyncio.ensure_future(pool.run(lambda _: True)) for _ in range(16)]
    await anyio.wait_all_tasks_blocked()
    with pytest.raises(BusyError):
        await pool.run(lambda _: True)
    go_on.set()
    assert all(await asyncio.gather(first, *waiting))
    pool.close()


async def test_no_free_reader_in_time_is_busy(rows: StoreRows) -> None:
    """The wait for a place is bounded too."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=0.05)
    go_on = threading.Event()
    with pytest.raises(QueryLimitError):
        await pool.run(lambda _: go_on.wait())
    with pytest.raises(BusyError, match="no reader"):
        await pool.run(lambda _: True)
    go_on.set()
    pool.close()


async def test_one_question_sees_one_state_of_the_store(rows: StoreRows) -> None:
    """What is committed between its statements is not seen by the second."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)

    def work(cursor: duckdb.DuckDBPyConnection) -> tuple[object, object]:
        before = cursor.execute("SELECT count(*) FROM scopes").fetchall()
        rows.scope("another")
        return before, cursor.execute("SELECT count(*) FROM scopes").fetchall()

    before, after = await pool.run(work)
    assert before == after
    assert await pool.run(lambda cursor: cursor.execute("SELECT count(*) FROM scopes").fetchall()) == [(2,)]
    pool.close()


async def test_a_question_cannot_write(rows: StoreRows) -> None:
    """The transaction is read-only."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    with pytest.raises(duckdb.TransactionException):
        await pool.run(lambda cursor: cursor.execute("DELETE FROM scopes").fetchall())
    pool.close()


async def test_a_closed_pool_takes_no_question(rows: StoreRows) -> None:
    """Closing twice is safe."""
    pool = ReadPool(rows.cursor, readers=1, timeout_s=60)
    pool.close()
    pool.close()
    with pytest.raises(ShuttingDownError):
        await pool.run(lambda _: True)
