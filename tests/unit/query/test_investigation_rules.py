"""A change counts if it is large enough and too large to be chance."""

from __future__ import annotations

import random

import pytest

from receiver.query.investigation import windows_of
from receiver.query.investigation_deployments import deployments_of
from receiver.query.investigation_rules import appeared, judged_durations, judged_errors, two_shares
from receiver.questions import OperationFigures, OperationPair, ResourceWindow, TimeWindow, WindowQuestion


@pytest.mark.parametrize(
    ("table", "chance"),
    [
        ((3, 4, 1, 4), 34 / 70),  # Fisher's tea: 1 + 16 + 16 + 1 of 70 orders
        ((4, 4, 0, 4), 2 / 70),
        ((10, 10, 0, 10), 2 / 184_756),
        ((5, 10, 5, 10), 1.0),
        ((0, 10, 0, 10), 1.0),
        ((0, 0, 3, 10), 1.0),
    ],
)
def test_small_tables_have_the_exact_chance(table: tuple[int, int, int, int], chance: float) -> None:
    """Counted by hand: ways to choose, over all ways."""
    assert two_shares(*table) == pytest.approx(chance)
    a, of_a, b, of_b = table
    assert two_shares(b, of_b, a, of_a) == pytest.approx(chance)


def test_large_tables_have_the_normal_approximation_and_take_no_time() -> None:
    """1.96 standard errors apart are one in twenty."""
    n = 1_000_000
    share_error = (2 * 0.25 / n) ** 0.5
    assert two_shares(n // 2 + round(1.96 * share_error * n), n, n // 2, n) == pytest.approx(0.05, abs=0.001)


def figures(durations: list[float], errors: int = 0, *, pooled: list[float]) -> OperationFigures:
    """Return the figures of a sample, as the store computes them."""
    ordered, both = sorted(durations), sorted(pooled)
    p50, p95, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 0.99))
    median, p90 = (both[int(share * (len(both) - 1))] for share in (0.5, 0.9))
    above = [sum(each > limit for each in durations) for limit in (median, p90)]
    return OperationFigures(len(durations), errors, p50, p95, p99, len(durations), *above)


def pair(now: list[float], before: list[float], errors: tuple[int, int] = (0, 0)) -> OperationPair:
    """Return one operation in both windows."""
    pooled = now + before
    a, b = figures(now, errors[0], pooled=pooled), figures(before, errors[1], pooled=pooled)
    return OperationPair("shop", "work", "server", a, b, (), ())


def test_a_slower_operation_is_slower_and_its_mirror_is_faster() -> None:
    """The verdict follows the direction."""
    slow, fast = [300.0 + n for n in range(40)], [100.0 + n for n in range(40)]
    verdicts = [judged_durations(pair(*each), 100) for each in ((slow, fast), (fast, slow), (fast, fast))]
    assert [verdict.word if verdict else None for verdict in verdicts] == ["slower", "faster", None]


def test_a_slow_tail_alone_is_found() -> None:
    """A tenth of the spans became slow; the median did not move."""
    before = [100.0 + n % 10 for n in range(200)]
    now = [1000.0 if n % 10 == 0 else 100.0 + n % 10 for n in range(200)]
    verdict = judged_durations(pair(now, before), 10)
    assert verdict is not None
    assert verdict.word == "slower"


def test_small_differences_do_not_count_however_certain() -> None:
    """Below the least difference or ratio nothing is reported."""
    assert judged_durations(pair([9.0] * 1000, [1.0] * 1000), 1) is None
    assert judged_durations(pair([140.0] * 1000, [100.0] * 1000), 1) is None
    assert judged_errors(pair([1.0] * 100_000, [1.0] * 100_000, (900, 0)), 1) is None


def test_error_rates_are_judged_in_both_directions() -> None:
    """More and fewer failures; a difference that chance makes is none."""
    same = [1.0] * 100
    verdicts = [judged_errors(pair(same, same, errors), 10) for errors in ((20, 0), (0, 20), (3, 0))]
    assert [verdict.word if verdict else None for verdict in verdicts] == [
        "more_errors",
        "fewer_errors",
        None,
    ]


