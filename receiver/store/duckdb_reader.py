"""The store's reader: implements :class:`receiver.questions.StoreReader` on DuckDB cursors.

In the running server the writer and all readers share one database instance of one process; a command that
reads the file without a server gives a factory of cursors of its own read-only connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import duckdb

from receiver.config import QueryConfig
from receiver.errors import ReceiverError, StoreUnavailableError
from receiver.ports import PendingText, Rows
from receiver.questions import (
    Filters,
    MetricAnswer,
    MetricQuestion,
    NearTexts,
    RecordCounts,
    RecordTable,
    SessionFilters,
    SessionRecords,
    SqlAnswer,
    TraceRecords,
    VectorBatch,
    WindowFigures,
    WindowQuestion,
)
from receiver.signals import Signal
from receiver.store import (
    read_counts,
    read_metrics,
    read_newest_traces,
    read_operations,
    read_records,
    read_search,
    read_sessions,
    read_texts,
    read_traces,
    sql_sandbox,
)
from receiver.store.commits import Commits
from receiver.store.known_texts import NO_TEXTS, KnownTexts
from receiver.store.place_keeper import PlaceKeeper
from receiver.store.question_run import Beside
from receiver.store.read_filters import HOT_COLUMNS
from receiver.store.read_pool import ReadPool
from receiver.store.record_stream import record_stream
from receiver.store.row_moves import RowMoves
from receiver.store.row_places import STRETCH_ROWS, RowPlaces

T = TypeVar("T")
_PlacedWork = Callable[[duckdb.DuckDBPyConnection, Mapping[Signal, RowPlaces], KnownTexts, Beside | None], T]


class DuckDbReader:
    """Answers questions from one DuckDB database; see the protocol for what each method promises.

    Threads: the event loop's thread, except ``vectors``.
    """

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        *,
        readers: int,
        timeout_s: float,
        sql_limits: sql_sandbox.SqlLimits | None = None,
        on_failure: Callable[[], None] = lambda: None,
        moves: RowMoves | None = None,
        commits: Commits | None = None,
        places_folder: Path | None = None,
        stretch_rows: int = STRETCH_ROWS,
    ) -> None:
        """Start without threads.

        Args:
            connect: Returns a new cursor of the instance; called in a reader's thread.
            readers: Questions at a time.
            timeout_s: Longest run of a question.
            sql_limits: What user SQL may cost; the defaults of :class:`QueryConfig` if None.
            on_failure: Called on the loop when the database failed under a question: it may have given up.
            moves: Tells when the writer moves rows; None: nobody writes.
            commits: Tells when the writer changes anything; None: it may at any time.
            places_folder: Takes the file of what :meth:`follow` learns; None: it is kept in memory.
            stretch_rows: Rows that it learns of at a time.
        """
        self._connect = connect
        self._pool = ReadPool(
            connect, readers=readers, timeout_s=timeout_s, on_failure=on_failure, moves=moves
        )
        self._keeper = PlaceKeeper(moves, places_folder, commits=commits, stretch_rows=stretch_rows)
        self._text_counts = read_texts.TextCounts(commits)
        self._sql_limits = sql_limits or sql_sandbox.SqlLimits.from_config(QueryConfig())

    async def search_records(self, near: NearTexts, filters: Filters, limit: int) -> Rows:
        """Return the best record of each trace that has a text near enough."""
        return await self._pool.run_with_more(
            self._with_places(
                lambda cursor, places, known, beside: read_search.records_near(
                    cursor,
                    near,
                    filters,
                    limit,
                    places=places,
                    known=known,
                    beside=beside,
                )
            )
        )

    async def match_text(self, words: Sequence[str], filters: Filters, limit: int) -> Rows:
        """Return the best record of each trace that holds one of these words."""
        return await self._pool.run(
            lambda cursor: read_search.records_with_words(cursor, words, filters, limit)
        )

    async def trace(self, trace_id: UUID, *, limit: int) -> TraceRecords:
        """Return the spans and log records of a trace."""
        return await self._pool.run_with_more(
            self._with_places(
                lambda cursor, places, known, _: read_traces.records_of_trace(
                    cursor, trace_id, limit=limit, places=places, known=known
                )
            )
        )

    async def trace_spans(self, trace_ids: Sequence[UUID], *, limit: int) -> Rows:
        """Return what spans of some traces say in short."""
        return await self._pool.run(
            lambda cursor: read_traces.spans_of_traces(cursor, trace_ids, limit=limit)
        )

    async def services(self) -> Rows:
        """Return each service with its counts."""
        return await self._pool.run(read_counts.list_services)

    async def traces(self, filters: Filters, limit: int) -> Rows:
        """Return the traces that have a span that passes, newest first."""
        self._want_attributes(filters)
        return await self._pool.run_with_more(
            self._with_places(
                lambda cursor, places, _known, _beside: read_newest_traces.newest_traces(
                    cursor, filters, limit, places[Signal.TRACES]
                )
            )
        )

    async def logs(self, filters: Filters, limit: int) -> Rows:
        """Return log records, newest first."""
        return await self._pool.run(lambda cursor: read_records.newest_logs(cursor, filters, limit))

    async def metric_names(self, filters: Filters, limit: int) -> Rows:
        """Return each metric once."""
        return await self._pool.run(lambda cursor: read_metrics.metric_names(cursor, filters, limit))

    async def metric_points(self, question: MetricQuestion) -> MetricAnswer:
        """Return the raw points of a metric."""
        return await self._pool.run(lambda cursor: read_metrics.metric_points(cursor, question))

    async def window_figures(self, question: WindowQuestion) -> WindowFigures:
        """Return what happened in a window of time and in its baseline, counted side by side."""
        return await self._pool.run(lambda cursor: read_operations.window_figures(cursor, question))

    async def session_ids(self, filters: SessionFilters, limit: int) -> list[str]:
        """Return the agents' sessions, the one with the newest record first."""
        return await self._pool.run(lambda cursor: read_sessions.session_ids(cursor, filters, limit))

    async def session_records(self, session_ids: Sequence[str], limit: int) -> SessionRecords:
        """Return the records of these sessions; see :mod:`receiver.store.read_sessions`."""
        return await self._pool.run(lambda cursor: read_sessions.session_records(cursor, session_ids, limit))

    async def record_counts(self) -> RecordCounts:
        """Return exact counts."""
        return await self._pool.run(read_counts.count_records)

    async def stored_totals(self) -> Mapping[Signal, int]:
        """Return how many records were ever stored."""
        return await self._pool.run(lambda cursor: read_counts.totals(cursor)[0], once=True)

    async def sql(self, query: str, *, rows: int) -> SqlAnswer:
        """Return the answer of a user's statement; see :mod:`receiver.store.sql_sandbox`."""
        limits = self._sql_limits
        return await self._pool.run(
            lambda cursor: sql_sandbox.answer(cursor, query, rows=rows, limits=limits),
            timeout_s=limits.timeout_s,
            once=True,
        )

    def record_stream(
        self, table: RecordTable, since_ns: int | None, until_ns: int | None
    ) -> AsyncGenerator[bytes]:
        """Yield a table's records as one Arrow IPC stream; see :mod:`receiver.store.record_stream`."""
        return record_stream(self._pool, table, since_ns, until_ns)

    async def pending_texts(self, model: str, limit: int) -> list[PendingText]:
        """Return distinct texts that have no vector of this model."""
        return await self._pool.run(lambda cursor: read_texts.pending_texts(cursor, model, limit))

    async def count_texts(self, model: str) -> tuple[int, int]:
        """Return how many texts have a vector of this model, and how many wait for one."""
        if (known := self._text_counts.known(model)) is not None:
            return known
        return await self._pool.run(lambda cursor: self._text_counts.counts(cursor, model))

    def vectors(self, model: str, *, batch_rows: int = 8192) -> Iterator[VectorBatch]:
        """Yield every vector of this model; the cursor lives as long as the iteration.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        cursor = self._connect()
        try:
            yield from read_texts.vector_batches(cursor, model, batch_rows)
        except duckdb.DatabaseError as error:
            raise StoreUnavailableError(f"the store cannot be read now: {error}") from error
        finally:
            cursor.close()

    async def follow(self, *, every_s: float = 1.0) -> None:
        """Learn where rows are, for as long as this runs: questions by id then read those rows only.

        Cancellation: what was learnt stays good.
        """
        while True:
            try:
                more = await self._pool.run(self._keeper.step)
            except (
                ReceiverError
            ):  # the store cannot be read now, or has no place free; questions say so themselves
                more = False
            await asyncio.sleep(0 if more else every_s)

    async def learn(self) -> None:
        """Return when all rows that can be known of now are known, attributes included."""
        self._keeper.want_attributes()
        while await self._pool.run(self._keeper.step):
            pass

    @property
    def known_rows(self) -> int:
        """Return how many spans and log records have a known place; 0 right after rows have moved. Threads: any."""
        return sum(places.rows for places in self._keeper.all_places().values())

    def _with_places(self, work: _PlacedWork[T]) -> Callable[[duckdb.DuckDBPyConnection, Beside | None], T]:
        """Return a question that is given what is known of rows and of texts."""

        def asked(cursor: duckdb.DuckDBPyConnection, beside: Beside | None) -> T:
            places, texts = self._keeper.all_places(), self._keeper.texts()
            settled = places[Signal.TRACES].settled

            def holds() -> bool:
                return (settled is None or self._keeper.is_settled(settled)) and self._keeper.holds(texts)

            try:
                answer = work(cursor, places, texts, beside)
            except duckdb.Error:
                raise
            except Exception:  # a row that came meanwhile is none of those that are known
                if holds():
                    raise
            else:
                if holds():
                    return answer
            # Something was committed meanwhile, and the transaction may see that.
            unsettled = {signal: replace(each, settled=None) for signal, each in places.items()}
            return work(cursor, unsettled, NO_TEXTS, beside)

        return asked

    def _want_attributes(self, filters: Filters) -> None:
        if set(filters.attributes) - set(HOT_COLUMNS[Signal.TRACES]):
            self._keeper.want_attributes()

    def close(self) -> None:
        """Take no more questions."""
        self._pool.close()
        self._keeper.close()
