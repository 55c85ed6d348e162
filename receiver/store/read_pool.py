"""Runs questions in a bounded pool of threads, each with a cursor of its own, and stops them in time.

A question (:mod:`receiver.store.question_run`) is interrupted at its time limit and when its asker is cancelled. The
asker gets the answer at the limit even if the database does not react; the thread's place stays taken until it does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import duckdb

from receiver.errors import BusyError, QueryLimitError, ShuttingDownError, StoreUnavailableError
from receiver.priority import step_back
from receiver.store.question_run import Beside, QuestionRun, Work
from receiver.store.row_moves import RowMoves

T = TypeVar("T")

_INTERRUPT_AGAIN_S = 0.05
_WAITING_PER_READER = 16
_NICENESS = 10
"""Four questions that scan take both of two cores: exports are to be answered meanwhile (ADR 18)."""


class ReadPool:
    """A bounded number of questions at a time, first come, first served.

    Threads: ``run`` on one event loop; ``close`` anywhere.
    """

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        *,
        readers: int,
        timeout_s: float,
        on_failure: Callable[[], None] = lambda: None,
        moves: RowMoves | None = None,
    ) -> None:
        """Start without threads; they come with the first questions.

        Args:
            connect: Returns a new cursor of the database instance; called in the pool's threads.
            readers: Questions at a time; 16 times as many may wait.
            timeout_s: The limit of a question that names none, and of the wait for a free place.
            on_failure: Called on the loop when the database failed under a question: it may have given up.
            moves: Tells when rows of the database move; None: nobody writes to it.
        """
        self._on_failure = on_failure
        self._connect = connect
        self._moves = moves
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(
            readers, thread_name_prefix="store-reader", initializer=step_back, initargs=(_NICENESS,)
        )
        self._more_threads = ThreadPoolExecutor(
            readers, thread_name_prefix="store-reader-beside", initializer=step_back, initargs=(_NICENESS,)
        )
        """As many as questions, each of which waits for one of these at a time."""
        self._running = 0
        self._free = asyncio.Semaphore(readers)
        self._most_waiting = readers * _WAITING_PER_READER
        self._waiting = 0
        self._closed = False

    async def run(
        self,
        work: Work[T],
        *,
        timeout_s: float | None = None,
        once: bool = False,
    ) -> T:
        """Return what ``work`` returns.

        Args:
            work: Asks the cursor that it is given; may be run more than once.
            timeout_s: The limit of all runs together.
            once: ``work`` never looks at places of rows (``rowid``), and is run only once.

        Raises:
            BusyError: No reader became free in time, or too many wait already.
            QueryLimitError: The time or memory limit was reached.
            StoreUnavailableError: The database could not be read.

        Cancellation: the statement is interrupted; nothing waits for it.
        """
        return await self._run(lambda cursor, _: work(cursor), timeout_s=timeout_s, once=once)

    async def run_with_more(self, work: Callable[[duckdb.DuckDBPyConnection, Beside | None], T]) -> T:
        """Return what ``work`` returns, as :meth:`run` does.

        Args:
            work: Asks the cursor that it is given, and has a second thread where no other question is asked now;
                to use it pays while :func:`processor_is_idle`.
        """
        return await self._run(work, may_have_more=True)

    async def _run(
        self,
        work: Callable[[duckdb.DuckDBPyConnection, Beside | None], T],
        *,
        timeout_s: float | None = None,
        once: bool = False,
        may_have_more: bool = False,
    ) -> T:
        await self._take_place()
        more = self._more_threads if may_have_more and not self._running else None
        question = QuestionRun(self._connect, work, None if once else self._moves, more)
        loop = asyncio.get_running_loop()
        try:
            future = self._threads.submit(question.run)
        except RuntimeError as error:
            self._free.release()
            raise ShuttingDownError("the store is being closed") from error
        self._running += 1
        future.add_done_callback(lambda _: _on_loop(loop, self._ended))
        limit = timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(limit):
                return await asyncio.wrap_future(_uncancellable(future))
        except TimeoutError:
            _stop_until_done(loop, question, future)
            raise QueryLimitError(
                f"the question took longer than {limit:g} s",
                hint="ask for a shorter time range, or add a filter",
            ) from None
        except asyncio.CancelledError:
            _stop_until_done(loop, question, future)
            raise
        except duckdb.OutOfMemoryException as error:
            raise QueryLimitError(
                "the question needs more memory than the store may use",
                hint="ask for a shorter time range or fewer rows, or raise store.memory_limit_bytes",
            ) from error
        except duckdb.InterruptException as error:  # not by its asker, nor at its limit: see above
            raise StoreUnavailableError(
                "the question was stopped because the store is closed or opened again", hint="ask again"
            ) from error
        except (duckdb.IOException, duckdb.ConnectionException, duckdb.FatalException) as error:
            self._on_failure()
            raise StoreUnavailableError(f"the store cannot be read now: {error}") from error

    def _ended(self) -> None:
        self._running -= 1
        self._free.release()

    async def _take_place(self) -> None:
        if self._closed:
            raise ShuttingDownError("the store is being closed")
        if self._waiting >= self._most_waiting:
            raise BusyError(f"{self._waiting} questions wait for a reader already", hint="ask again later")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError(
                f"no reader became free within {self._timeout_s:g} s",
                hint="ask again later, or raise query.readers",
            ) from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Take no more questions; those that run end by themselves or at their limit. Safe to call twice."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._more_threads.shutdown(wait=False, cancel_futures=True)


def _uncancellable(future: Future[T]) -> Future[T]:
    """Return a future that ends as ``future`` does and whose cancellation leaves ``future`` alone."""
    copy: Future[T] = Future()

    def pass_on(done: Future[T]) -> None:
        if not copy.set_running_or_notify_cancel():
            return
        if done.cancelled():
            copy.set_exception(ShuttingDownError("the store is being closed"))
        elif (error := done.exception()) is not None:
            copy.set_exception(error)
        else:
            copy.set_result(done.result())

    future.add_done_callback(pass_on)
    return copy


def _stop_until_done(loop: asyncio.AbstractEventLoop, question: QuestionRun[T], future: Future[T]) -> None:
    if future.cancel() or future.done():
        return
    question.stop()
    loop.call_later(_INTERRUPT_AGAIN_S, _stop_until_done, loop, question, future)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call)