def test_samples_of_one_distribution_are_told_apart_in_less_than_one_of_a_hundred_comparisons() -> None:
    """300 comparisons of 20 operations each with 10 to 200 heavy-tailed durations; the seed is fixed."""
    source = random.Random(7)
    reported = 0
    for _ in range(300):
        verdicts = []
        for _ in range(20):
            now, before = (
                [source.lognormvariate(5, 1.5) for _ in range(source.randrange(10, 200))] for _ in range(2)
            )
            errors = (sum(source.random() < 0.05 for _ in now), sum(source.random() < 0.05 for _ in before))
            each = pair(now, before, errors)
            verdicts += [judged_durations(each, 20), judged_errors(each, 20)]
        reported += any(verdicts)
    assert reported <= 6  # two tests at one in a hundred each


def test_presence_depends_on_the_lengths_of_the_windows() -> None:
    """Ten spans in one of two equal windows are new; in one that is ten times as long they are nothing."""
    equal = WindowQuestion(TimeWindow(10, 20), TimeWindow(0, 10))
    longer = WindowQuestion(TimeWindow(10, 110), TimeWindow(0, 10))
    assert appeared(10, 0, equal, in_window=True)
    assert not appeared(9, 0, equal, in_window=True)
    assert not appeared(10, 1, equal, in_window=True)
    assert not appeared(10, 0, longer, in_window=True)
    assert appeared(10, 0, longer, in_window=False)


def test_what_is_not_said_of_the_baseline_makes_it_as_long_right_before() -> None:
    """Either end can be given alone."""
    window = TimeWindow(100, 120)
    assert windows_of(100, 120, None, None) == (window, TimeWindow(80, 100))
    assert windows_of(100, 120, 10, None) == (window, TimeWindow(10, 30))
    assert windows_of(100, 120, 90, None) == (window, TimeWindow(90, 100))
    assert windows_of(100, 120, None, 50) == (window, TimeWindow(30, 50))
    assert windows_of(100, 120, 200, None) == (window, TimeWindow(200, 220))
    assert windows_of(10, 100, None, None) == (TimeWindow(10, 100), TimeWindow(0, 10))


def resource(count: int, before: int, service: str = "shop", **attributes: str) -> ResourceWindow:
    """Return a resource; a name's ``_`` stands for a dot."""
    said = {key.replace("_", "."): value for key, value in attributes.items()}
    return ResourceWindow(service, said, count, before, 1)


def test_new_versions_are_deployments_and_new_instances_are_not() -> None:
    """What names a process, host or pod changes with each restart."""
    found = deployments_of(
        [
            resource(
                0, 5, service_version="1", host_name="h1", k8s_pod_name="p1", process_pid="1", region="eu"
            ),
            resource(
                5, 0, service_version="2", host_name="h2", k8s_pod_name="p2", process_pid="2", region="eu"
            ),
        ]
    )
    assert [(each["attribute"], each["value"], each["before"]) for each in found] == [
        ("service.version", "2", ["1"])
    ]


def test_a_version_that_was_there_before_is_no_deployment() -> None:
    """A rollout that only went on brings nothing new."""
    assert deployments_of([resource(5, 5, service_version="1"), resource(5, 1, service_version="2")]) == []


def test_a_new_service_is_one_line_and_values_that_always_differ_are_none() -> None:
    """A service without a past has no changed attributes; a key with many values is a name."""
    found = deployments_of(
        [
            resource(5, 5, service_version="1"),
            resource(5, 0, "till", service_version="9", tier="x"),
            *(resource(1, 1, "runner", build=f"b{number}") for number in range(20)),
            *(resource(1, 0, "runner", build=f"c{number}") for number in range(3)),
        ]
    )
    assert [(each["service"], each["attribute"]) for each in found] == [("till", "service.name")]
