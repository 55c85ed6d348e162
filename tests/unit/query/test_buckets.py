"""Delta and cumulative points, resets, gaps: on numbers worked out by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from receiver.errors import InvalidFilterError
from receiver.query.buckets import NO_RECORDED_VALUE, Aggregation, stretches
from receiver.questions import Distribution, MetricDescriptor, MetricPoint
from receiver.times import NS

ID = UUID(int=1)
MINUTE = 60 * NS
DELTA, CUMULATIVE = 1, 2


def metric(kind: str, temporality: int = 0, *, monotonic: bool = False) -> MetricDescriptor:
    """Return a descriptor."""
    return MetricDescriptor(ID, "m", kind, "1", "", temporality, monotonic, "shop")


def number(time_s: float, value: float, *, start_s: float = 0, flags: int = 0) -> MetricPoint:
    """Return a point of a gauge or sum."""
    return MetricPoint(ID, "{}", int(start_s * NS), int(time_s * NS), flags, value=value)


def values(figures: list[dict[str, Any]], name: str = "value") -> list[Any]:
    """Return one figure of each stretch."""
    return [each[name] for each in figures]


def test_a_gauge_shows_last_average_least_and_greatest() -> None:
    """The figures of a gauge are of the values in the stretch, and stretches start at multiples of the step."""
    points = [number(61, 4), number(70, 10), number(119, 1), number(120, 7)]
    found = stretches(metric("gauge"), points, step_ns=MINUTE)
    assert values(found, "time_unix_nano") == [str(MINUTE), str(2 * MINUTE)]
    assert [(each["last"], each["avg"], each["min"], each["max"]) for each in found] == [
        (1, 5, 1, 10),
        (7, 7, 7, 7),
    ]
    assert values(found) == [1, 7]


def test_a_delta_sum_is_added_up_and_its_rate_is_per_second() -> None:
    """3 + 4 in one minute is 7, or 7/60 a second."""
    points = [number(60, 3), number(90, 4), number(130, 6)]
    found = stretches(metric("sum", DELTA, monotonic=True), points, step_ns=MINUTE)
    assert values(found, "sum") == [7, 6]
    assert values(found, "rate") == [pytest.approx(7 / 60), pytest.approx(0.1)]


def test_a_cumulative_sum_is_measured_from_the_point_before() -> None:
    """10, 14, 20 are increases of 4 and 6; the first is only measured from, as it says no start."""
    points = [number(60, 10), number(90, 14), number(130, 20)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)
    assert values(found, "sum") == [4, 6]


def test_a_first_point_that_says_its_start_counts_in_full() -> None:
    """Started at 30 s with 0 and at 10 by 60 s: an increase of 10."""
    points = [number(60, 10, start_s=30), number(90, 14, start_s=30)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)
    assert values(found, "sum") == [14]


def test_a_first_point_that_started_before_the_range_is_only_measured_from() -> None:
    """What was counted before the range is not an increase in it."""
    points = [number(130, 10, start_s=30), number(150, 14, start_s=30)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE, since_ns=2 * MINUTE)
    assert values(found, "sum") == [4]


def test_the_point_before_the_range_is_the_base_and_is_not_shown() -> None:
    """The increase of the first point in the range is measured from the last one before it."""
    points = [number(110, 8, start_s=30), number(130, 10, start_s=30)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE, since_ns=2 * MINUTE)
    assert values(found, "sum") == [2]


@pytest.mark.parametrize("start_s", [0, 100], ids=["lower value", "new start"])
def test_after_a_reset_the_new_value_is_the_increase(start_s: float) -> None:
    """10, 14, then a restart and 5: increases of 4 and 5."""
    first = 1 if start_s else 0
    points = [number(60, 10, start_s=first), number(90, 14, start_s=first), number(130, 5, start_s=start_s)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)
    assert sum(values(found, "sum")) == 9 + (10 if start_s else 0)
    assert values(found, "sum")[-1] == 5


def test_a_new_start_is_a_reset_even_when_the_value_is_higher() -> None:
    """14, then a restart that counted to 20: 20, not 6."""
    points = [number(90, 14, start_s=1), number(130, 20, start_s=100)]
    found = stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)
    assert values(found, "sum")[-1] == 20


def test_a_sum_that_may_fall_is_looked_at_like_a_gauge() -> None:
    """Connections 10, 4: the last is 4; there is no increase."""
    points = [number(60, 10), number(90, 4)]
    found = stretches(metric("sum", CUMULATIVE), points, step_ns=MINUTE)
    assert values(found) == [4]


def test_points_without_a_recorded_value_hold_none() -> None:
    """The flag NO_RECORDED_VALUE takes a point out of every figure."""
    points = [number(60, 10), number(70, 0, flags=NO_RECORDED_VALUE), number(90, 14)]
    assert values(stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)) == [4]
    assert values(stretches(metric("gauge"), points, step_ns=MINUTE), "min") == [10]


def test_large_integers_stay_exact() -> None:
    """2^60 + 1 less 2^60 is 1."""
    points = [number(60, 2**60), number(90, 2**60 + 1)]
    assert values(stretches(metric("sum", CUMULATIVE, monotonic=True), points, step_ns=MINUTE)) == [1]


def test_an_aggregation_that_a_metric_does_not_have_is_refused_with_those_it_has() -> None:
    """The hint lists what can be asked."""
    with pytest.raises(InvalidFilterError, match="sum, rate"):
        stretches(metric("sum", DELTA, monotonic=True), [], step_ns=MINUTE, aggregation=Aggregation.P99)


def histogram(time_s: float, counts: tuple[int, ...], total: float, *, start_s: float = 0) -> MetricPoint:
    """Return a point with the bounds 10, 20, 30."""
    each = Distribution(sum(counts), total, None, None, (10.0, 20.0, 30.0), counts)
    return MetricPoint(ID, "{}", int(start_s * NS), int(time_s * NS), 0, distribution=each)


def test_delta_histograms_are_added_and_their_median_is_interpolated() -> None:
    """Ten values in (10, 20] and none elsewhere: the median is 15, the average is sum / count."""
    points = [histogram(60, (0, 4, 0, 0), 60), histogram(70, (0, 6, 0, 0), 90)]
    (found,) = stretches(metric("histogram", DELTA), points, step_ns=MINUTE)
    assert (found["count"], found["sum"], found["avg"]) == (10, 150, 15)
    assert found["p50"] == pytest.approx(15)
    assert found["p90"] == pytest.approx(19)


def test_cumulative_histograms_are_subtracted_bucket_by_bucket() -> None:
    """(2,2,0,0) then (2,2,8,0): the stretch holds eight values in (20, 30]."""
    points = [histogram(60, (2, 2, 0, 0), 40), histogram(130, (2, 2, 8, 0), 240)]
    (found,) = stretches(metric("histogram", CUMULATIVE), points, step_ns=MINUTE)
    assert (found["count"], found["sum"], found["avg"]) == (8, 200, 25)
    assert found["p50"] == pytest.approx(25)


def test_a_cumulative_histogram_that_was_reset_counts_from_zero() -> None:
    """A lower count in a bucket is a reset: the new state is the increase."""
    points = [histogram(60, (5, 0, 0, 0), 25), histogram(130, (0, 6, 0, 0), 90)]
    (found,) = stretches(metric("histogram", CUMULATIVE), points, step_ns=MINUTE)
    assert (found["count"], found["sum"]) == (6, 90)


def exponential(time_s: float, scale: int, positive: dict[int, int], total: float) -> MetricPoint:
    """Return a point of an exponential histogram."""
    each = Distribution(sum(positive.values()), total, None, None, scale=scale, positive=positive)
    return MetricPoint(ID, "{}", 0, int(time_s * NS), 0, distribution=each)


def test_cumulative_exponential_histograms_are_subtracted_across_scales() -> None:
    """Scale 1 (base √2) became scale 0 (base 2): buckets 2 and 3 are bucket 1, (2, 4]; four values were added."""
    points = [exponential(60, 1, {2: 1, 3: 1}, 6), exponential(130, 0, {1: 6}, 18)]
    (found,) = stretches(metric("exponential_histogram", CUMULATIVE), points, step_ns=MINUTE)
    assert (found["count"], found["sum"], found["avg"]) == (4, 12, 3)
    assert found["p50"] == pytest.approx(3)


def test_a_summary_shows_its_quantiles_and_average() -> None:
    """The quantiles that were sent are shown as they are."""
    point = MetricPoint(
        ID,
        "{}",
        0,
        60 * NS,
        0,
        distribution=Distribution(4, 10.0, None, None),
        quantiles=((0.5, 2.0), (0.99, 4.0)),
    )
    (found,) = stretches(metric("summary"), [point], step_ns=MINUTE)
    assert (found["avg"], found["value"], found["quantiles"]) == (2.5, 2.0, {"0.5": 2.0, "0.99": 4.0})
