"""Small records: spans of 8 attributes, log records of 4, data points of 3; one service."""

from __future__ import annotations

import random

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks.attributes import add_attributes
from tests.benchmarks.template import Marks

_ROUTES = ("/api/products/{id}", "/api/cart", "/api/checkout", "/api/ads", "/api/recommendations")
_SERVICE = [("service.name", "checkout")]
_SCOPE = "io.opentelemetry.bench"


def small_traces(spans: int, chance: random.Random) -> tuple[ExportTraceServiceRequest, Marks]:
    """Return a request of so many spans."""
    marks, request = Marks(), ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    add_attributes(resource.resource.attributes, _SERVICE)
    scope = resource.scope_spans.add(scope={"name": _SCOPE})
    for number in range(spans):
        span = scope.spans.add(
            trace_id=marks.trace_id(), span_id=marks.span_id(), parent_span_id=marks.span_id(),
            name=f"GET {_ROUTES[number % 5]}", kind=2, start_time_unix_nano=marks.time(chance.randrange(10**8)),
            end_time_unix_nano=marks.time(0),
        )  # fmt: skip
        add_attributes(
            span.attributes,
            (
                ("http.request.method", "GET"),
                ("http.route", _ROUTES[number % 5]),
                ("url.path", f"/api/products/{chance.randrange(10**6)}"),
                ("server.address", "frontend-proxy"),
                ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
                ("http.response.status_code", 200 if number % 50 else 500),
                ("server.port", 8080),
                ("app.duration_ratio", chance.random()),
            ),
        )
    return request, marks


def small_logs(records: int, chance: random.Random) -> tuple[ExportLogsServiceRequest, Marks]:
    """Return a request of so many log records."""
    marks, request = Marks(), ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    add_attributes(resource.resource.attributes, _SERVICE)
    scope = resource.scope_logs.add(scope={"name": _SCOPE})
    for number in range(records):
        record = scope.log_records.add(
            time_unix_nano=marks.time(0), observed_time_unix_nano=marks.time(0), severity_number=9,
            severity_text="INFO", trace_id=marks.trace_id(), span_id=marks.span_id(),
        )  # fmt: skip
        record.body.string_value = f"{_ROUTES[number % 5]} answered in {chance.randrange(900)} ms"
        add_attributes(
            record.attributes,
            (
                ("http.route", _ROUTES[number % 5]),
                ("http.response.status_code", 200 if number % 50 else 500),
                ("thread.name", f"worker-{chance.randrange(16)}"),
                ("app.order.id", f"{chance.randrange(16**12):012x}"),
            ),
        )
    return request, marks


def small_metrics(points: int, chance: random.Random) -> tuple[ExportMetricsServiceRequest, Marks]:
    """Return a request of so many data points."""
    marks, request = Marks(), ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    add_attributes(resource.resource.attributes, _SERVICE)
    scope = resource.scope_metrics.add(scope={"name": _SCOPE})
    for first in range(0, points, 32):
        metric = scope.metrics.add(name=f"bench.requests.{first // 32 % 16}", unit="{request}")
        metric.sum.aggregation_temporality = 2  # type: ignore[assignment]
        metric.sum.is_monotonic = True
        for number in range(first, min(first + 32, points)):
            point = metric.sum.data_points.add(
                time_unix_nano=marks.time(0), start_time_unix_nano=1_790_000_000_000_000_000,
                as_int=marks.count(chance.randrange(10**6)),
            )  # fmt: skip
            add_attributes(
                point.attributes,
                (
                    ("http.route", _ROUTES[number % 5]),
                    ("http.response.status_code", chance.choice((200, 404, 500))),
                    ("server.instance", number % 32),
                ),
            )
    return request, marks
