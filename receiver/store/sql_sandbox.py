"""A user's SQL: one read-only statement on the telemetry, and nothing else.

In: text of anybody. Out: an answer of bounded size, or a refusal that says what to do. Four layers, each of
which holds alone against most of what the others stop:

1. The text is parsed, never matched: one statement, a SELECT or an EXPLAIN of one (DuckDB counts a WITH that
   inserts among the SELECTs). Its syntax tree may hold only the listed kinds of node, table functions from a
   list, and no function that writes, waits or makes a value of any size out of nothing.
2. It runs in a read-only transaction of a cursor of its own.
3. The whole instance is locked down (:func:`lock_down`): no file outside its own, no extension, no setting.
4. Time, rows, bytes and memory are limited. DuckDB's memory_limit does not count what single values take
   while they are computed, so the growth of the process is watched too.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import duckdb

from receiver.config import QueryConfig
from receiver.errors import QueryError, QueryLimitError
from receiver.questions import SqlAnswer
from receiver.store.sql_statement import Statement, checked
from receiver.store.sql_values import converter, shown_as_text

_FETCH_ROWS = 500
_LOOK_S = 0.01
_PAGE_BYTES = 4096
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """What one statement may cost."""

    rows: int
    bytes: int
    """Of the values of the answer, about."""
    timeout_s: float
    growth_bytes: int = 1 << 30
    """How much the process may grow while it runs, ingest included; looked at where /proc is."""

    @classmethod
    def from_config(cls, config: QueryConfig) -> SqlLimits:
        """Return the configured limits."""
        return cls(rows=config.sql_rows, bytes=config.sql_bytes, timeout_s=config.sql_timeout_s)


def lock_down(connection: duckdb.DuckDBPyConnection, *, temp_directory: Path) -> None:
    """Leave the instance with no access to files but its own and its spill files, for all of its life.

    Afterwards no setting can be changed any more, so memory_limit, threads and the like come first.
    CHECKPOINT, the write-ahead log, spilling and registered Arrow tables work as before; Python variables
    are not found by name any more, and no extension can be loaded.

    Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
    """
    # What was used while the log was replayed cannot be set again, not even to the same.
    (present,) = connection.execute("SELECT current_setting('temp_directory')").fetchone() or ("",)
    if present != str(temp_directory):
        escaped = str(temp_directory).replace("'", "''")
        connection.execute(f"SET temp_directory = '{escaped}'")
    for setting in (
        "GLOBAL TimeZone = 'UTC'",
        "python_enable_replacements = false",
        "autoload_known_extensions = false",
        "autoinstall_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def answer(cursor: duckdb.DuckDBPyConnection, query: str, *, rows: int, limits: SqlLimits) -> SqlAnswer:
    """Return the answer of one statement; ``cursor`` is in a read-only transaction.

    Args:
        cursor: Interrupted by its owner at the time limit.
        query: A SELECT, or an EXPLAIN of one.
        rows: Most rows; never more than ``limits.rows``.
        limits: Bytes and growth.

    Raises:
        QueryRefusedError: It is something else.
        QueryLimitError: It needs more memory than it may.
        QueryError: DuckDB finds a mistake in it.

    Threads: blocks.
    """
    statement = checked(query)
    try:
        with _watched(cursor, limits.growth_bytes) as watch:
            try:
                return _run(cursor, statement, min(rows, limits.rows), limits.bytes)
            except duckdb.InterruptException as error:
                if watch.grown:
                    raise QueryLimitError(
                        f"the statement made the receiver grow by more than {limits.growth_bytes >> 20} MiB",
                        hint="select fewer or shorter values",
                    ) from error
                raise
    except (
        duckdb.OutOfMemoryException,
        duckdb.InterruptException,
        duckdb.IOException,
        duckdb.FatalException,
    ):
        raise  # the pool knows what these mean
    except (duckdb.Error, RuntimeError, OverflowError, ValueError) as error:
        raise QueryError(
            f"the statement failed: {error}",
            hint="docs/schema.md lists the tables; SHOW TABLES and DESCRIBE do too",
        ) from error


def _run(cursor: duckdb.DuckDBPyConnection, statement: Statement, rows: int, most_bytes: int) -> SqlAnswer:
    if statement.explains:
        cursor.execute(statement.text)
        described = [(each[0], str(each[1])) for each in cursor.description or ()]
    else:
        cursor.execute(f"DESCRIBE {statement.text}")
        described = [(name, kind) for name, kind, *_ in cursor.fetchall()]
        cursor.execute(_as_shown(statement.text, [kind for _, kind in described]))
    convert = [converter(kind) for _, kind in described]
    found: list[list[object]] = []
    size = 0
    while len(found) <= rows:
        fetched = cursor.fetchmany(min(_FETCH_ROWS, rows + 1 - len(found)))
        if not fetched:
            break
        for values in fetched:
            row: list[object] = []
            for change, value in zip(convert, values, strict=True):
                shown, weight = change(value)
                row.append(shown)
                size += weight
            if size > most_bytes:
                return SqlAnswer([name for name, _ in described], found[:rows], truncated=True)
            found.append(row)
    return SqlAnswer([name for name, _ in described], found[:rows], truncated=len(found) > rows)


def _as_shown(text: str, kinds: list[str]) -> str:
    """Return the statement with the values that Python would round or refuse turned into text by DuckDB."""
    if not any(shown_as_text(kind) for kind in kinds):
        return text
    names = [f"c{place}" for place in range(len(kinds))]
    columns = ", ".join(
        f"{wrapped.format(name)} AS {name}" if (wrapped := shown_as_text(kind)) else name
        for name, kind in zip(names, kinds, strict=True)
    )
    return f"SELECT {columns} FROM (\n{text}\n) AS answer({', '.join(names)})"


class _watched:  # noqa: N801 - a context manager, read as a word
    """Interrupts a cursor when the process grows too much while the block runs."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, growth_bytes: int) -> None:
        self._cursor = cursor
        self._growth_bytes = growth_bytes
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.grown = False

    def __enter__(self) -> Self:
        if _STATM.exists():
            self._thread = threading.Thread(
                target=self._watch, args=(_resident_bytes(),), name="store-sql-watch", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, before: int) -> None:
        while not self._done.wait(_LOOK_S):
            if _resident_bytes() - before > self._growth_bytes:
                self.grown = True
                self._cursor.interrupt()


def _resident_bytes() -> int:
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
