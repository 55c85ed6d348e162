"""A program that exports all three signals with the OpenTelemetry Python SDK and prints what it sent, as JSON.

    python -m tests.interop.python_client grpc|http ENDPOINT

What is printed is taken from the SDK's own records in the moment in which the exporter gets them; see
python_records. ``exported`` holds what each exporter said. Spans travel plain, log records in gzip, points over HTTP
in deflate.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics import export as m
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tests.interop.python_records import Json, log_record, point_records, span_record

VALUES: dict[str, Any] = {
    "text": 'späce ✓ "quoted" \\ \n tab\t',
    "empty text": "",
    "truth": True,
    "falsehood": False,
    "whole": 7,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "fraction": 0.1,
    "whole double": 2.0,
    "huge": 1.7976931348623157e308,
    "minus nothing": -0.0,
    "not a number": math.nan,
    "endless": -math.inf,
    "bytes": b"\x00\xff\x80 bytes",
    "texts": ["a", "", "ü"],
    "wholes": [1, -2, 3],
    "fractions": [1.5, 2.0],
    "truths": [True, False],
    "nothing in it": [],
    "map": {"inner": {"deep": [1, "two", {"three": 3.0}]}, "other": None},
    "mixed": ["a", 1, 2.5, True],
}  # fmt: skip


class SpanRecorder(SpanExporter):
    """An exporter that notes what another one is given."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Export with ``exporter``."""
        self._exporter = exporter
        self.sent: list[Json] = []
        self.results: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Note, and export."""
        self.sent += [span_record(span) for span in spans]
        result = self._exporter.export(spans)
        self.results.append(result.name)
        return result

    def shutdown(self) -> None:
        """Close the exporter."""
        self._exporter.shutdown()


class LogRecorder(LogRecordExporter):
    """An exporter that notes what another one is given."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        """Export with ``exporter``."""
        self._exporter = exporter
        self.sent: list[Json] = []
        self.results: list[str] = []

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Note, and export."""
        self.sent += [log_record(record) for record in batch]
        result = self._exporter.export(batch)
        self.results.append(result.name)
        return result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Close the exporter."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class MetricRecorder(m.MetricExporter):
    """An exporter that notes what another one is given."""

    def __init__(self, exporter: m.MetricExporter, temporality: dict[type, m.AggregationTemporality]) -> None:
        """Export with ``exporter``."""
        super().__init__(preferred_temporality=temporality)
        self._exporter = exporter
        self.sent: list[Json] = []
        self.results: list[str] = []

    def export(
        self, metrics_data: m.MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> m.MetricExportResult:
        """Note, and export."""
        self.sent += point_records(metrics_data)
        result = self._exporter.export(metrics_data, timeout_millis)
        self.results.append(result.name)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Close the exporter."""
        self._exporter.shutdown(timeout_millis)


def send_spans(provider: TracerProvider) -> None:
    """End some spans: a tree over two scopes, with events, links, every kind and status."""
    tracer = provider.get_tracer("shop", "1.2.3", "https://opentelemetry.io/schemas/1.30.0", {"scope": True})
    other = provider.get_tracer("library")
    state = TraceState([("vendor", "a:1;b"), ("other", "x")])
    remote = SpanContext(0xA1B2C3D4E5F60718293A4B5C6D7E8F90, 0x1122334455667788, True, TraceFlags(1), state)
    parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    root = tracer.start_span(
        "POST /checkout", parent, SpanKind.SERVER, VALUES, start_time=1_790_000_000_000_000_001
    )
    inside = trace.set_span_in_context(root)
    for number, kind in enumerate(SpanKind):
        link = Link(remote, {"why": "follows", "number": number})
        with other.start_as_current_span(
            f"step {kind.name}", inside, kind, links=[link] * (number % 3)
        ) as span:
            span.set_attribute("number", number)
    failed = tracer.start_span("charge", inside, SpanKind.CLIENT)
    failed.add_event("retry", {"attempt": 1, "delays": [0.5, 1.0]}, timestamp=1_790_000_000_000_000_002)
    failed.record_exception(ValueError("card refused: 4111"))
    failed.set_status(Status(StatusCode.ERROR, "card refused"))
    failed.end()
    root.set_status(Status(StatusCode.OK))
    root.end(end_time=1_790_000_000_250_000_003)


def send_logs(provider: LoggerProvider) -> None:
    """Emit some log records: a body of each type, with and without a trace."""
    logger = provider.get_logger("shop", "1.2.3", "https://opentelemetry.io/schemas/1.30.0", {"scope": "log"})
    for number, (key, body) in enumerate(VALUES.items()):
        logger.emit(
            timestamp=1_790_000_000_000_000_000 + number,
            observed_timestamp=1_790_000_001_000_000_000,
            severity_number=list(SeverityNumber)[number],
            severity_text=f"level {number}",
            body=body,
            attributes={"key": key, "value": body},
            event_name=f"shop.{number}",
        )
    of_trace = trace.set_span_in_context(
        trace.NonRecordingSpan(
            SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0x00F067AA0BA902B7, False, TraceFlags(1))
        )
    )
    logger.emit(context=of_trace, body="in a trace", severity_number=SeverityNumber.ERROR)
    logger.emit(observed_timestamp=1_790_000_001_000_000_007)


def send_points(provider: MeterProvider, tracer: trace.Tracer) -> None:
    """Record with each instrument, within a span, so that there are exemplars; two collections."""
    meter = provider.get_meter("shop", "1.2.3", "https://opentelemetry.io/schemas/1.30.0", {"scope": 1})

    def observed(_: CallbackOptions) -> list[Observation]:
        return [Observation(36.6, {"sensor": "a"}), Observation(-1.25, {"sensor": "b"})]

    meter.create_observable_gauge("temperature", [observed], "Cel", "How warm it is")
    counter = meter.create_counter("orders", "{order}", "Orders placed")
    amount = meter.create_counter("turnover", "EUR")
    basket = meter.create_up_down_counter("baskets", "{basket}")
    level = meter.create_gauge("level", "1")
    duration = meter.create_histogram("duration", "ms", explicit_bucket_boundaries_advisory=[1, 2.5, 10])
    size = meter.create_histogram("size", "By")
    for turn in range(2):
        with tracer.start_as_current_span("measuring"):
            counter.add(3, {"paid": True, "country": "DE"})
            counter.add(4, {"paid": False, "country": "DE"})
            amount.add(12.5 + turn)
            basket.add(5)
            basket.add(-7)
            level.set(turn, {"texts": ["a", "b"]})
            for value in (0.5, 2.5, 3, 1000, -4.0):
                duration.record(value, {"route": "/cart"})
                size.record(value * 3)
            size.record(0)
        provider.force_flush()


def main() -> None:
    """Run from the command line."""
    protocol, endpoint = sys.argv[1:]
    span_exporter: SpanExporter
    log_exporter: LogRecordExporter
    metric_exporters: list[m.MetricExporter]
    cumulative: dict[type, m.AggregationTemporality] = dict.fromkeys(
        (Counter, UpDownCounter, Histogram), m.AggregationTemporality.CUMULATIVE
    )
    delta: dict[type, m.AggregationTemporality] = dict.fromkeys(
        (Counter, Histogram), m.AggregationTemporality.DELTA
    )
    temporalities = [cumulative, delta]
    if protocol == "grpc":
        span_exporter = GrpcSpanExporter(f"http://{endpoint}", insecure=True)
        log_exporter = GrpcLogExporter(f"http://{endpoint}", insecure=True, compression=grpc.Compression.Gzip)
        metric_exporters = [
            GrpcMetricExporter(f"http://{endpoint}", insecure=True, preferred_temporality=each)
            for each in temporalities
        ]
    else:
        base = f"http://{endpoint}/v1/"
        span_exporter = HttpSpanExporter(base + "traces")
        log_exporter = HttpLogExporter(base + "logs", compression=Compression.Gzip)
        metric_exporters = [
            HttpMetricExporter(base + "metrics", preferred_temporality=each, compression=Compression.Deflate)
            for each in temporalities
        ]
    resource = Resource(
        {"service.name": f"python-{protocol}", "service.namespace": "interop", "service.instance.id": "1", "pids": [1, 2]},
        "https://opentelemetry.io/schemas/1.30.0",
    )  # fmt: skip
    spans, logs = SpanRecorder(span_exporter), LogRecorder(log_exporter)
    points = [MetricRecorder(e, t) for e, t in zip(metric_exporters, temporalities, strict=True)]
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    loggers = LoggerProvider(resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
    send_spans(tracers)
    send_logs(loggers)
    exponential = View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation(max_size=8))
    for recorder in points:
        reader = m.PeriodicExportingMetricReader(recorder, math.inf)
        meters = MeterProvider([reader], resource, views=[exponential])
        send_points(meters, tracers.get_tracer("shop"))
        meters.shutdown()
    tracers.shutdown()
    loggers.shutdown()
    json.dump(
        {
            "spans": spans.sent,
            "logs": logs.sent,
            "points": [point for recorder in points for point in recorder.sent],
            "exported": [
                *spans.results,
                *logs.results,
                *(r for recorder in points for r in recorder.results),
            ],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
