"""Metrics as OpenTelemetry's JavaScript SDK collects them, dumped as JSON by a file exporter.

Points of one collection share the array of its end time, and those of one aggregator share their bounds: the file
holds such an array once, and ``[Circular]`` where it comes again.
Source: https://github.com/open-telemetry/opentelemetry-js, packages/sdk-metrics/src/export/MetricData.ts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from receiver.otlp.encode_metrics import (
    ExponentialPoint,
    HistogramPoint,
    MeterDraft,
    MetricDraft,
    NumberPoint,
    Temporality,
)
from receiver.otlp.span import AttributeInput
from receiver.sources.contents.document import mapping, sequence, text, whole
from receiver.sources.outfiles.js_telemetry import CIRCULAR, attributes_of, hr_time

LOST = "otlp_receiver.source.attributes_lost"
"""Attribute of a point whose own attributes the file does not hold: which such point of its metric it is."""
_HISTOGRAM, _EXPONENTIAL, _GAUGE = 0, 1, 2
_DOUBLE = 1  # ValueType.DOUBLE


class Collection:
    """Reads one dump; what its points share is remembered while it is read. Threads: one at a time."""

    def __init__(self) -> None:
        """Know no time and no bounds."""
        self._end_ns: int | None = None
        self._bounds: list[list[float]] = []

    def meters(self, record: Mapping[str, Any]) -> list[MeterDraft]:
        """Return the metrics that have points, by instrumentation scope.

        Raises:
            MalformedDocumentError: A point has no time.
        """
        meters = []
        for each in map(mapping, sequence(record.get("scopeMetrics"))):
            scope = mapping(each.get("scope"))
            metrics = [self._metric(mapping(metric)) for metric in sequence(each.get("metrics"))]
            kept = [metric for metric in metrics if metric]
            if kept:
                meters.append(
                    MeterDraft(
                        scope=text(scope.get("name")), scope_version=text(scope.get("version")), metrics=kept
                    )
                )
        return meters

    def _metric(self, metric: Mapping[str, Any]) -> MetricDraft | None:
        descriptor = mapping(metric.get("descriptor"))
        points = [mapping(point) for point in sequence(metric.get("dataPoints"))]
        kind = metric.get("dataPointType")
        draft = MetricDraft(
            name=text(descriptor.get("name")),
            description=text(descriptor.get("description")),
            unit=text(descriptor.get("unit")),
            temporality=_temporality(metric, kind),
            monotonic=metric.get("isMonotonic") is True,
            histograms=self._histograms(points) if kind == _HISTOGRAM else (),
            exponentials=self._exponentials(points) if kind == _EXPONENTIAL else (),
            numbers=(
                ()
                if kind in {_HISTOGRAM, _EXPONENTIAL}
                else self._numbers(points, double=descriptor.get("valueType") == _DOUBLE)
            ),
        )
        if not draft.name or not (draft.numbers or draft.histograms or draft.exponentials):
            return None
        return draft

    def _numbers(self, points: list[dict[str, Any]], *, double: bool) -> list[NumberPoint]:
        return [
            NumberPoint(**self._shared(point, place), value=float(value) if double else value)
            for place, point in enumerate(points)
            if (value := _number(point.get("value"))) is not None
        ]

    def _histograms(self, points: list[dict[str, Any]]) -> list[HistogramPoint]:
        found = []
        for place, point in enumerate(points):
            value = mapping(point.get("value"))
            count = whole(value.get("count"))
            if count is None:
                continue
            buckets = mapping(value.get("buckets"))
            counts = _counts(buckets.get("counts"))
            bounds = self._bounds_of(buckets.get("boundaries"), len(counts))
            fits = len(counts) == len(bounds) + 1 and sum(counts) == count
            found.append(
                HistogramPoint(
                    **self._shared(point, place),
                    count=count,
                    sum=_double(value.get("sum")),
                    min=_double(value.get("min")) if count else None,
                    max=_double(value.get("max")) if count else None,
                    bounds=bounds if fits else (),
                    counts=counts if fits else (),
                )
            )
        return found

    def _exponentials(self, points: list[dict[str, Any]]) -> list[ExponentialPoint]:
        found = []
        for place, point in enumerate(points):
            value = mapping(point.get("value"))
            count, scale = whole(value.get("count")), _signed(value.get("scale"))
            if count is None or scale is None:
                continue
            found.append(
                ExponentialPoint(
                    **self._shared(point, place),
                    count=count,
                    scale=scale,
                    zero_count=whole(value.get("zeroCount")) or 0,
                    sum=_double(value.get("sum")),
                    min=_double(value.get("min")) if count else None,
                    max=_double(value.get("max")) if count else None,
                    positive=_buckets(value.get("positive")),
                    negative=_buckets(value.get("negative")),
                )
            )
        return found

    def _shared(self, point: Mapping[str, Any], place: int) -> dict[str, Any]:
        end = hr_time(point.get("endTime"), "endTime", otherwise=self._end_ns)
        if point.get("endTime") != CIRCULAR:
            self._end_ns = end
        attributes: dict[str, AttributeInput] = attributes_of(point)
        if point.get("attributes") == CIRCULAR:
            attributes = {LOST: place}
        return {
            "start_ns": hr_time(point.get("startTime"), "startTime", otherwise=0),
            "time_ns": end,
            "attributes": attributes,
        }

    def _bounds_of(self, boundaries: object, counts: int) -> list[float]:
        if boundaries == CIRCULAR:
            return next((each for each in reversed(self._bounds) if len(each) + 1 == counts), [])
        bounds = [float(each) for each in sequence(boundaries) if _number(each) is not None]
        if bounds not in self._bounds:
            self._bounds.append(bounds)
        return bounds


def latest_of(meters: Sequence[MeterDraft]) -> int:
    """Return the time of the latest point, in Unix nanoseconds; 0 without one."""
    latest = 0
    for metric in (metric for meter in meters for metric in meter.metrics):
        latest = max([latest, *(point.time_ns for point in metric.numbers)])
        latest = max([latest, *(point.time_ns for point in metric.histograms)])
        latest = max([latest, *(point.time_ns for point in metric.exponentials)])
    return latest


def _temporality(metric: Mapping[str, Any], kind: object) -> Temporality:
    if kind == _GAUGE:
        return Temporality.UNSPECIFIED
    # AggregationTemporality of the SDK: 0 is delta, 1 is cumulative.
    return Temporality.DELTA if metric.get("aggregationTemporality") == 0 else Temporality.CUMULATIVE


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _double(value: object) -> float | None:
    number = _number(value)
    return None if number is None else float(number)


def _signed(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def _counts(value: object) -> list[int]:
    counts = [whole(each) for each in sequence(value)]
    return [each for each in counts if each is not None] if None not in counts else []


def _buckets(value: object) -> tuple[int, list[int]]:
    given = mapping(value)
    return _signed(given.get("offset")) or 0, _counts(given.get("bucketCounts"))
