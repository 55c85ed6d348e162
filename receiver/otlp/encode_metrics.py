"""Metrics as plain Python values, and the request that carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from receiver.otlp.encode import encode_request, encode_scope, valid_text
from receiver.otlp.span import AttributeInput
from receiver.otlp.wire import RESOURCE_ATTRIBUTE, attributes, sized

_METRIC, _POINT = b"\x12", b"\x0a"
_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL = b"\x2a", b"\x3a", b"\x4a", b"\x52"
_NUMBER_ATTRIBUTE, _HISTOGRAM_ATTRIBUTE, _EXPONENTIAL_ATTRIBUTE = b"\x3a", b"\x4a", b"\x0a"


class Temporality(IntEnum):
    """OTLP's numbers: https://github.com/open-telemetry/opentelemetry-proto, metrics.proto."""

    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPoint:
    """A value of a sum or a gauge. Times are Unix nanoseconds; 0 is unknown."""

    start_ns: int = 0
    time_ns: int
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)
    value: int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramPoint:
    """A distribution over explicit bounds; ``counts`` is one longer than ``bounds``, or both are empty."""

    start_ns: int = 0
    time_ns: int
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)
    count: int
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: Sequence[float] = ()
    counts: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialPoint:
    """A distribution over exponential buckets: an offset and counts, for positive and for negative values."""

    start_ns: int = 0
    time_ns: int
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)
    count: int
    scale: int
    zero_count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    positive: tuple[int, Sequence[int]] = (0, ())
    negative: tuple[int, Sequence[int]] = (0, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDraft:
    """One metric with its points: all of one type. Number points are a gauge where there is no temporality."""

    name: str
    description: str = ""
    unit: str = ""
    temporality: Temporality = Temporality.UNSPECIFIED
    monotonic: bool = False
    numbers: Sequence[NumberPoint] = ()
    histograms: Sequence[HistogramPoint] = ()
    exponentials: Sequence[ExponentialPoint] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDraft:
    """The metrics of one instrumentation scope."""

    scope: str = ""
    scope_version: str = ""
    metrics: Sequence[MetricDraft]


def encode_metrics(meters: Sequence[MeterDraft], *, resource: Mapping[str, AttributeInput]) -> bytes:
    """Return an ``ExportMetricsServiceRequest`` with the meters' metrics, the resource at each meter."""
    # ResourceMetrics and ScopeMetrics have the field numbers of ResourceSpans and ScopeSpans.
    described = attributes(RESOURCE_ATTRIBUTE, resource)
    return encode_request(
        [
            (
                described,
                encode_scope(meter.scope, meter.scope_version),
                b"".join([sized(_METRIC, _metric(metric)) for metric in meter.metrics]),
            )
            for meter in meters
        ]
    )


def _metric(metric: MetricDraft) -> bytes:
    named = Metric(
        name=valid_text(metric.name),
        description=valid_text(metric.description),
        unit=valid_text(metric.unit),
    )
    temporality = AggregationTemporality.ValueType(metric.temporality)
    if metric.histograms:
        points = [_histogram(point) for point in metric.histograms]
        lead, data = _HISTOGRAM, Histogram(aggregation_temporality=temporality).SerializeToString()
    elif metric.exponentials:
        points = [_exponential(point) for point in metric.exponentials]
        lead, data = (
            _EXPONENTIAL,
            ExponentialHistogram(aggregation_temporality=temporality).SerializeToString(),
        )
    elif metric.temporality:
        points = [_number(point) for point in metric.numbers]
        whole = Sum(aggregation_temporality=temporality, is_monotonic=metric.monotonic)
        lead, data = _SUM, whole.SerializeToString()
    else:
        points = [_number(point) for point in metric.numbers]
        lead, data = _GAUGE, b""
    return named.SerializeToString() + sized(lead, data + b"".join([sized(_POINT, each) for each in points]))


def _number(point: NumberPoint) -> bytes:
    message = NumberDataPoint(start_time_unix_nano=point.start_ns, time_unix_nano=point.time_ns)
    if isinstance(point.value, int) and point.value.bit_length() < 64:
        message.as_int = point.value
    else:
        message.as_double = float(point.value)
    return message.SerializeToString() + attributes(_NUMBER_ATTRIBUTE, point.attributes)


def _histogram(point: HistogramPoint) -> bytes:
    message = HistogramDataPoint(
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.time_ns,
        count=point.count,
        sum=point.sum,
        min=point.min,
        max=point.max,
        explicit_bounds=point.bounds,
        bucket_counts=point.counts,
    )
    return message.SerializeToString() + attributes(_HISTOGRAM_ATTRIBUTE, point.attributes)


def _exponential(point: ExponentialPoint) -> bytes:
    buckets = ExponentialHistogramDataPoint.Buckets
    message = ExponentialHistogramDataPoint(
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.time_ns,
        count=point.count,
        scale=point.scale,
        zero_count=point.zero_count,
        sum=point.sum,
        min=point.min,
        max=point.max,
        positive=buckets(offset=point.positive[0], bucket_counts=point.positive[1]),
        negative=buckets(offset=point.negative[0], bucket_counts=point.negative[1]),
    )
    return message.SerializeToString() + attributes(_EXPONENTIAL_ATTRIBUTE, point.attributes)
