"""Log records and metrics as requests: what protobuf's own reader finds in them."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from receiver.otlp.encode_logs import LogDraft, encode_logs
from receiver.otlp.encode_metrics import (
    ExponentialPoint,
    HistogramPoint,
    MeterDraft,
    MetricDraft,
    NumberPoint,
    Temporality,
    encode_metrics,
)

_TIME = 1_790_000_000_000_000_000


def test_log_record_reads_back() -> None:
    """Every field of a draft is where OTLP has it."""
    draft = LogDraft(
        time_ns=_TIME, observed_ns=_TIME + 1, severity_number=17, severity_text="ERROR", event_name="boom",
        body={"a": [1, "x"]}, attributes={"k": True, "none": None}, trace_id=b"t" * 16, span_id=b"s" * 8, flags=1,
    )  # fmt: skip
    payload = encode_logs([draft, draft], resource={"service.name": "shop"}, scope="lib", scope_version="2")
    (group,) = ExportLogsServiceRequest.FromString(payload).resource_logs
    assert [(a.key, a.value.string_value) for a in group.resource.attributes] == [("service.name", "shop")]
    (scope,) = group.scope_logs
    assert (scope.scope.name, scope.scope.version, len(scope.log_records)) == ("lib", "2", 2)
    log = scope.log_records[0]
    assert (log.time_unix_nano, log.observed_time_unix_nano) == (_TIME, _TIME + 1)
    assert (log.severity_number, log.severity_text, log.event_name, log.flags) == (17, "ERROR", "boom", 1)
    assert (log.trace_id, log.span_id) == (b"t" * 16, b"s" * 8)
    assert [(a.key, a.value.bool_value) for a in log.attributes] == [("k", True)]
    assert log.body.kvlist_value.values[0].value.array_value.values[1].string_value == "x"


def test_log_record_without_a_body_has_none() -> None:
    """None is no body, and an empty text is one."""
    without, empty = (
        ExportLogsServiceRequest.FromString(encode_logs([LogDraft(time_ns=1, body=body)], resource={}))
        for body in (None, "")
    )
    assert not without.resource_logs[0].scope_logs[0].log_records[0].HasField("body")
    assert empty.resource_logs[0].scope_logs[0].log_records[0].body.WhichOneof("value") == "string_value"


def test_every_kind_of_metric_reads_back() -> None:
    """Sums, gauges, histograms and exponential histograms are where OTLP has them."""
    common: dict[str, Any] = {"start_ns": 1, "time_ns": _TIME, "attributes": {"model": "m"}}
    histogram = HistogramPoint(
        **common, count=3, sum=4.5, min=0.5, max=3, bounds=[1.0, 2.0], counts=[1, 1, 1]
    )
    exponential = ExponentialPoint(
        **common, count=4, scale=-2, zero_count=1, sum=9, positive=(3, [1, 2]), negative=(-1, [0])
    )
    metrics = [
        MetricDraft(
            name="sum", unit="1", description="d", temporality=Temporality.DELTA, monotonic=True,
            numbers=[NumberPoint(**common, value=5), NumberPoint(**common, value=2**64), NumberPoint(**common, value=0.5)],
        ),
        MetricDraft(name="gauge", numbers=[NumberPoint(**common, value=-7)]),
        MetricDraft(name="histogram", temporality=Temporality.CUMULATIVE, histograms=[histogram]),
        MetricDraft(name="exponential", temporality=Temporality.CUMULATIVE, exponentials=[exponential]),
    ]  # fmt: skip
    payload = encode_metrics([MeterDraft(scope="lib", metrics=metrics)], resource={"service.name": "shop"})
    (group,) = ExportMetricsServiceRequest.FromString(payload).resource_metrics
    total, gauge, spread, exp = group.scope_metrics[0].metrics
    assert (total.name, total.unit, total.description) == ("sum", "1", "d")
    assert (total.sum.aggregation_temporality, total.sum.is_monotonic) == (1, True)
    values = [getattr(point, point.WhichOneof("value") or "") for point in total.sum.data_points]
    assert values == [5, float(2**64), 0.5]
    assert (gauge.WhichOneof("data"), gauge.gauge.data_points[0].as_int) == ("gauge", -7)
    (point,) = spread.histogram.data_points
    assert (point.count, point.sum, point.min, point.max) == (3, 4.5, 0.5, 3)
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([1, 2], [1, 1, 1])
    (other,) = exp.exponential_histogram.data_points
    assert (other.count, other.scale, other.zero_count, other.HasField("min")) == (4, -2, 1, False)
    assert (other.positive.offset, list(other.positive.bucket_counts)) == (3, [1, 2])
    for data in (total.sum, gauge.gauge, spread.histogram, exp.exponential_histogram):
        first = data.data_points[0]
        assert (first.start_time_unix_nano, first.time_unix_nano) == (1, _TIME)
        assert [(a.key, a.value.string_value) for a in first.attributes] == [("model", "m")]


def test_meters_stand_under_the_same_resource() -> None:
    """Two scopes of one resource each name it."""
    meters = [MeterDraft(scope=name, metrics=[MetricDraft(name=name)]) for name in ("a", "b")]
    found = ExportMetricsServiceRequest.FromString(encode_metrics(meters, resource={"service.name": "shop"}))
    assert [group.scope_metrics[0].scope.name for group in found.resource_metrics] == ["a", "b"]
    assert {group.resource.attributes[0].value.string_value for group in found.resource_metrics} == {"shop"}
