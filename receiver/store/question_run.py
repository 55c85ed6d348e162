"""One run of a question: a function of a cursor, in a read-only transaction of its own.

All of its statements see the same rows; it is asked again where places of rows may have changed meanwhile
(:mod:`receiver.store.row_moves`). It may read rows in a second thread too, in another transaction: rows of known places
never change, they only go.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

import duckdb

from receiver.errors import BusyError, ShuttingDownError
from receiver.store.row_moves import RowMoves

T = TypeVar("T")
U = TypeVar("U")
Work = Callable[[duckdb.DuckDBPyConnection], T]
_ATTEMPTS = 4
"""Runs of a question during each of which rows have moved, before its asker is told to come again."""


class Beside(Protocol):
    """**Protocol:** a second thread of a question."""

    def __call__(self, work: Work[U]) -> Callable[[], U]:
        """Run ``work`` there, in a transaction of its own; return what waits for its answer."""
        ...


class QuestionRun(Generic[T]):
    """One run of ``work``, which can be stopped from another thread at any moment of its life."""

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        work: Callable[[duckdb.DuckDBPyConnection, Beside | None], T],
        moves: RowMoves | None,
        threads: ThreadPoolExecutor | None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            connect: Returns a new cursor of the database instance; called in the threads that ask.
            work: Asks the cursor that it is given.
            moves: Tells when rows move; None: the question is asked once.
            threads: Where the second thread comes from; None: it has none.
        """
        self._connect = connect
        self._work = work
        self._moves = moves
        self._threads = threads
        self._lock = threading.Lock()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._stopped = False

    def run(self) -> T:
        """Return the work's answer; runs in a thread of the pool."""
        if self._moves is None:
            return self._once()
        for _ in range(_ATTEMPTS):
            mark = self._moves.mark()
            try:
                answer = self._once()
            except duckdb.InterruptException:
                raise
            except Exception:
                if self._moves.none_since(mark):
                    raise
            else:
                if self._moves.none_since(mark):
                    return answer
        raise BusyError("the store moved rows during each of several tries", hint="ask again in a moment")

    def _once(self) -> T:
        started: list[Future[Any]] = []
        threads = self._threads
        if threads is None:
            return self._in_transaction(lambda cursor: self._work(cursor, None))

        def beside(work: Work[U]) -> Callable[[], U]:
            try:
                future = threads.submit(self._in_transaction, work)
            except RuntimeError as error:
                raise ShuttingDownError("the store is being closed") from error
            started.append(future)

            def answer() -> U:
                try:
                    return future.result()
                except CancelledError as error:
                    raise ShuttingDownError("the store is being closed") from error

            return answer

        try:
            return self._in_transaction(lambda cursor: self._work(cursor, beside))
        finally:
            for each in started:  # `wait` never ends for one that was cancelled before a thread took it
                with contextlib.suppress(CancelledError):
                    each.exception()

    def _in_transaction(self, work: Work[U]) -> U:
        cursor = self._connect()
        try:
            with self._lock:
                self._cursors.add(cursor)
                if self._stopped:
                    raise duckdb.InterruptException("stopped before it began")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            return work(cursor)
        finally:
            with self._lock:
                self._cursors.discard(cursor)
            with contextlib.suppress(duckdb.Error):
                cursor.rollback()
            cursor.close()

    def stop(self) -> None:
        """Interrupt the statement that runs now; one that starts later is not, so this is called again."""
        with self._lock:
            self._stopped = True
            for cursor in self._cursors:
                cursor.interrupt()
