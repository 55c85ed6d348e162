"""The verdict of a soak: what keeps growing is found, what comes to rest is not blamed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest

from receiver.signals import Signal
from tests.faults.soak import differences
from tests.faults.soak_samples import BOUNDS, settled

Shape = Callable[[float], float]
"""A measure, in its bound's unit, by the share of the soak that is over."""
_SETTLING: dict[str, Shape] = {
    "constant": lambda _: 200.0,
    "warming up": lambda t: 200.0 * (1 - math.exp(-t * 20)),
    "a saw": lambda t: 200.0 + 100 * (t * 40 % 1),
    "one peak at the end": lambda t: 500.0 if t > 0.97 else 200.0,
    "shrinking": lambda t: 300.0 - 100 * t,
}
_GROWING: dict[str, Shape] = {
    "a steady leak": lambda t: 100.0 + 150 * t,
    "a leak under a saw": lambda t: 100.0 + 150 * t + 30 * (t * 40 % 1),
    "a leak that begins late": lambda t: 100.0 if t < 0.6 else 100.0 + 300 * (t - 0.6),
}


def _verdicts(shape: Shape) -> dict[str, bool]:
    taken = [
        (n / 2, {name: shape(n / 400) * bound.unit for name, bound in BOUNDS.items()}) for n in range(400)
    ]
    return {each.measure: each.holds for each in settled(taken)}


@pytest.mark.parametrize("shape", _SETTLING.values(), ids=_SETTLING)
def test_what_comes_to_rest_settles(shape: Shape) -> None:
    """Whatever it did before, and whatever it does for a moment."""
    assert all(_verdicts(shape).values())


@pytest.mark.parametrize("shape", _GROWING.values(), ids=_GROWING)
def test_what_keeps_growing_does_not_settle(shape: Shape) -> None:
    """In every measure."""
    assert not any(_verdicts(shape).values())


def test_records_that_are_not_accounted_for_are_told() -> None:
    """Accepted is what is in all states; accepted without duplicates is what clients were told."""
    states = {
        "accepted": Counter({"traces": 30, "logs": 20, "metrics": 10}),
        "stored": Counter({"traces": 20, "logs": 19, "metrics": 10}),
        "duplicates": Counter({"traces": 10}),
        "in_spool": Counter(),
    }
    acknowledged = {Signal.TRACES: 20, Signal.LOGS: 20, Signal.METRICS: 12}
    told = differences(states, acknowledged)
    assert len(told) == 2
    assert told[0].startswith("metrics: 12 were acknowledged, 10 accepted")
    assert told[1].startswith("logs: 20 accepted are not")
