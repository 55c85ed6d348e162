"""When a change counts: it must be large enough to matter and too large to be chance.

Large enough: at least ``LEAST_SPANS`` spans in each stretch of time, and the least differences below. Too large
to be chance: a test of two shares, at ``SIGNIFICANCE`` divided by the number of operations that were compared
(Bonferroni), so that a comparison of equal stretches reports anything at all in one of a hundred cases. For
durations the shares are those of the spans above the common median and above the common 90th percentile (Mood's
test and its like for another quantile): no assumption on how durations are distributed. The tests take spans as
independent of each other; many spans of few traces are not, so the example traces decide.

Sources: Fisher's exact test and the two-proportion test: https://www.itl.nist.gov/div898/handbook/prc/section3/prc33.htm;
Mood's median test: https://www.itl.nist.gov/div898/software/dataplot/refman1/auxillar/mediante.htm;
Bonferroni: https://www.itl.nist.gov/div898/handbook/prc/section4/prc473.htm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from receiver.questions import OperationFigures, OperationPair, WindowQuestion

LEAST_SPANS = 10
LEAST_RATIO = 1.5
LEAST_DIFFERENCE_MS = 10.0
LEAST_RATE_DIFFERENCE = 0.01
SIGNIFICANCE = 0.01
PRESENCE = 0.001
"""Chance below which all spans of an operation do not fall into one stretch of time by accident."""
_EXACT_BELOW = 50.0
"""Least expected count from which the normal approximation is used."""
_MOST_TERMS = 5000
RULE = (
    f"Compared are operations with at least {LEAST_SPANS} spans in both windows. Slower or faster: p50 or p95 in a"
    f" ratio of at least {LEAST_RATIO} and {LEAST_DIFFERENCE_MS:g} ms apart, and the share of spans above the common"
    f" median or 90th percentile differs. Error rate: at least {LEAST_RATE_DIFFERENCE:.0%} apart, and the shares"
    f" differ. Shares differ: Fisher's exact test (two-proportion z-test for large counts) below {SIGNIFICANCE}"
    f" divided by the number of operations compared. New or vanished: at least {LEAST_SPANS} spans in one window"
    f" and none in the other, by chance below {PRESENCE}."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A change that counts."""

    word: str
    """slower, faster, more_errors, fewer_errors."""
    p_value: float


def comparable(pair: OperationPair) -> bool:
    """Return whether there are enough spans on both sides."""
    return min(pair.window.count, pair.baseline.count) >= LEAST_SPANS


def judged_durations(pair: OperationPair, compared: int) -> Verdict | None:
    """Return whether an operation became slower or faster.

    Args:
        pair: Comparable.
        compared: How many operations are compared.
    """
    now, before = pair.window, pair.baseline
    if min(now.timed, before.timed) < LEAST_SPANS:
        return None
    for word, more, less in (("slower", now, before), ("faster", before, now)):
        if not (_longer(more.p95_ms, less.p95_ms) or _longer(more.p50_ms, less.p50_ms)):
            continue
        found = [
            two_shares(above, more.timed, below, less.timed)
            for above, below in (
                (more.above_median, less.above_median),
                (more.above_p90, less.above_p90),
            )
            if above * less.timed > below * more.timed
        ]
        chance = min(1.0, 2 * min(found, default=1.0))  # two tests
        if chance < SIGNIFICANCE / compared:
            return Verdict(word, chance)
    return None


def judged_errors(pair: OperationPair, compared: int) -> Verdict | None:
    """Return whether an operation failed more or less often."""
    now, before = pair.window, pair.baseline
    difference = error_rate(now) - error_rate(before)
    if abs(difference) < LEAST_RATE_DIFFERENCE:
        return None
    chance = two_shares(now.errors, now.count, before.errors, before.count)
    if chance >= SIGNIFICANCE / compared:
        return None
    return Verdict("more_errors" if difference > 0 else "fewer_errors", chance)


def appeared(count: int, other: int, question: WindowQuestion, *, in_window: bool) -> bool:
    """Return whether spans are in one window only, and more of them than chance puts there.

    Args:
        count: In the one.
        other: In the other.
        question: Names the windows.
        in_window: Whether the one is the window or the baseline.
    """
    one, both = question.window.length_ns, question.window.length_ns + question.baseline.length_ns
    share = (one if in_window else both - one) / both
    return other == 0 and count >= LEAST_SPANS and share**count < PRESENCE


def error_rate(figures: OperationFigures) -> float:
    """Return the share of failed spans."""
    return figures.errors / figures.count if figures.count else 0.0


def two_shares(a: int, of_a: int, b: int, of_b: int) -> float:
    """Return how likely two shares differ at least so much by chance, two-sided.

    Fisher's exact test; the pooled z-test where the least expected count is 50 or more, or the table too large.
    """
    total, hits = of_a + of_b, a + b
    if not of_a or not of_b or hits in (0, total):
        return 1.0
    expected = min(of_a, of_b) * min(hits, total - hits) / total
    lowest, highest = max(0, hits - of_b), min(of_a, hits)
    if expected >= _EXACT_BELOW or highest - lowest > _MOST_TERMS:
        share = hits / total
        spread = math.sqrt(share * (1 - share) * (1 / of_a + 1 / of_b))
        return math.erfc(abs(a / of_a - b / of_b) / spread / math.sqrt(2))
    logs = [_log_choose(of_a, x) + _log_choose(of_b, hits - x) for x in range(lowest, highest + 1)]
    whole = _log_choose(total, hits)
    limit = logs[a - lowest] + 1e-7  # equal ones differ in the last digits
    return min(1.0, math.fsum(math.exp(each - whole) for each in logs if each <= limit))


def _longer(more: float | None, less: float | None) -> bool:
    return (
        more is not None
        and less is not None
        and more - less >= LEAST_DIFFERENCE_MS
        and more >= LEAST_RATIO * less
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
