"""The contracts of asking: what a question may hold, who answers it, and what an answer is made of.

``query`` asks a :class:`StoreReader` (``store`` implements it; nothing of SQL is in its methods, so that
another database can), a :class:`VectorIndex` (``embed``), and the running server's :class:`Pipeline` (``app``).
Records in answers are :data:`receiver.ports.Rows`: plain values that JSON can say, described in docs/api.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from receiver.ports import PendingText, Rows
from receiver.signals import Signal

if TYPE_CHECKING:  # as in ports
    import numpy as np
    from numpy.typing import NDArray

AttributeValue = str | int | float | bool
TEMPORALITY = {0: "unspecified", 1: "delta", 2: "cumulative"}
"""OpenTelemetry's words for a metric's aggregation_temporality."""


class Status(StrEnum):
    """Status of a span; a log record is ``error`` from severity ERROR (17) on and ``unset`` below."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


class RecordTable(StrEnum):
    """A table of records as it is exported; its columns are those of docs/exports.md."""

    SPANS = "spans"
    LOGS = "logs"
    METRIC_POINTS = "metric_points"
    HISTOGRAM_POINTS = "histogram_points"
    EXPONENTIAL_HISTOGRAM_POINTS = "exponential_histogram_points"
    SUMMARY_POINTS = "summary_points"
    METRICS_WITHOUT_POINTS = "metrics_without_points"

    @property
    def signal(self) -> Signal:
        """Return the signal of the records."""
        return {"spans": Signal.TRACES, "logs": Signal.LOGS}.get(self.value, Signal.METRICS)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a record must be to be an answer; everything that is set must hold."""

    service: str | None = None
    since_ns: int | None = None
    """Unix time; a span's start, a log record's time (observed time where it has none) is at or after it."""
    until_ns: int | None = None
    """Unix time; the record's time is before it."""
    signal: Signal | None = None
    status: Status | None = None
    min_duration_ns: int | None = None
    """Only spans can pass."""
    name: str | None = None
    """A span's name, a log record's event name; exact."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    """Equal in type and value to an attribute of the record or else of its resource."""
    min_severity: int | None = None
    """Least severity_number; only log records can pass."""
    trace_id: UUID | None = None
    text: str | None = None
    """Found in a log record's body, or in a span's name, whatever the case of the letters."""


@dataclass(frozen=True, slots=True)
class MetricDescriptor:
    """What the points of a series have in common."""

    metric_id: UUID
    name: str
    type: str
    """gauge, sum, histogram, exponential_histogram or summary."""
    unit: str
    description: str
    aggregation_temporality: int
    """0 unspecified, 1 delta, 2 cumulative."""
    is_monotonic: bool
    service: str | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """The buckets of a histogram point of either kind: counts between bounds, lowest first."""

    count: int
    sum: float | None
    min: float | None
    max: float | None
    bounds: tuple[float, ...] = ()
    """Explicit bounds; bucket i is (bounds[i-1], bounds[i]]."""
    counts: tuple[int, ...] = ()
    scale: int | None = None
    """None: explicit bounds. Else: bucket i of ``positive`` is (base^i, base^(i+1)], base = 2^(2^-scale)."""
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive: Mapping[int, int] = field(default_factory=dict)
    negative: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One data point as it was sent."""

    metric_id: UUID
    attributes: str
    """JSON text; with ``metric_id`` it names the series."""
    start_time_unix_nano: int
    time_unix_nano: int
    flags: int
    value: int | float | None = None
    distribution: Distribution | None = None
    quantiles: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class MetricQuestion:
    """Which points of one metric are asked for."""

    name: str
    filters: Filters = field(default_factory=Filters)
    limit: int = 200_000
    """Most raw points that are read; the newest are kept."""


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """Raw points, oldest first in each series, and what describes them."""

    descriptors: Mapping[UUID, MetricDescriptor]
    points: Sequence[MetricPoint]
    """The last point of a series before ``since_ns`` is among them: cumulative series are measured from it."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class TraceRecords:
    """The records of one trace and, by id, the resources and scopes that they name."""

    spans: Rows
    logs: Rows
    resources: Mapping[str, Mapping[str, Any]]
    scopes: Mapping[str, Mapping[str, Any]]
    truncated: bool


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """Exact counts of the rows that are in the store at one moment."""

    records: Mapping[Signal, int]
    by_service: Mapping[str, Mapping[Signal, int]]
    """A record whose resource has no service.name counts under ``""``."""
    stored: Mapping[Signal, int]
    """Cumulative: never lowered by retention."""
    retired: Mapping[Signal, int]
    traces: int
    """Distinct trace ids, estimated within a few percent."""
    database: Mapping[str, int]
    """``bytes``, ``used_bytes``."""


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """The answer of a user's SQL: JSON-ready values."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """Some vectors of the store, row by row."""

    text_ids: list[UUID]
    chunks: NDArray[np.uint16]
    vectors: NDArray[np.float32]
    """Shape ``(len(text_ids), dimension)``."""


