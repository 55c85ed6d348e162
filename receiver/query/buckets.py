"""What the points of one series mean in each stretch of time.

A gauge, and a sum that may fall, is looked at: last, average, least, greatest value. A delta is added up. A
cumulative, rising sum or histogram is measured: the increase from the point before, or, after a reset (a new
start time, or a lower value), from the new start. The first point of a series counts in full if it says when
it started and that was not before the range; else it only is what the next one is measured from. Points with
NO_RECORDED_VALUE hold no value.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from receiver.errors import InvalidFilterError
from receiver.query.distribution import difference, quantile
from receiver.questions import Distribution, MetricDescriptor, MetricPoint
from receiver.times import NS, rfc3339

NO_RECORDED_VALUE = 1
CUMULATIVE = 2
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

Figures = dict[str, Any]
T = TypeVar("T")


class Aggregation(StrEnum):
    """What one figure of a stretch of time is asked for."""

    LAST = "last"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    RATE = "rate"
    COUNT = "count"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


_LOOKED_AT = (Aggregation.LAST, Aggregation.AVG, Aggregation.MIN, Aggregation.MAX)
_ADDED_UP = (Aggregation.SUM, Aggregation.RATE)
_SUMMARISED = (Aggregation.LAST, Aggregation.COUNT, Aggregation.SUM, Aggregation.AVG)


def aggregations(metric: MetricDescriptor) -> tuple[Aggregation, ...]:
    """Return what can be asked of a metric; the first is what is meant where nothing is said."""
    if metric.type in ("histogram", "exponential_histogram"):
        return (
            Aggregation.AVG,
            *(Aggregation.COUNT, Aggregation.SUM, Aggregation.RATE, Aggregation.MIN, Aggregation.MAX),
            *(Aggregation(name) for name in QUANTILES),
        )
    if metric.type == "summary":
        return _SUMMARISED
    return _ADDED_UP if _adds_up(metric) else _LOOKED_AT


def stretches(
    metric: MetricDescriptor,
    points: Sequence[MetricPoint],
    *,
    step_ns: int,
    since_ns: int | None = None,
    aggregation: Aggregation | None = None,
) -> list[Figures]:
    """Return the figures of each stretch that has points, in order of time.

    Args:
        metric: Says how the points are to be read.
        points: Of one series, in order of time, with the last one before ``since_ns`` where there is one.
        step_ns: Length of a stretch; stretches start at multiples of it.
        since_ns: Points before it are only measured from.
        aggregation: What becomes ``value``; the metric's first if None.

    Raises:
        InvalidFilterError: The metric has no such aggregation.
    """
    allowed = aggregations(metric)
    chosen = aggregation or allowed[0]
    if chosen not in allowed:
        raise InvalidFilterError(
            f"{chosen.value} is not an aggregation of {metric.name}, a {metric.type}",
            hint=f"ask for {', '.join(allowed)}",
        )
    valued = [point for point in points if not point.flags & NO_RECORDED_VALUE]
    if metric.type in ("histogram", "exponential_histogram"):
        found = _distributions(metric, valued, step_ns, since_ns)
    elif metric.type == "summary":
        found = _summaries(valued, step_ns, since_ns)
    elif _adds_up(metric):
        found = _additions(metric, valued, step_ns, since_ns)
    else:
        found = _looks(valued, step_ns, since_ns)
    return [
        {
            "time": rfc3339(start),
            "time_unix_nano": str(start),
            "value": figures.get(chosen.value),
            **figures,
        }
        for start, figures in found
    ]


def _adds_up(metric: MetricDescriptor) -> bool:
    return metric.type == "sum" and (metric.is_monotonic or metric.aggregation_temporality != CUMULATIVE)


def _looks(
    points: Iterable[MetricPoint], step_ns: int, since_ns: int | None
) -> Iterator[tuple[int, Figures]]:
    numbers = ((point, point.value) for point in _within(points, since_ns) if point.value is not None)
    for start, group in _grouped(numbers, step_ns):
        yield (
            start,
            {
                "last": group[-1],
                "avg": sum(group) / len(group),
                "min": min(group),
                "max": max(group),
                "points": len(group),
            },
        )


def _additions(
    metric: MetricDescriptor, points: Sequence[MetricPoint], step_ns: int, since_ns: int | None
) -> Iterator[tuple[int, Figures]]:
    numbers = [(point, point.value) for point in points if point.value is not None]
    if metric.aggregation_temporality == CUMULATIVE:
        added = list(_increases(numbers, since_ns))
    else:
        added = [(point, value) for point, value in numbers if _is_within(point, since_ns)]
    for start, group in _grouped(added, step_ns):
        total = sum(group)
        yield start, {"sum": total, "rate": total * NS / step_ns, "points": len(group)}


def _increases(
    numbers: Sequence[tuple[MetricPoint, int | float]], since_ns: int | None
) -> Iterator[tuple[MetricPoint, int | float]]:
    earlier: tuple[MetricPoint, int | float] | None = None
    for point, value in numbers:
        if earlier is None:
            increase = value if _starts_within(point, since_ns) else None
        elif _restarted(point, earlier[0]) or value < earlier[1]:
            increase = value
        else:
            increase = value - earlier[1]
        if increase is not None and _is_within(point, since_ns):
            yield point, increase
        earlier = (point, value)


def _distributions(
    metric: MetricDescriptor, points: Sequence[MetricPoint], step_ns: int, since_ns: int | None
) -> Iterator[tuple[int, Figures]]:
    measured = [(point, point.distribution) for point in points if point.distribution is not None]
    cumulative = metric.aggregation_temporality == CUMULATIVE
    if cumulative:
        measured = list(_additional(measured, since_ns))
    measured = [(point, each) for point, each in measured if _is_within(point, since_ns)]
    for start, group in _grouped(measured, step_ns):
        count = sum(each.count for each in group)
        sums = [each.sum for each in group if each.sum is not None]
        total = sum(sums) if len(sums) == len(group) else None
        least = [each.min for each in group if each.min is not None]
        most = [each.max for each in group if each.max is not None]
        yield (
            start,
            {
                "count": count,
                "sum": total,
                "avg": total / count if total is not None and count else None,
                "rate": count * NS / step_ns,
                # a cumulative minimum is the least since the start, not the least of this stretch
                "min": min(least) if least and not cumulative else None,
                "max": max(most) if most and not cumulative else None,
                **{name: quantile(group, q) for name, q in QUANTILES.items()},
                "points": len(group),
            },
        )


def _additional(
    measured: Sequence[tuple[MetricPoint, Distribution]], since_ns: int | None
) -> Iterator[tuple[MetricPoint, Distribution]]:
    earlier: tuple[MetricPoint, Distribution] | None = None
    for point, each in measured:
        if earlier is None:
            added = each if _starts_within(point, since_ns) else None
        elif _restarted(point, earlier[0]):
            added = each
        else:
            added = difference(each, earlier[1])
            if added is None:
                added = each  # lower than before, or other buckets: it was reset
        if added is not None:
            yield point, added
        earlier = (point, each)


def _summaries(
    points: Iterable[MetricPoint], step_ns: int, since_ns: int | None
) -> Iterator[tuple[int, Figures]]:
    whole = ((point, point) for point in _within(points, since_ns) if point.distribution is not None)
    for start, group in _grouped(whole, step_ns):
        last = group[-1]
        if last.distribution is None:
            continue
        count, total = last.distribution.count, last.distribution.sum
        yield (
            start,
            {
                "last": dict(last.quantiles).get(0.5),
                "count": count,
                "sum": total,
                "avg": total / count if total is not None and count else None,
                "quantiles": {f"{q:g}": value for q, value in last.quantiles},
                "points": len(group),
            },
        )


def _grouped(pairs: Iterable[tuple[MetricPoint, T]], step_ns: int) -> Iterator[tuple[int, list[T]]]:
    groups: dict[int, list[T]] = {}
    for point, value in pairs:
        groups.setdefault(point.time_unix_nano // step_ns * step_ns, []).append(value)
    return iter(sorted(groups.items(), key=lambda item: item[0]))


def _restarted(point: MetricPoint, earlier: MetricPoint) -> bool:
    return 0 not in (point.start_time_unix_nano, earlier.start_time_unix_nano) and (
        point.start_time_unix_nano > earlier.start_time_unix_nano
    )


def _starts_within(point: MetricPoint, since_ns: int | None) -> bool:
    return point.start_time_unix_nano != 0 and point.start_time_unix_nano >= (since_ns or 0)


def _is_within(point: MetricPoint, since_ns: int | None) -> bool:
    return since_ns is None or point.time_unix_nano >= since_ns


def _within(points: Iterable[MetricPoint], since_ns: int | None) -> Iterator[MetricPoint]:
    return (point for point in points if _is_within(point, since_ns))
