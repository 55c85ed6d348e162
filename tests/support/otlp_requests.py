"""Export requests with as little in them as a test needs, each record with an id or a name of its own."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from receiver.ports import ExportRequest
from receiver.signals import Signal

T0 = 1_790_000_000_000_000_000
"""A time in 2026, in nanoseconds."""


def text_attribute(key: str, value: str) -> KeyValue:
    """Return an attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def make_span(number: int, **fields: Any) -> Span:
    """Return a valid span whose ids, name and times tell its number; fields given here count instead."""
    usual: dict[str, Any] = {
        "trace_id": (number + 1).to_bytes(16, "big"),
        "span_id": (number + 1).to_bytes(8, "big"),
        "name": f"span {number}",
        "start_time_unix_nano": T0 + number,
        "end_time_unix_nano": T0 + number + 1000,
    }
    return Span(**(usual | fields))


def traces(*spans: Span, service: str = "shop") -> bytes:
    """Return a serialized request."""
    resource = Resource(attributes=[text_attribute("service.name", service)])
    envelope = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[envelope]).SerializeToString()


def logs(*records: LogRecord) -> bytes:
    """Return a serialized request."""
    envelope = ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])
    return ExportLogsServiceRequest(resource_logs=[envelope]).SerializeToString()


def metrics(*some: Metric) -> bytes:
    """Return a serialized request."""
    envelope = ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=some)])
    return ExportMetricsServiceRequest(resource_metrics=[envelope]).SerializeToString()


def make_gauge(number: int, *, points: int = 1) -> Metric:
    """Return a gauge with so many points."""
    data = [NumberDataPoint(time_unix_nano=T0 + n, as_int=n) for n in range(points)]
    return Metric(name=f"gauge {number}", gauge=Gauge(data_points=data))


def span_request(first: int, count: int = 1, **fields: Any) -> ExportRequest:
    """Return a request of spans with the numbers from ``first`` on."""
    return ExportRequest(
        Signal.TRACES, traces(*(make_span(number, **fields) for number in range(first, first + count)))
    )


def log_request(first: int, count: int = 1) -> ExportRequest:
    """Return a request of log records with the numbers from ``first`` on."""
    records = [
        LogRecord(time_unix_nano=T0 + n, body=AnyValue(string_value=f"log {n}"))
        for n in range(first, first + count)
    ]
    return ExportRequest(Signal.LOGS, logs(*records))


def metric_request(first: int, points: int = 1) -> ExportRequest:
    """Return a request of one gauge with so many points."""
    return ExportRequest(Signal.METRICS, metrics(make_gauge(first, points=points)))
