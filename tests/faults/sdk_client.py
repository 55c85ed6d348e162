"""A client that keeps sending numbered records with the OpenTelemetry Python SDK's exporters.

    python -m tests.faults.sdk_client grpc|http ENDPOINT FIRST RECORDS PAUSE_S

Each signal has an exporter in a thread of its own, which waits ``PAUSE_S`` between two requests. Request ``n``
holds the records from ``n * RECORDS`` on; no number is used twice. After each export a line ``SIGNAL REQUEST``
says that the exporter reported success, ``SIGNAL REQUEST gave-up`` that it did not: after its own retries, with
its own patience. Ends, with what is in hand, when standard input is closed.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
from collections.abc import Callable, Sequence

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import export as m
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

_TIME = 1_790_000_000_000_000_000
_RESOURCE = Resource({"service.name": "numbered"})
_SCOPE = InstrumentationScope("numbered")
Export = Callable[[range], bool]
"""Exports the records of these numbers; returns whether the exporter reported success."""


def _spans(exporter: SpanExporter) -> Export:
    def span(number: int) -> ReadableSpan:
        context = SpanContext(number + 1, number + 1, is_remote=False, trace_flags=TraceFlags(1))
        return ReadableSpan(
            f"span {number % 7}", context, resource=_RESOURCE, instrumentation_scope=_SCOPE,
            start_time=_TIME + number, end_time=_TIME + number + 1,
        )  # fmt: skip

    return lambda numbers: exporter.export([span(n) for n in numbers]) is SpanExportResult.SUCCESS


def _logs(exporter: LogRecordExporter) -> Export:
    def record(number: int) -> ReadableLogRecord:
        said = LogRecord(timestamp=_TIME, observed_timestamp=number + 1, body="said")
        return ReadableLogRecord(said, _RESOURCE, _SCOPE)

    return lambda numbers: exporter.export([record(n) for n in numbers]) is LogRecordExportResult.SUCCESS


def _points(exporter: m.MetricExporter) -> Export:
    def collected(points: Sequence[m.NumberDataPoint]) -> m.MetricsData:
        metric = m.Metric("counted", None, None, m.Gauge(points))
        return m.MetricsData([m.ResourceMetrics(_RESOURCE, [m.ScopeMetrics(_SCOPE, [metric], "")], "")])

    def export(numbers: range) -> bool:
        points = [m.NumberDataPoint({}, _TIME, _TIME + number, number + 1) for number in numbers]
        return exporter.export(collected(points)) is m.MetricExportResult.SUCCESS

    return export


def _exports(protocol: str, endpoint: str) -> dict[str, Export]:
    url = f"http://{endpoint}"
    if protocol == "grpc":
        return {
            "traces": _spans(GrpcSpanExporter(url, insecure=True)),
            "logs": _logs(GrpcLogExporter(url, insecure=True)),
            "metrics": _points(GrpcMetricExporter(url, insecure=True)),
        }
    return {
        "traces": _spans(HttpSpanExporter(f"{url}/v1/traces")),
        "logs": _logs(HttpLogExporter(f"{url}/v1/logs", compression=Compression.Gzip)),
        "metrics": _points(HttpMetricExporter(f"{url}/v1/metrics")),
    }


def _send(signal: str, export: Export, first: int, records: int, pause: Callable[[], bool]) -> None:
    for number in itertools.count(first):
        done = export(range(number * records, (number + 1) * records))
        sys.stdout.write(f"{signal} {number}{'' if done else ' gave-up'}\n")  # one write: lines do not mix
        sys.stdout.flush()
        if pause():
            return


def main() -> None:
    """Run from the command line."""
    protocol, endpoint, first, records, pause_s = sys.argv[1:6]
    logging.disable()  # each failed attempt would be told with a stack trace
    end = threading.Event()

    def pause() -> bool:
        return end.wait(float(pause_s))

    threads = [
        threading.Thread(target=_send, args=(signal, export, int(first), int(records), pause))
        for signal, export in _exports(protocol, endpoint).items()
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    end.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