class StoreReader(Protocol):
    """**Protocol:** everything that is read from a store.

    Every method raises ``StoreUnavailableError`` or ``BusyError`` (retryable) when the store cannot be asked now,
    and ``QueryLimitError`` at its time or memory limit. Cancellation: the question is stopped in the store.
    Threads: the event loop's thread; nothing blocks it.
    """

    async def search_records(self, near: NearTexts, filters: Filters, limit: int) -> Rows:
        """Return the best record of each trace that has a text near enough, with ``similarity`` and ``matches``.

        Most similar first, of equals the newest. Records without a trace are grouped by their text. The index is asked
        in the store's thread, for as many texts as it takes; ``matches`` counts the records of those that were
        looked at.
        """
        ...

    async def match_text(self, words: Sequence[str], filters: Filters, limit: int) -> Rows:
        """Return as ``search_records`` does; similarity is the share of the words that were found."""
        ...

    async def trace(self, trace_id: UUID, *, limit: int) -> TraceRecords:
        """Return the spans and log records of a trace, earliest first, at most ``limit`` of each."""
        ...

    async def trace_spans(self, trace_ids: Sequence[UUID], *, limit: int) -> Rows:
        """Return what spans of some traces say in short, earliest first, at most ``limit`` of each.

        ``trace_id``, ``count`` (all spans of the trace), ``name``, ``start``, ``attributes``, ``service``,
        ``resource`` (its attributes), ``status`` (OTLP's code), ``status_message``.
        """
        ...

    async def services(self) -> Rows:
        """Return each service's name, counts of records, and times of its first and last span or log record."""
        ...

    async def traces(self, filters: Filters, limit: int) -> Rows:
        """Return the traces that have a span that passes the filters, newest first."""
        ...

    async def logs(self, filters: Filters, limit: int) -> Rows:
        """Return log records, newest first."""
        ...

    async def metric_names(self, filters: Filters, limit: int) -> Rows:
        """Return each metric's name, type, unit, description, services and number of points and series."""
        ...

    async def metric_points(self, question: MetricQuestion) -> MetricAnswer:
        """Return the raw points of a metric."""
        ...

    async def window_figures(self, question: WindowQuestion) -> WindowFigures:
        """Return what happened in a window of time and in its baseline, counted side by side.

        Both are seen at one moment. Nothing in the answer grows with the number of records.
        """
        ...

    async def session_ids(self, filters: SessionFilters, limit: int) -> list[str]:
        """Return the agents' sessions, the one with the newest record first."""
        ...

    async def session_records(self, session_ids: Sequence[str], limit: int) -> SessionRecords:
        """Return the records of these sessions, at most ``limit`` in all; ids that do not exist are not there.

        Records of a session's traces that name no session themselves belong to it.
        """
        ...

    async def record_counts(self) -> RecordCounts:
        """Return exact counts. Takes the longer the more is stored: for people, not for what asks all the time."""
        ...

    async def stored_totals(self) -> Mapping[Signal, int]:
        """Return how many records were ever stored, without a look at any of them."""
        ...

    def record_stream(
        self, table: RecordTable, since_ns: int | None, until_ns: int | None
    ) -> AsyncGenerator[bytes]:
        """Yield a table's records with what they refer to, as one Arrow IPC stream.

        Records whose time is in ``[since_ns, until_ns)``, as they were at one moment, in no order. One that is not
        taken from for a minute ends with ``QueryLimitError``.
        """
        ...

    async def sql(self, query: str, *, rows: int) -> SqlAnswer:
        """Return the answer of a user's statement.

        Raises:
            QueryRefusedError: It is not one read-only statement, or reaches for what is not telemetry.
            QueryLimitError: It ran into its time or memory limit.
            QueryError: The store found a mistake in it.
        """
        ...

    async def pending_texts(self, model: str, limit: int) -> list[PendingText]:
        """Return distinct texts that have no vector of this model."""
        ...

    async def count_texts(self, model: str) -> tuple[int, int]:
        """Return how many distinct texts have a vector of this model, and how many wait for one."""
        ...

    def vectors(self, model: str, *, batch_rows: int = 8192) -> Iterator[VectorBatch]:
        """Yield every vector of this model, a text's chunks possibly in different batches.

        Threads: blocks; call it in a worker thread.
        """
        ...

    def close(self) -> None:
        """Stop taking questions; safe to call twice."""
        ...


