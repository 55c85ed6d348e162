"""Every metric of the receiver, declared once; docs/metrics.md lists them and a test compares.

The Collector's names are used where it has one, so that its dashboards work; ours start with
``otlp_receiver_``. Labels are bounded enums: a signal, a transport, a reason in code.
Each :class:`Metrics` has a registry of its own, so that two receivers can live in one process.
Threads: every method may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from receiver.ports import Transport
from receiver.signals import Signal

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Refusal(StrEnum):
    """Why a whole request was refused; a label, so this list is all there ever is."""

    BUSY = "busy"
    STOPPING = "stopping"
    DISK = "disk"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    TOO_MANY_RECORDS = "too_many_records"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"
    UNAUTHENTICATED = "unauthenticated"
    ORIGIN = "origin"


class ScrapedFigures(Protocol):
    """**Protocol:** gives the figures that live elsewhere (spool, store, queues) at scrape time."""

    def gauges(self) -> Mapping[str, float]:
        """Return values of the gauges in ``SCRAPED_GAUGES`` by name."""
        ...

    def conservation(self) -> Mapping[str, Mapping[Signal, int]]:
        """Return accepted, stored, duplicates, in_spool and quarantined records, per signal."""
        ...


SCRAPED_GAUGES: Mapping[str, str] = {
    "otelcol_exporter_queue_size": "Payload bytes in the spool.",
    "otelcol_exporter_queue_capacity": "Payload bytes that the spool may hold.",
    "otlp_receiver_spool_waiting_requests": "Requests in the spool that are not in the store yet.",
    "otlp_receiver_waiting_bytes": "Bytes of requests in memory that are not on disk yet.",
    "otlp_receiver_waiting_capacity_bytes": "Upper bound of otlp_receiver_waiting_bytes.",
    "otlp_receiver_quarantined_requests": "Acknowledged requests that could not be loaded.",
    "otlp_receiver_damaged_requests": "Those of them whose bytes changed on disk.",
    "otlp_receiver_embedding_pending_texts": "Distinct texts that have no vector yet.",
    "otlp_receiver_texts_with_vector": "Distinct texts that have a vector.",
    "otlp_receiver_rows_with_known_place": "Spans and log records that a question by id finds without looking for them.",
    "otlp_receiver_store_bytes": "Size of the database file and its write-ahead log.",
    "otlp_receiver_store_writable": "1 unless the last store transaction or checkpoint failed.",
    "otlp_receiver_disk_free_bytes": "Free bytes on the disk of the data directory.",
    "otlp_receiver_store_disk_free_bytes": "Free bytes on the disk of the database.",
    "otlp_receiver_last_store_timestamp_seconds": "Unix time of the last completed store transaction.",
    "otlp_receiver_certificate_expiry_timestamp_seconds": "Unix time at which the listeners' certificate ends.",
    "otlp_receiver_certificate_reload_failed": "1 while new certificate files cannot be used and the old stay.",
    "otelcol_process_memory_rss": "Resident memory of the receiver's own process, in bytes.",
    "otelcol_process_uptime": "Seconds since the receiver started.",
    "otelcol_process_cpu_seconds": "CPU seconds of the receiver's own process.",
}
_CONSERVATION = "otlp_receiver_conservation_records"


class _Scraped(Collector):
    """Turns :class:`ScrapedFigures` into samples, at the moment of a scrape."""

    def __init__(self, figures: ScrapedFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        values = self._figures.gauges()
        for name, text in SCRAPED_GAUGES.items():
            if name in values:
                yield GaugeMetricFamily(name, text, value=values[name])
        family = CounterMetricFamily(
            _CONSERVATION,
            "Totals that survive restarts: accepted = stored + duplicates + in_spool + quarantined + not_restored.",
            labels=["state", "signal"],
        )
        for state, per_signal in self._figures.conservation().items():
            for signal, count in per_signal.items():
                family.add_metric([state, signal.value], count)
        yield family


class Metrics:
    """The receiver's counters, histograms and scraped gauges, on a registry of their own."""

    def __init__(self) -> None:
        """Declare every metric."""
        self.registry = CollectorRegistry()
        r = self.registry
        labels = ("receiver", "transport")
        self._accepted = {
            s: Counter(f"otelcol_receiver_accepted_{s.records}", f"Accepted {s.records}.", labels, registry=r)
            for s in Signal
        }
        self._rejected = Counter(
            "otlp_receiver_rejected_records",
            "Single records refused for good and counted in partial_success.",
            ("signal", "transport"),
            registry=r,
        )
        self._refused = Counter(
            "otlp_receiver_refused_requests",
            "Whole requests that were not accepted.",
            ("signal", "transport", "reason"),
            registry=r,
        )
        self._duplicates = Counter(
            "otlp_receiver_duplicate_requests",
            "Retries of requests that had been accepted already.",
            ("signal", "transport"),
            registry=r,
        )
        self._repaired = Counter(
            "otlp_receiver_warned_requests",
            "Requests accepted with a warning (repaired UTF-8, values nested too deep ...).",
            ("signal", "transport"),
            registry=r,
        )
        self._redacted = Counter(
            "otlp_receiver_redacted_values",
            "Values that redaction rules dropped, hashed or masked.",
            ("action",),
            registry=r,
        )
        self._answer_seconds = Histogram(
            "otlp_receiver_answer_seconds",
            "From the last byte of a request to its answer.",
            ("signal", "transport"),
            buckets=_SECONDS,
            registry=r,
        )
        self._commit_seconds = Histogram(
            "otlp_receiver_spool_commit_seconds", "One synced spool commit.", buckets=_SECONDS, registry=r
        )
        self._decode_seconds = Histogram(
            "otlp_receiver_decode_seconds", "Decoding one group.", buckets=_SECONDS, registry=r
        )
        self._load_seconds = Histogram(
            "otlp_receiver_store_load_seconds", "One store transaction.", buckets=_SECONDS, registry=r
        )
        self._load_errors = Counter(
            "otlp_receiver_store_load_errors",
            "Store transactions that failed and are tried again.",
            registry=r,
        )
        self._reopened = Counter(
            "otlp_receiver_store_reopened",
            "Databases that gave up, because their disk failed, and were opened again.",
            registry=r,
        )
        self._checkpoint_seconds = Histogram(
            "otlp_receiver_store_checkpoint_seconds", "One store checkpoint.", buckets=_SECONDS, registry=r
        )
        self._loaded = {
            s: Counter(
                f"otelcol_exporter_sent_{s.records}", f"Stored {s.records}.", ("exporter",), registry=r
            )
            for s in Signal
        }
        self._embedded = Counter("otlp_receiver_embedded_texts", "Texts that got their vectors.", registry=r)
        self._embed_errors = Counter(
            "otlp_receiver_embed_errors", "Batches that failed and are retried.", registry=r
        )
        self._retired = Counter(
            "otlp_receiver_retired_records", "Records deleted by retention.", ("signal",), registry=r
        )
        self._query_seconds = Histogram(
            "otlp_receiver_query_seconds",
            "Answering one question.",
            ("question",),
            buckets=_SECONDS,
            registry=r,
        )
        self._refused_questions = Counter(
            "otlp_receiver_refused_questions",
            "Requests that the query listener refused before it looked at what they ask.",
            ("reason",),
            registry=r,
        )
        self.spool_writable = Gauge(
            "otlp_receiver_spool_writable", "1 while the last spool commit succeeded.", registry=r
        )
        self.spool_writable.set(1)
        # Children of every request: finding one by its labels costs more than counting.
        self._accepted_by = cache(lambda s, transport: self._accepted[s].labels("otlp", transport.value))
        self._answer_seconds_by = cache(
            lambda s, transport: self._answer_seconds.labels(s.value, transport.value)
        )

    def observe(self, figures: ScrapedFigures) -> None:
        """Add the figures that are read at scrape time."""
        self.registry.register(_Scraped(figures))

    def accepted(self, signal: Signal, transport: Transport, records: int) -> None:
        """Count records that are on disk and acknowledged."""
        self._accepted_by(signal, transport).inc(records)

    def rejected(self, signal: Signal, transport: Transport, records: int) -> None:
        """Count records reported in partial_success."""
        self._rejected.labels(signal.value, transport.value).inc(records)

    def refused(self, signal: Signal, transport: Transport, reason: Refusal) -> None:
        """Count one request that was not accepted."""
        self._refused.labels(signal.value, transport.value, reason.value).inc()

    def duplicate(self, signal: Signal, transport: Transport) -> None:
        """Count one retry that was recognised."""
        self._duplicates.labels(signal.value, transport.value).inc()

    def warned(self, signal: Signal, transport: Transport) -> None:
        """Count one request accepted with a warning."""
        self._repaired.labels(signal.value, transport.value).inc()

    def redacted(self, action: str, values: int) -> None:
        """Count values that redaction rules treated; ``action`` is drop, hash or mask."""
        self._redacted.labels(action).inc(values)

    def answered(self, signal: Signal, transport: Transport, seconds: float) -> None:
        """Record how long the answer to an accepted request took."""
        self._answer_seconds_by(signal, transport).observe(seconds)

    def committed(self, seconds: float) -> None:
        """Record one spool commit."""
        self._commit_seconds.observe(seconds)

    def decoded(self, seconds: float) -> None:
        """Record the decoding of one group."""
        self._decode_seconds.observe(seconds)

    def loaded(self, records: Mapping[Signal, int], seconds: float) -> None:
        """Record one completed store transaction."""
        self._load_seconds.observe(seconds)
        for signal, count in records.items():
            self._loaded[signal].labels("duckdb").inc(count)

    def load_failed(self) -> None:
        """Count a store transaction that failed and is tried again."""
        self._load_errors.inc()

    def store_reopened(self) -> None:
        """Count a database that had given up and is open again."""
        self._reopened.inc()

    def checkpointed(self, seconds: float) -> None:
        """Record one completed checkpoint."""
        self._checkpoint_seconds.observe(seconds)

    def embedded(self, texts: int) -> None:
        """Count texts that got their vectors."""
        self._embedded.inc(texts)

    def embed_failed(self) -> None:
        """Count a batch of texts that failed and is tried again."""
        self._embed_errors.inc()

    def retired(self, records: Mapping[Signal, int]) -> None:
        """Count records deleted by retention."""
        for signal, count in records.items():
            self._retired.labels(signal.value).inc(count)

    def queried(self, question: str, seconds: float) -> None:
        """Record how long one question took; ``question`` is a name from the query service."""
        self._query_seconds.labels(question).observe(seconds)

    def question_refused(self, reason: Refusal) -> None:
        """Count one request to the query listener that did not get through to its question."""
        self._refused_questions.labels(reason.value).inc()

    def render(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)
