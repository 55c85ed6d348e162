"""From the raw points of a metric to its series."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

import orjson

from receiver.query.buckets import Aggregation, stretches
from receiver.questions import TEMPORALITY, MetricAnswer, MetricDescriptor, MetricPoint


def series_of(
    answer: MetricAnswer, step_ns: int, since_ns: int | None, aggregation: Aggregation | None
) -> list[dict[str, Any]]:
    """Return the series of a metric, each with its figures per stretch of ``step_ns``, by service and attributes."""
    grouped: dict[tuple[UUID, str], list[MetricPoint]] = defaultdict(list)
    for point in answer.points:
        grouped[point.metric_id, point.attributes].append(point)
    found: list[dict[str, Any]] = []
    for (metric_id, attributes), points in grouped.items():
        metric = answer.descriptors[metric_id]
        figures = stretches(metric, points, step_ns=step_ns, since_ns=since_ns, aggregation=aggregation)
        if figures:
            found.append({**_described(metric), "attributes": orjson.loads(attributes), "points": figures})
    return sorted(found, key=lambda each: (each["service"] or "", str(each["attributes"])))


def _described(metric: MetricDescriptor) -> dict[str, Any]:
    return {
        "service": metric.service,
        "type": metric.type,
        "unit": metric.unit,
        "temporality": TEMPORALITY.get(metric.aggregation_temporality, "unspecified"),
        "monotonic": metric.is_monotonic,
    }
