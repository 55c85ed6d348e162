"""Arithmetic of histograms of both kinds: differences, sums, quantiles.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram (bucket boundaries,
and that a perfect subset of scales exists: index >> 1 is the bucket of the next lower scale).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from receiver.questions import Distribution

Interval = tuple[float, float, int]
"""Lower bound, upper bound, count; a point mass where both are equal."""
_ROUNDING = 1e-9


def difference(later: Distribution, earlier: Distribution) -> Distribution | None:
    """Return what was added between two states of a cumulative histogram; None if it was reset in between."""
    if later.count < earlier.count or (later.scale is None) is not (earlier.scale is None):
        return None
    total = None if later.sum is None or earlier.sum is None else later.sum - earlier.sum
    rest = replace(later, count=later.count - earlier.count, sum=total)
    if later.scale is None or earlier.scale is None:
        if later.bounds != earlier.bounds or len(later.counts) != len(earlier.counts):
            return None
        counts = tuple(a - b for a, b in zip(later.counts, earlier.counts, strict=True))
        return None if any(count < 0 for count in counts) else replace(rest, counts=counts)
    scale = min(later.scale, earlier.scale)
    positive = _less(_at_scale(later, scale, later.positive), _at_scale(earlier, scale, earlier.positive))
    negative = _less(_at_scale(later, scale, later.negative), _at_scale(earlier, scale, earlier.negative))
    if later.zero_count < earlier.zero_count or positive is None or negative is None:
        return None
    return replace(
        rest,
        scale=scale,
        zero_count=later.zero_count - earlier.zero_count,
        positive=positive,
        negative=negative,
    )


def quantile(distributions: Sequence[Distribution], q: float) -> float | None:
    """Return the value below which a share ``q`` of the counted values lies, estimated from the buckets.

    Values are taken as spread evenly in each bucket; the open buckets at both ends reach to the recorded
    minimum and maximum, or where these are missing only to their bound.
    """
    least = _known([each.min for each in distributions], min)
    most = _known([each.max for each in distributions], max)
    total = 0
    density: dict[float, float] = defaultdict(float)  # how much the count rises per unit, from this value on
    mass: dict[float, float] = defaultdict(float)
    merged: Counter[tuple[float, float]] = Counter()
    for each in distributions:
        for low, high, count in _explicit(each, least, most) if each.scale is None else _exponential(each):
            merged[low, high] += count
    for (low, high), count in merged.items():
        total += count
        narrow_low, narrow_high = _narrowed(low, high, least, most)
        if narrow_low < narrow_high:
            density[narrow_low] += count / (narrow_high - narrow_low)
            density[narrow_high] -= count / (narrow_high - narrow_low)
        else:
            mass[narrow_low] += count
    return _at_share(q * total, density, mass) if total else None


def _at_share(wanted: float, density: Mapping[float, float], mass: Mapping[float, float]) -> float | None:
    counted, slope, before = 0.0, 0.0, None
    for edge in sorted({*density, *mass}):
        if before is not None and slope > 0:
            reached = counted + slope * (edge - before)
            if reached >= wanted - _ROUNDING:
                return min(edge, before + (wanted - counted) / slope)
            counted = reached
        counted += mass.get(edge, 0)
        if mass.get(edge) and counted >= wanted - _ROUNDING:
            return edge
        slope += density.get(edge, 0)
        before = edge
    return before


def _known(values: list[float | None], choose: Callable[[Iterable[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known and len(known) == len(values) else None


def _narrowed(low: float, high: float, least: float | None, most: float | None) -> tuple[float, float]:
    """Return the part of a bucket in which a value can lie."""
    if least is not None and low < least <= high:
        low = least
    if most is not None and low <= most < high:
        high = most
    return low, high


def _explicit(each: Distribution, least: float | None, most: float | None) -> list[Interval]:
    if not each.bounds or len(each.counts) != len(each.bounds) + 1:
        # no buckets: all that is known is the mean, and perhaps the ends
        if each.count == 0 or each.sum is None:
            return []
        mean = each.sum / each.count
        low = mean if each.min is None else each.min
        high = mean if each.max is None else each.max
        return [(low, high, each.count)]
    first, last = each.bounds[0], each.bounds[-1]
    lowest = least if least is not None and least <= first else min(0.0, first)
    highest = most if most is not None and most >= last else last
    lows = (lowest, *each.bounds)
    highs = (*each.bounds, highest)
    return [(low, high, count) for low, high, count in zip(lows, highs, each.counts, strict=True) if count]


def _exponential(each: Distribution) -> list[Interval]:
    scale = each.scale or 0
    found: list[Interval] = []
    for index, count in each.negative.items():
        found.append((-_edge(scale, index + 1), -_edge(scale, index), count))
    if each.zero_count:
        found.append((-each.zero_threshold if each.negative else 0.0, each.zero_threshold, each.zero_count))
    for index, count in each.positive.items():
        found.append((_edge(scale, index), _edge(scale, index + 1), count))
    return [interval for interval in found if interval[2]]


def _edge(scale: int, index: int) -> float:
    """Return base to the power of ``index``, where base is 2^(2^-scale); infinite bounds become finite."""
    exponent = math.ldexp(index, -scale)
    if exponent >= 1024:
        return math.nextafter(math.inf, 0.0)
    return 0.0 if exponent < -1080 else 2.0**exponent


def _at_scale(each: Distribution, scale: int, buckets: Mapping[int, int]) -> Mapping[int, int]:
    steps = (each.scale or 0) - scale
    if steps == 0:
        return buckets
    merged: Counter[int] = Counter()
    for index, count in buckets.items():
        merged[index >> steps] += count
    return merged


def _less(later: Mapping[int, int], earlier: Mapping[int, int]) -> dict[int, int] | None:
    if any(later.get(index, 0) < count for index, count in earlier.items()):
        return None
    left = {index: count - earlier.get(index, 0) for index, count in later.items()}
    return {index: count for index, count in left.items() if count}
