"""The only door to what is stored: every way in (HTTP, command line, agents, Python) asks this service.

In: plain words and filters. Out: rows that JSON can say. It holds no data and no SQL: it asks the store's
reader, the embedder and the vector index, and the running server where there is one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from receiver.config import QueryConfig
from receiver.errors import (
    EmbeddingFailedError,
    EmbeddingUnavailableError,
    InvalidFilterError,
    NotFoundError,
    QueryError,
)
from receiver.ports import Embedder, Rows
from receiver.query.agent_sessions import MOST_RECORDS, AgentSessions
from receiver.query.buckets import Aggregation, stretches
from receiver.query.reasons import reason, words_of
from receiver.query.tree import span_tree
from receiver.questions import (
    TEMPORALITY,
    Filters,
    MetricAnswer,
    MetricDescriptor,
    MetricPoint,
    MetricQuestion,
    Pipeline,
    PipelineFigures,
    RecordTable,
    SessionFilters,
    SqlAnswer,
    StoreReader,
    TraceRecords,
    VectorIndex,
    WindowQuestion,
)
from receiver.sessions.prices import PriceTable
from receiver.signals import Signal
from receiver.times import NS

_NEAREST = (12, 50, 200, 1000)
"""Texts that are looked at in turn until enough records pass the filters; after these, all of them."""
_MOST_WORDS = 16
_LONGEST_QUESTION = 4096
_MOST_SERIES = 1000
_MOST_RECORDS = 10_000
"""Spans, and log records, of a trace that are looked at for an outline or a comparison."""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found, and how."""

    results: Rows
    mode: str
    """``meaning`` by vectors, ``text`` by words, ``none`` for an empty question."""
    threshold: float | None
    pending: int
    """Distinct texts that have no vector yet and cannot be found by meaning."""
    note: str | None = None


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
        self._questions: OrderedDict[str, np.ndarray[Any, np.dtype[np.float32]]] = OrderedDict()
        """Vectors of recent questions, by the form that was embedded; the latest asked stands last."""
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
        filters = filters or Filters()
        question = question.strip()
        if not question:
            raise InvalidFilterError("the question is empty", hint="ask in plain words: q=payment failed")
        if len(question) > _LONGEST_QUESTION:
            raise InvalidFilterError(f"the question is longer than {_LONGEST_QUESTION} characters")
        limit = self._checked_limit(limit)
        if filters.signal is Signal.METRICS:
            raise InvalidFilterError("metrics are not searched by meaning", hint="list metrics instead")
        least = self._config.threshold if threshold is None else threshold
        reason_for_text = self._no_vectors_because()
        if reason_for_text is None:
            try:
                vector = await self._question_vector(question)
            except (EmbeddingUnavailableError, EmbeddingFailedError) as error:
                reason_for_text = f"the embedding model is not available ({error.message})"
            else:
                (_, pending), rows = await asyncio.gather(
                    self._reader.count_texts(self._embedder.model),
                    self._nearest_records(vector, filters, limit, least),
                )
                unseen = max(0, pending - self._index.stand_ins)
                note = f"{unseen} texts have no vector yet and were not searched" if unseen else None
                return SearchAnswer(_explained(rows, question), "meaning", least, pending, note)
        rows = await self._matching_records(question, filters, limit, threshold or 0.0)
        _, pending = await self._reader.count_texts(self._embedder.model)
        return SearchAnswer(
            _explained(rows, question),
            "text",
            threshold,
            pending,
            f"matched by words, because {reason_for_text}",
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
        least = self._config.threshold if threshold is None else threshold
        return await self._nearest_records(vector, filters or Filters(), self._checked_limit(limit), least)

    def _no_vectors_because(self) -> str | None:
        if not self._embedder.available:
            return "the embedding model is not available"
        return None if len(self._index) else "no text has a vector yet"

    async def _question_vector(self, question: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        form = self._prepare(question)
        known = self._questions.get(form)
        if known is not None:
            self._questions.move_to_end(form)
            return known
        (chunks,) = await self._embedder.embed([form], urgent=True)
        if not len(chunks):
            raise EmbeddingUnavailableError("the model made no vector of the question")
        mean = np.asarray(chunks, dtype=np.float32).mean(axis=0)
        length = float(np.linalg.norm(mean))
        vector = (mean / length).astype(np.float32) if length else mean
        if self._config.question_cache:
            self._questions[form] = vector
            while len(self._questions) > self._config.question_cache:
                self._questions.popitem(last=False)
        return vector

    async def _nearest_records(
        self, vector: np.ndarray[Any, np.dtype[np.float32]], filters: Filters, limit: int, least: float
    ) -> Rows:
        rows: Rows = []
        for wanted in (*_NEAREST, len(self._index)):
            near = await asyncio.to_thread(self._index.search, vector, wanted)
            passing = {text_id: similarity for text_id, similarity in near if similarity >= least}
            are_all = len(passing) < len(near) or len(near) < wanted or wanted == len(self._index)
            if passing:
                fewest = 0 if are_all else limit
                rows = await self._reader.search_records(passing, filters, limit, fewest=fewest)
            if are_all or len(rows) >= limit:
                break
        return rows

    async def _matching_records(self, question: str, filters: Filters, limit: int, least: float) -> Rows:
        words = words_of(question)[:_MOST_WORDS]
        rows = await self._reader.match_text(words, filters, limit) if words else []
        return [row for row in rows if row["similarity"] >= least]

    async def trace(self, trace_id: UUID, *, limit: int = 10_000) -> dict[str, Any]:
        """Return a trace: its spans as a tree, its log records, its resources and scopes.

        Log records that name a span of the trace stand in that span's ``logs``, the others in the trace's.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        found = await self._records_of(trace_id, limit)

        def arranged() -> dict[str, Any]:
            known = {span["span_id"] for span in found.spans}
            by_span: dict[str, Rows] = defaultdict(list)
            for record in found.logs:
                by_span[record["span_id"] if record["span_id"] in known else ""].append(record)
            # of spans with one id the first gets the log records: each of these stands once
            spans = [{**span, "logs": by_span.pop(span["span_id"], [])} for span in found.spans]
            roots, depth = span_tree(spans)
            return {
                "trace_id": trace_id.hex,
                "span_count": len(found.spans),
                "log_count": len(found.logs),
                "error_count": sum(span["status"] == "error" for span in found.spans),
                "services": sorted({span["service"] for span in found.spans if span["service"]}),
                "depth": depth,
                "roots": roots,
                "logs": by_span.get("", []),
                "resources": found.resources,
                "scopes": found.scopes,
                "truncated": found.truncated,
            }

        return await asyncio.to_thread(arranged)

    async def _records_of(self, trace_id: UUID, limit: int) -> TraceRecords:
        found = await self._reader.trace(trace_id, limit=limit)
        if not found.spans and not found.logs:
            raise NotFoundError(
                f"no trace {trace_id.hex} is stored", hint="list traces; a trace just sent may need a flush"
            )
        return found

    async def outline(self, trace_id: UUID, *, limit: int = 10) -> dict[str, Any]:
        """Return what matters of a trace in a small answer: critical path, first failures, slowest spans.

        Args:
            trace_id: Of the trace; its first 10,000 spans and log records are looked at.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        found = await self._records_of(trace_id, _MOST_RECORDS)
        answer = await asyncio.to_thread(_outline_of, found, limit=self._checked_limit(limit))
        return {"trace_id": trace_id.hex, **answer}

    async def compare(self, a: UUID, b: UUID, *, limit: int = 10) -> dict[str, Any]:
        """Return what differs between two traces: structure, durations, errors, attributes of the roots.

        Args:
            a: The trace that is compared with.
            b: The trace that is asked about.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of one of them is stored.
        """
        first = await self._records_of(a, _MOST_RECORDS)
        second = await self._records_of(b, _MOST_RECORDS)
        return await asyncio.to_thread(_comparison_of, first, second, limit=self._checked_limit(limit))

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
        series = await asyncio.to_thread(_series, answer, step_ns, filters.since_ns, aggregation)
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
        counts = await self._reader.record_counts()
        ready, pending = await self._reader.count_texts(self._embedder.model)
        figures = await self._pipeline.figures() if self._pipeline else PipelineFigures()
        return {
            "records": _by_noun(counts.records),
            "totals": {"stored": _by_noun(counts.stored), "retired": _by_noun(counts.retired)},
            "services": {service: _by_noun(each) for service, each in counts.by_service.items()},
            "traces_estimate": counts.traces,
            "embedding": {
                "model": self._embedder.model,
                "available": self._embedder.available,
                "pending": pending,
                "embedded": ready,
                "texts": ready + pending,
                "indexed": len(self._index),
            },
            "spool": dict(figures.spool),
            "quarantine": dict(figures.quarantine),
            "conservation": {state: dict(each) for state, each in figures.conservation.items()},
            "database": {**counts.database, **figures.database},
            "server": dict(figures.server),
        }

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


# Analyses are imported by the first question that needs them, in its thread: a start does not wait for them.


def _outline_of(found: TraceRecords, *, limit: int) -> dict[str, Any]:
    from receiver.query.outline import outline_of  # noqa: PLC0415 - see above

    return outline_of(found, limit=limit)


def _comparison_of(first: TraceRecords, second: TraceRecords, *, limit: int) -> dict[str, Any]:
    from receiver.query.comparison import comparison_of  # noqa: PLC0415 - see above

    return comparison_of(first, second, limit=limit)


def _explained(rows: Rows, question: str) -> Rows:
    words = words_of(question)
    return [{**row, "why": reason(words, _whole_text(row))} for row in rows]


def _whole_text(row: Mapping[str, Any]) -> str:
    body = row.get("body")
    parts: Sequence[Any] = (row["text"], row["name"], body if isinstance(body, str) else None)
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _by_noun(counts: Mapping[Signal, int]) -> dict[str, int]:
    return {signal.records: counts.get(signal, 0) for signal in Signal}


def _series(
    answer: MetricAnswer, step_ns: int, since_ns: int | None, aggregation: Aggregation | None
) -> list[dict[str, Any]]:
    grouped: dict[tuple[UUID, str], list[MetricPoint]] = defaultdict(list)
    for point in answer.points:
        grouped[point.metric_id, point.attributes].append(point)
    found: list[dict[str, Any]] = []
    for (metric_id, attributes), points in grouped.items():
        metric = answer.descriptors[metric_id]
        figures = stretches(metric, points, step_ns=step_ns, since_ns=since_ns, aggregation=aggregation)
        if figures:
            found.append({**_described(metric), "attributes": orjson.loads(attributes), "points": figures})
    return sorted(found, key=lambda each: (each["service"] or "", str(each["attributes"])))


def _described(metric: MetricDescriptor) -> dict[str, Any]:
    return {
        "service": metric.service,
        "type": metric.type,
        "unit": metric.unit,
        "temporality": TEMPORALITY.get(metric.aggregation_temporality, "unspecified"),
        "monotonic": metric.is_monotonic,
    }
