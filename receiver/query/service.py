"""The only door to what is stored: every way in (HTTP, command line, agents, Python) asks this service.

In: plain words and filters. Out: rows that JSON can say. It holds no data and no SQL: it asks the store's
reader, the embedder and the vector index, and the running server where there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID

import numpy as np

from receiver.config import QueryConfig
from receiver.errors import (
    InvalidFilterError,
    NotFoundError,
    QueryError,
)
from receiver.ports import Embedder, Rows
from receiver.query.agent_sessions import MOST_RECORDS, AgentSessions
from receiver.query.buckets import Aggregation
from receiver.query.metric_series import series_of
from receiver.query.search import Search, SearchAnswer
from receiver.query.store_figures import store_figures
from receiver.query.trace_answers import TraceAnswers
from receiver.questions import (
    Filters,
    MetricQuestion,
    Pipeline,
    RecordTable,
    SessionFilters,
    SqlAnswer,
    StoreReader,
    VectorIndex,
    WindowQuestion,
)
from receiver.sessions.prices import PriceTable
from receiver.times import NS

_MOST_SERIES = 1000


class QueryService:
    """Answers questions. Threads: one event loop; nothing here blocks it."""

    def __init__(
        self,
        reader: StoreReader,
        *,
        embedder: Embedder,
        index: VectorIndex,
        config: QueryConfig,
        prepare: Callable[[str], str],
        pipeline: Pipeline | None = None,
        prices: PriceTable | None = None,
    ) -> None:
        """Keep what answers are made of.

        Args:
            reader: Of the store.
            embedder: Makes the question's vector; may be unavailable.
            index: Of the vectors of ``embedder.model``.
            config: Defaults and limits.
            prepare: Brings a question into the form that texts have when they are embedded.
            pipeline: The running server; None where a file is read without one.
            prices: What models cost; None: the packaged table.
        """
        self._reader = reader
        self._embedder = embedder
        self._index = index
        self._config = config
        self._prepare = prepare
        self._pipeline = pipeline
        self._search = Search(reader, embedder=embedder, index=index, config=config, prepare=prepare)
        self._traces = TraceAnswers(reader)
        self._agents = AgentSessions(reader, prices)

    @property
    def config(self) -> QueryConfig:
        """Return the limits and defaults."""
        return self._config

    async def search(
        self,
        question: str,
        filters: Filters | None = None,
        *,
        limit: int = 10,
        threshold: float | None = None,
    ) -> SearchAnswer:
        """Return the records that mean what the question says, the best one of each trace.

        Without vectors (no embedder, nothing embedded yet) words are matched instead, and ``note`` says so.

        Args:
            question: Plain words.
            filters: What a record must be.
            limit: Most results.
            threshold: Least cosine similarity (by text: least share of words); the configured one if None.

        Raises:
            InvalidFilterError: The question is empty or too long, or ``limit`` out of range.
            QueryLimitError: It took too long.
            StoreUnavailableError: The store cannot be read now.
        """
        return await self._search.by_question(
            question, filters or Filters(), limit=self._checked_limit(limit), threshold=threshold
        )

    async def search_vector(
        self,
        vector: np.ndarray[Any, np.dtype[np.float32]],
        filters: Filters | None = None,
        *,
        limit: int = 10,
        threshold: float | None = None,
    ) -> Rows:
        """Return the records nearest to a vector, the best one of each trace, most similar first.

        Args:
            vector: Of the embedder's model and at unit length.
            filters: What a record must be.
            limit: Most results.
            threshold: Least cosine similarity; the configured one if None.

        Raises:
            InvalidFilterError: ``limit`` is out of range.
            StoreUnavailableError: The store cannot be read now.
        """
        limit = self._checked_limit(limit)
        return await self._search.by_vector(vector, filters or Filters(), limit=limit, threshold=threshold)

    async def trace(self, trace_id: UUID, *, limit: int = 10_000) -> dict[str, Any]:
        """Return a trace: its spans as a tree, its log records, its resources and scopes.

        Log records that name a span of the trace stand in that span's ``logs``, the others in the trace's.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        return await self._traces.trace(trace_id, limit=limit)

    async def outline(self, trace_id: UUID, *, limit: int = 10) -> dict[str, Any]:
        """Return what matters of a trace in a small answer: critical path, first failures, slowest spans.

        Args:
            trace_id: Of the trace; its first 10,000 spans and log records are looked at.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        return await self._traces.outline(trace_id, limit=self._checked_limit(limit))

    async def compare(self, a: UUID, b: UUID, *, limit: int = 10) -> dict[str, Any]:
        """Return what differs between two traces: structure, durations, errors, attributes of the roots.

        Args:
            a: The trace that is compared with.
            b: The trace that is asked about.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of one of them is stored.
        """
        return await self._traces.compare(a, b, limit=self._checked_limit(limit))

    async def investigate(
        self,
        service: str | None = None,
        *,
        since_ns: int,
        until_ns: int,
        baseline_since_ns: int | None = None,
        baseline_until_ns: int | None = None,
        limit: int = 5,
    ) -> dict[str, Any]:
        """Return what changed, what failed and where, in a window of time against the one before it.

        Args:
            service: Only spans and log records of this service.name; where they failed first may be another's.
            since_ns: Unix time at which the window begins.
            until_ns: Unix time before which it ends.
            baseline_since_ns: Where the baseline begins; as long as the window where it is not said.
            baseline_until_ns: Where the baseline ends; where the window begins if it is not said.
            limit: Most entries of each section.

        Raises:
            InvalidFilterError: A window is empty, or they overlap.
            QueryLimitError: It took too long.
        """
        limit = self._checked_limit(limit)
        investigation = await asyncio.to_thread(import_module, "receiver.query.investigation")
        window, baseline = investigation.windows_of(since_ns, until_ns, baseline_since_ns, baseline_until_ns)
        question = WindowQuestion(window, baseline, service=service)
        figures = await self._reader.window_figures(question)
        found: dict[str, Any] = await asyncio.to_thread(
            investigation.investigation_of, figures, question, prepare=self._prepare, limit=limit
        )
        return found

    async def trace_spans(self, trace_ids: Sequence[UUID], *, limit: int = 200) -> Rows:
        """Return what spans of some traces say in short, earliest first, at most ``limit`` of each trace."""
        return await self._reader.trace_spans(trace_ids, limit=limit)

    async def list_services(self) -> Rows:
        """Return each service with exact counts of its records and when it was first and last heard of."""
        return await self._reader.services()

    async def list_traces(self, filters: Filters | None = None, *, limit: int = 20) -> Rows:
        """Return the traces that have a span that passes the filters, newest first."""
        return await self._reader.traces(filters or Filters(), self._checked_limit(limit))

    async def logs(self, filters: Filters | None = None, *, limit: int = 50) -> Rows:
        """Return the log records that pass the filters, newest first."""
        return await self._reader.logs(filters or Filters(), self._checked_limit(limit))

    async def metric_names(self, filters: Filters | None = None, *, limit: int = 1000) -> Rows:
        """Return each metric with its type, unit, temporality, services and number of points."""
        return await self._reader.metric_names(filters or Filters(), self._checked_limit(limit))

    async def metric_points(
        self,
        name: str,
        filters: Filters | None = None,
        *,
        step_s: float = 60.0,
        aggregation: Aggregation | None = None,
    ) -> dict[str, Any]:
        """Return a metric's series, each with its figures per stretch of ``step_s`` seconds.

        Raises:
            NotFoundError: There is no such metric.
            InvalidFilterError: The metric has no such aggregation, or ``step_s`` is not positive.
        """
        filters = filters or Filters()
        step_ns = round(step_s * NS)
        if step_ns <= 0:
            raise InvalidFilterError("the step must be positive", hint="step=60 is one minute")
        answer = await self._reader.metric_points(MetricQuestion(name, filters))
        if not answer.descriptors:
            raise NotFoundError(f"no metric {name!r} is stored", hint="list metrics to see their names")
        series = await asyncio.to_thread(series_of, answer, step_ns, filters.since_ns, aggregation)
        return {
            "name": name,
            "step_s": step_s,
            "series": series[:_MOST_SERIES],
            "truncated": answer.truncated or len(series) > _MOST_SERIES,
        }

    async def sessions(self, filters: SessionFilters | None = None, *, limit: int = 20) -> dict[str, Any]:
        """Return the agents' sessions with their sums, the one with the newest record first.

        Raises:
            InvalidFilterError: ``limit`` is out of range.
        """
        return await self._agents.sessions(filters or SessionFilters(), self._checked_limit(limit))

    async def session(self, session_id: str, *, limit: int = MOST_RECORDS) -> dict[str, Any]:
        """Return one session: its turns, their calls, tokens and cost.

        Args:
            session_id: Its id, or at least 6 characters that only its id begins with.
            limit: Most records of it that are read.

        Raises:
            NotFoundError: There is no such session.
            InvalidFilterError: Several ids begin so.
        """
        return await self._agents.session(session_id, limit)

    async def stats(self) -> dict[str, Any]:
        """Return exact counts of the store, and spool, quarantine and backlog of the running server."""
        return await store_figures(self._reader, self._embedder, self._index, self._pipeline)

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found (by meaning too, if asked for).

        Raises:
            QueryError: No server is running.
            RetryableError: It cannot be stored, or embedded, now.
        """
        if self._pipeline is None:
            raise QueryError(
                "there is no running server to flush", hint="start one with: otlp-receiver serve"
            )
        await self._pipeline.flush(embeddings=embeddings)

    async def requeue(self) -> int:
        """Put every quarantined request back into the queue; return how many.

        Raises:
            QueryError: No server is running.
        """
        if self._pipeline is None:
            raise QueryError(
                "there is no running server", hint="otlp-receiver requeue --data-dir works without one"
            )
        return await self._pipeline.requeue()

    def record_stream(
        self, table: RecordTable, since_ns: int | None, until_ns: int | None
    ) -> AsyncGenerator[bytes]:
        """Yield a table's records as one Arrow IPC stream; see the protocol of the reader."""
        return self._reader.record_stream(table, since_ns, until_ns)

    async def sql(self, query: str, *, limit: int = 1000) -> SqlAnswer:
        """Return the answer of one read-only SQL statement.

        Raises:
            QueryRefusedError: It is something else.
            QueryLimitError: It ran into its time or memory limit.
            QueryError: It has a mistake.
        """
        if limit < 1:
            raise InvalidFilterError("the limit must be at least 1")
        return await self._reader.sql(query, rows=min(limit, self._config.sql_rows))

    def _checked_limit(self, limit: int) -> int:
        if not 1 <= limit <= self._config.max_limit:
            raise InvalidFilterError(
                f"the limit must be between 1 and {self._config.max_limit}", hint="query.max_limit raises it"
            )
        return limit
