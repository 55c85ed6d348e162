"""Metric requests of the shop: gauges, sums, histograms of both kinds and summaries."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.benchmarks.attributes import Pairs, add_attributes
from tests.benchmarks.services import SERVICES, resource_of
from tests.benchmarks.template import Marks

_CUMULATIVE, _DELTA = 2, 1
_STARTED_NS = 1_790_000_000_000_000_000
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_ROUTES = (
    "/",
    "/api/cart",
    "/api/checkout",
    "/api/products",
    "/api/products/{productId}",
    "/api/recommendations",
)
_METHODS = (
    "AddItem",
    "GetCart",
    "PlaceOrder",
    "Charge",
    "Convert",
    "GetAds",
    "ListRecommendations",
    "GetProduct",
)

Attributes = Callable[[random.Random], Pairs]


def _http(chance: random.Random) -> Pairs:
    return [
        ("http.request.method", chance.choice(("GET", "POST"))),
        ("http.route", chance.choice(_ROUTES)),
        ("http.response.status_code", chance.choice((200, 200, 201, 404, 500))),
        ("network.protocol.version", "1.1"),
        ("url.scheme", "http"),
    ]


def _rpc(chance: random.Random) -> Pairs:
    return [
        ("rpc.system", "grpc"), ("rpc.service", "oteldemo.ShopService"), ("rpc.method", chance.choice(_METHODS)),
        ("rpc.grpc.status_code", chance.choice((0, 0, 0, 14))),
    ]  # fmt: skip


def _cpu(chance: random.Random) -> Pairs:
    return [
        ("cpu.mode", chance.choice(("user", "system", "idle", "iowait"))),
        ("cpu.logical_number", chance.randrange(8)),
    ]


def _memory(chance: random.Random) -> Pairs:
    pool = chance.choice(("G1 Eden Space", "G1 Old Gen", "G1 Survivor Space", "Metaspace", "CodeCache"))
    return [("jvm.memory.type", "heap"), ("jvm.memory.pool.name", pool)]


def _network(chance: random.Random) -> Pairs:
    return [
        ("network.interface.name", f"eth{chance.randrange(4)}"),
        ("network.io.direction", chance.choice(("receive", "transmit"))),
    ]


def _kafka(chance: random.Random) -> Pairs:
    return [
        ("messaging.system", "kafka"), ("messaging.destination.name", "orders"),
        ("messaging.destination.partition.id", str(chance.randrange(12))), ("client.id", f"consumer-{chance.randrange(4)}"),
    ]  # fmt: skip


def _pool(chance: random.Random) -> Pairs:
    return [
        ("db.client.connection.pool.name", chance.choice(("catalog", "orders", "fraud"))),
        ("db.client.connection.state", chance.choice(("idle", "used"))),
    ]


def _flag(chance: random.Random) -> Pairs:
    return [
        ("feature_flag.key", chance.choice(("adFailure", "cartFailure"))),
        ("feature_flag.result.variant", "off"),
    ]


_METRICS: tuple[tuple[str, str, str, Attributes], ...] = (
    ("http.server.request.duration", "s", "histogram", _http),
    ("http.client.request.duration", "s", "histogram", _http),
    ("rpc.server.duration", "ms", "exponential_histogram", _rpc),
    ("rpc.client.duration", "ms", "exponential_histogram", _rpc),
    ("rpc.server.request.size", "By", "histogram", _rpc),
    ("http.server.active_requests", "{request}", "up_down", _http),
    ("process.cpu.time", "s", "sum", _cpu),
    ("system.cpu.utilization", "1", "gauge", _cpu),
    ("system.network.io", "By", "sum", _network),
    ("system.network.errors", "{error}", "sum", _network),
    ("jvm.memory.used", "By", "gauge_int", _memory),
    ("jvm.memory.committed", "By", "gauge_int", _memory),
    ("jvm.gc.duration", "s", "histogram", _memory),
    ("messaging.client.consumed.messages", "{message}", "sum", _kafka),
    ("kafka.consumer.records_lag", "{record}", "gauge", _kafka),
    ("db.client.connection.count", "{connection}", "up_down", _pool),
    ("feature_flag.evaluations", "{evaluation}", "delta", _flag),
    ("go.gc.pause", "s", "summary", _memory),
    ("app.cart.add_item.latency", "s", "exponential_histogram", _rpc),
    ("app.orders", "{order}", "sum", _rpc),
)


def metric_request(points: int, chance: random.Random) -> tuple[ExportMetricsServiceRequest, Marks]:
    """Return a request of so many data points, one to twelve a metric."""
    marks, request = Marks(), ExportMetricsServiceRequest()
    services = SERVICES if points > 100 else (chance.choice(SERVICES),)
    scopes: dict[tuple[str, int], Any] = {}
    left = points
    while left:
        service = chance.choice(services)
        key = service.name, chance.randrange(service.instances)
        if key not in scopes:
            resource = request.resource_metrics.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
            add_attributes(resource.resource.attributes, resource_of(service, key[1]))
            scopes[key] = resource.scope_metrics.add(
                scope={"name": service.libraries[0], "version": service.version}
            )
        name, unit, kind, attributes = chance.choice(_METRICS)
        metric = scopes[key].metrics.add(
            name=name, unit=unit, description=f"The {name.replace('.', ' ')} of the shop."
        )
        count = min(left, chance.randint(1, 12))
        left -= count
        for _ in range(count):
            _add_point(metric, kind, attributes(chance), marks, chance)
    return request, marks


def _add_point(metric: Metric, kind: str, attributes: Pairs, marks: Marks, chance: random.Random) -> None:
    times = {"time_unix_nano": marks.time(chance.randrange(10**9)), "start_time_unix_nano": _STARTED_NS}
    point: Any
    if kind in {"gauge", "gauge_int"}:
        point = metric.gauge.data_points.add(**times)
        if kind == "gauge":
            point.as_double = marks.ratio(1.0)
        else:
            point.as_int = marks.count(chance.randrange(10**9))
    elif kind in {"sum", "delta", "up_down"}:
        metric.sum.aggregation_temporality = _DELTA if kind == "delta" else _CUMULATIVE  # type: ignore[assignment]
        metric.sum.is_monotonic = kind != "up_down"
        point = metric.sum.data_points.add(**times, as_int=marks.count(chance.randrange(10**6)))
    elif kind == "histogram":
        metric.histogram.aggregation_temporality = _CUMULATIVE  # type: ignore[assignment]
        counts = [chance.randrange(2 ** abs(9 - abs(place - 5))) for place in range(len(_BOUNDS) + 1)]
        point = metric.histogram.data_points.add(
            **times, count=sum(counts), sum=marks.ratio(900.0), bucket_counts=counts, explicit_bounds=_BOUNDS,
            min=0.001, max=9.0,
        )  # fmt: skip
        if chance.random() < 0.1:
            point.exemplars.add(
                time_unix_nano=marks.time(0),
                as_double=marks.ratio(1.0),
                trace_id=marks.trace_id(),
                span_id=marks.span_id(),
            )
    elif kind == "exponential_histogram":
        metric.exponential_histogram.aggregation_temporality = _DELTA  # type: ignore[assignment]
        counts = [chance.randrange(60) for _ in range(chance.randint(4, 40))]
        point = metric.exponential_histogram.data_points.add(
            **times, count=sum(counts) + 2, sum=marks.ratio(5000.0), scale=4, zero_count=2,
            positive={"offset": chance.randrange(-20, 60), "bucket_counts": counts}, min=0.1, max=800.0,
        )  # fmt: skip
    else:
        point = metric.summary.data_points.add(**times, count=chance.randrange(10**4), sum=marks.ratio(80.0))
        for quantile in (0.0, 0.25, 0.5, 0.75, 1.0):
            point.quantile_values.add(quantile=quantile, value=marks.ratio(0.1))
    add_attributes(point.attributes, attributes)
