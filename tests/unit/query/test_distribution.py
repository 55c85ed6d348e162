"""Quantiles from buckets, on shapes whose answer is known."""

from __future__ import annotations

import pytest

from receiver.query.distribution import quantile
from receiver.questions import Distribution


def explicit(*counts: int, least: float | None = None, most: float | None = None) -> Distribution:
    """Return a histogram with the bounds 10 and 20."""
    return Distribution(sum(counts), None, least, most, (10.0, 20.0), counts)


def test_values_are_spread_evenly_in_a_bucket() -> None:
    """A quarter of ten values between 10 and 20 lies below 12.5."""
    assert quantile([explicit(0, 10, 0)], 0.25) == pytest.approx(12.5)


def test_the_open_buckets_reach_to_the_recorded_minimum_and_maximum() -> None:
    """Below 10 they start at the minimum, above 20 they end at the maximum."""
    both = explicit(5, 0, 5, least=6, most=40)
    assert quantile([both], 0.25) == pytest.approx(8)
    assert quantile([both], 0.75) == pytest.approx(30)


def test_without_a_maximum_the_last_bucket_answers_its_bound() -> None:
    """Nothing is invented above the last bound."""
    assert quantile([explicit(0, 0, 5)], 0.99) == 20


def test_histograms_with_other_bounds_can_be_added() -> None:
    """Two kinds of buckets in one stretch give one quantile."""
    other = Distribution(10, None, None, None, (0.0, 10.0), (0, 10, 0))
    assert quantile([explicit(0, 10, 0), other], 0.5) == pytest.approx(10)


def test_exponential_buckets_have_powers_of_the_base_as_bounds() -> None:
    """Scale 0, bucket 3 is (8, 16]; negative buckets mirror it; zeros stand between."""
    each = Distribution(
        3, None, None, None, scale=0, zero_count=1, zero_threshold=0.0, positive={3: 1}, negative={3: 1}
    )
    assert quantile([each], 0.5) == 0
    assert quantile([each], 5 / 6) == pytest.approx(12)
    assert quantile([each], 1 / 6) == pytest.approx(-12)


def test_extreme_scales_do_not_overflow() -> None:
    """Bounds beyond what a double can say become the greatest double, or zero."""
    each = Distribution(2, None, None, None, scale=-11, positive={0: 1, -1: 1})
    answer = quantile([each], 0.5)
    assert answer is not None
    assert answer >= 0


def test_no_values_have_no_quantile() -> None:
    """An empty histogram answers nothing."""
    assert quantile([explicit(0, 0, 0)], 0.5) is None
    assert quantile([], 0.5) is None


def test_a_histogram_without_buckets_answers_its_average() -> None:
    """Only count and sum are known."""
    assert quantile([Distribution(4, 20.0, None, None)], 0.5) == 5
