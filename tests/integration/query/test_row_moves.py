"""A question is right although a checkpoint moves the rows that it looks at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import duckdb
import pytest

from receiver.config import StoreConfig
from receiver.errors import BusyError
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.read_pool import ReadPool
from receiver.store.row_moves import RowMoves

_SECOND = 10**9


class Moving:
    """A store in which a checkpoint closes the gap that retention has left, whenever a test says so."""

    def __init__(self, path: Path) -> None:
        """Open an empty store."""
        self._store = DuckDbStore.open(path, StoreConfig(), temp_directory=path.parent / "tmp")
        self._moves = RowMoves()
        self._writer = DuckDbWriter(self._store, self._moves)
        self._rows = 0
        self.pool = ReadPool(self._store.cursor, readers=1, timeout_s=30, moves=self._moves)
        self.append()

    def append(self) -> None:
        """Store log records, one a second."""
        with self._store.cursor() as cursor:
            cursor.execute(
                "INSERT INTO logs (time_unix_nano, observed_time_unix_nano, flags, severity_number, severity_text,"
                " event_name, body, attributes, dropped_attributes_count, resource_id, scope_id)"
                f" SELECT (i + 1) * {_SECOND}, 0, 0, 0, '', '', 'record ' || i, '{{}}', 0, uuid(), uuid()"
                f" FROM range({self._rows}, {self._rows + 5000}) r(i)"
            )
        self._rows += 5000

    def move(self) -> None:
        """Delete all but the newest 5,000, append as many, and let a checkpoint close the gap."""
        self.append()
        self._writer.retire(before_ns=(self._rows - 4999) * _SECOND)
        self._writer.checkpoint()

    def close(self) -> None:
        """Close everything."""
        self.pool.close()
        self._writer.close()
        self._store.close()


_LAST = "SELECT rowid, body FROM logs ORDER BY time_unix_nano DESC LIMIT 1"


async def test_a_question_during_which_rows_move_is_asked_again(tmp_path: Path) -> None:
    """Between the statement that finds a place and the one that looks there, the place became another's."""
    moving = await asyncio.to_thread(Moving, tmp_path / "telemetry.duckdb")
    runs: list[int] = []

    def last(cursor: duckdb.DuckDBPyConnection) -> tuple[object, object]:
        ((place, body),) = cursor.execute(_LAST).fetchall()
        if not runs:
            for _ in range(4):
                moving.move()
        runs.append(place)
        ((found,),) = cursor.execute("SELECT body FROM logs WHERE rowid = ?", [place]).fetchall()
        return body, found

    body, found = await moving.pool.run(last)
    assert body == found == "record 24999"
    assert len(runs) == 2
    await asyncio.to_thread(moving.close)


async def test_rows_that_move_all_the_time_are_told_after_some_tries(tmp_path: Path) -> None:
    """The asker may come again; nothing wrong is answered."""
    moving = await asyncio.to_thread(Moving, tmp_path / "telemetry.duckdb")

    def endless(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(_LAST).fetchall()
        moving.move()

    with pytest.raises(BusyError, match="moved"):
        await moving.pool.run(endless)
    await asyncio.to_thread(moving.close)


async def test_a_mistake_of_the_question_is_its_own(tmp_path: Path) -> None:
    """While nothing moves, an error is no reason to ask again."""
    moving = await asyncio.to_thread(Moving, tmp_path / "telemetry.duckdb")
    runs = []

    def wrong(_: duckdb.DuckDBPyConnection) -> None:
        runs.append(1)
        raise KeyError("a mistake")

    with pytest.raises(KeyError):
        await moving.pool.run(wrong)
    assert len(runs) == 1
    await asyncio.to_thread(moving.close)