class VectorIndex(Protocol):
    """**Protocol:** finds the vectors nearest to one; always rebuildable from the store. Blocks; threads: any."""

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[UUID, float]]:
        """Return texts and cosine similarities, most similar first; a text is there once, with its best chunk.

        Threads: any; takes milliseconds and releases the GIL for most of them.
        """
        ...

    def similarities(self, vector: NDArray[np.float32], texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the cosine of the best chunk of each of these texts, -inf for those that are not held.

        Args:
            vector: As for ``search``.
            texts: The low 64 bits of their ids; about 2 µs for each.
        """
        ...

    def __len__(self) -> int:
        """Return the number of texts that can be found."""
        ...

    @property
    def stand_ins(self) -> int:
        """Return how many of them are found by an older vector, until they have one of the present model."""
        ...


@dataclass(frozen=True, slots=True)
class NearTexts:
    """The texts of an index that are near to a question's vector."""

    index: VectorIndex
    vector: NDArray[np.float32]
    least: float
    """Texts that are less similar are not near."""

    def first(self, count: int) -> tuple[dict[UUID, float], bool]:
        """Return those among the ``count`` most similar texts that are near, and whether these are all that are."""
        found = self.index.search(self.vector, count)
        near = {text_id: similarity for text_id, similarity in found if similarity >= self.least}
        return near, len(near) < len(found) or len(found) < count or count >= len(self.index)

    def among(self, texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the similarity of each of these texts, -inf for those that are not near; see ``VectorIndex``."""
        similarities = self.index.similarities(self.vector, texts)
        similarities[similarities < self.least] = float("-inf")
        return similarities


@dataclass(frozen=True, slots=True)
class PipelineFigures:
    """What only the running server knows; ``/api/v1/stats`` shows it as it is."""

    spool: Mapping[str, Any] = field(default_factory=dict)
    quarantine: Mapping[str, Any] = field(default_factory=dict)
    conservation: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    database: Mapping[str, Any] = field(default_factory=dict)
    """``bytes`` of the files, the write-ahead log included, which the store itself does not count."""


class Pipeline(Protocol):
    """**Protocol:** the running server, as far as a question can concern it."""

    async def flush(self, *, embeddings: bool) -> None:
        """Return when everything acknowledged before the call is stored, and embedded if asked for.

        Raises:
            RetryableError: It cannot be stored, or embedded, now.
        """
        ...

    async def requeue(self) -> int:
        """Put every quarantined request back into the queue; return how many."""
        ...

    async def figures(self) -> PipelineFigures:
        """Return spool, quarantine, totals and backlog."""
        ...


class Health(Protocol):
    """**Protocol:** says whether the receiver does its work."""

    def problems(self) -> list[str]:
        """Return why it cannot accept or has stopped storing, a sentence each; empty while all is well.

        Threads: the event loop's thread; answers from memory.
        """
        ...


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One span, log record or number data point that belongs to an agent's session."""

    signal: Signal
    session_id: str | None
    """What the record itself says (``session.id``, ``gen_ai.conversation.id``, ``conversation.id``, …)."""
    service: str
    """``service.name``; empty where the resource has none."""
    scope: str
    """Name of the instrumentation scope."""
    name: str
    """Span name, event name (the attribute ``event.name`` where the field is empty), or metric name."""
    time_ns: int
    """Start of a span, time of a log record or of a data point."""
    end_ns: int
    """End of a span; otherwise ``time_ns``."""
    trace_id: str
    """Hex; empty where there is none."""
    span_id: str
    parent_span_id: str
    status: Status
    status_message: str
    attributes: Mapping[str, Any]
    body: Any = None
    """Of a log record."""
    events: Rows = field(default_factory=list)
    """Of a span: dicts with ``name``, ``time_unix_nano`` and ``attributes``."""
    value: int | float | None = None
    """Of a number data point."""
    start_time_ns: int = 0
    """Start of the interval of a data point."""
    aggregation_temporality: int = 0
    """Of a data point: 1 delta, 2 cumulative."""
    resource: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the resource."""


@dataclass(frozen=True, slots=True)
class SessionRecords:
    """Everything that is stored about some sessions, earliest first."""

    records: Mapping[str, Sequence[AgentRecord]]
    """By session id. A trace that names no session is a session of its own, under its trace id in hex."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class SessionFilters:
    """Which sessions are asked for; everything that is set must hold."""

    service: str | None = None
    since_ns: int | None = None
    """The session has a record at or after this Unix time."""
    until_ns: int | None = None
    """The session has a record before this Unix time."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A stretch of time: from ``since_ns`` on, before ``until_ns`` (Unix times)."""

    since_ns: int
    until_ns: int

    @property
    def length_ns(self) -> int:
        """Return how long it is."""
        return self.until_ns - self.since_ns


@dataclass(frozen=True, slots=True)
class WindowQuestion:
    """Which records of two stretches of time are counted."""

    window: TimeWindow
    baseline: TimeWindow
    """What ``window`` is compared with; the two do not overlap."""
    service: str | None = None
    groups: int = 2000
    """Most groups of each kind that are returned; the ones with the most records are kept."""
    examples: int = 3
    """Most example traces of each group."""


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """The spans of one operation in one stretch of time."""

    count: int
    errors: int
    p50_ms: float | None
    """Quantiles of the durations, estimated; None where no span has one."""
    p95_ms: float | None
    p99_ms: float | None
    timed: int
    """Spans that have a duration (end not before start)."""
    above_median: int
    """Of these, how many are longer than the median of both stretches together."""
    above_p90: int
    """Of these, how many are longer than the 90th percentile of both stretches together."""


@dataclass(frozen=True, slots=True)
class OperationPair:
    """One operation in the window and in the baseline."""

    service: str
    name: str
    kind: str | int
    window: OperationFigures
    baseline: OperationFigures
    slowest: tuple[str, ...]
    """Traces of its longest spans in the window, or in the baseline where the window has none."""
    failed: tuple[str, ...]
    """Traces of its newest failed spans in the window."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed spans, or log records at error level, that say nearly the same."""

    type: str
    """``exception.type``, else ``error.type``; empty where neither is there. Event name of a log record."""
    message: str
    """As one of them says it, cut."""
    count: int
    """In the window."""
    baseline_count: int
    first_ns: int
    last_ns: int
    services: tuple[str, ...]
    traces: tuple[str, ...]
    """The newest of the window."""


@dataclass(frozen=True, slots=True)
class FailureOrigin:
    """Where failed traces failed first."""

    service: str
    name: str
    kind: str | int
    message: str
    traces: int
    """Failed traces of the window whose first failing span is one of these."""
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceWindow:
    """A resource that sent spans or log records in one of the two stretches."""

    service: str
    attributes: Mapping[str, Any]
    count: int
    """Records in the window."""
    baseline_count: int
    first_ns: int
    """Of its first record in the window, or in the baseline where the window has none."""


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The calls of one model in one stretch of time, as spans tell of them."""

    calls: int
    errors: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ModelPair:
    """One model in the window and in the baseline."""

    model: str
    window: ModelFigures
    baseline: ModelFigures
    largest: tuple[str, ...]
    """Traces of the calls with the most tokens in the window."""


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """Everything that is compared between a window and its baseline."""

    operations: Sequence[OperationPair]
    failures: Sequence[FailureGroup]
    """Of spans."""
    origins: Sequence[FailureOrigin]
    failed_traces: int
    """Traces of the window with a failed span that were looked through for ``origins``."""
    messages: Sequence[FailureGroup]
    """Of log records at error level."""
    resources: Sequence[ResourceWindow]
    models: Sequence[ModelPair]
    truncated: bool
    """There were more groups of some kind than were asked for, or more failed traces than are looked through."""
