"""The critical path is a stretch of somebody's work for every moment of the root's time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from receiver.query.critical_path import critical_path
from receiver.query.outline_spans import forest_of
from tests.support.plain_spans import plain_span, well_formed_traces


def path(*spans: dict[str, Any]) -> list[tuple[str | None, int, int]]:
    """Return the path as span id, start and end in milliseconds."""
    forest = forest_of(list(spans))
    return [
        (step.place.span["span_id"] if step.place else None, step.start // 10**6, step.end // 10**6)
        for step in critical_path(forest.roots)
    ]


def test_the_last_finishing_child_decides_and_what_runs_beside_it_does_not() -> None:
    """Computed by hand: b ends last; a ended before b started; c ran beside b."""
    found = path(
        plain_span("r", None, 1000, 1100),
        plain_span("a", "r", 1010, 1030),
        plain_span("b", "r", 1040, 1090),
        plain_span("c", "r", 1035, 1080),
    )
    assert found == [
        ("r", 1000, 1010),
        ("a", 1010, 1030),
        ("r", 1030, 1040),
        ("b", 1040, 1090),
        ("r", 1090, 1100),
    ]


def test_the_path_goes_down_to_the_children_of_children() -> None:
    """Inside the deciding child the same rule holds."""
    found = path(
        plain_span("r", None, 1000, 1100),
        plain_span("a", "r", 1010, 1090),
        plain_span("b", "a", 1020, 1050),
        plain_span("c", "b", 1030, 1050),
    )
    assert found == [
        ("r", 1000, 1010), ("a", 1010, 1020), ("b", 1020, 1030), ("c", 1030, 1050), ("a", 1050, 1090),
        ("r", 1090, 1100),
    ]  # fmt: skip


def test_what_a_child_does_outside_its_parent_is_cut_off_at_every_level() -> None:
    """A child that goes on after its parent, and its own child, count to the parent's end only."""
    found = path(
        plain_span("r", None, 1000, 1100),
        plain_span("a", "r", 1050, 1200),
        plain_span("b", "a", 1070, 1190),
        plain_span("late", "r", 1150, 1160),
    )
    assert found == [("r", 1000, 1050), ("a", 1050, 1070), ("b", 1070, 1100)]


def test_several_roots_follow_each_other_with_the_time_between_them() -> None:
    """The time in which no root ran is nobody's."""
    found = path(plain_span("x", None, 1000, 1010), plain_span("y", "gone", 1015, 1040))
    assert found == [("x", 1000, 1010), (None, 1010, 1015), ("y", 1015, 1040)]


def test_no_spans_have_no_path() -> None:
    """Nothing in, nothing out."""
    assert critical_path([]) == []


@given(well_formed_traces())
def test_own_times_on_the_path_add_up_to_the_roots_duration(spans: list[dict[str, Any]]) -> None:
    """The steps follow each other without gap or overlap, and each lies within its own span."""
    forest = forest_of(spans)
    (root,) = forest.roots
    steps = critical_path(forest.roots)
    assert sum(step.length_ns for step in steps) == root.length_ns
    at = root.start
    for step in steps:
        assert step.place is not None
        assert step.start == at
        assert step.place.start <= step.start < step.end <= step.place.end
        at = step.end


@given(st.data())
def test_any_set_of_spans_has_a_path_as_long_as_the_trace(data: st.DataObject) -> None:
    """Missing parents, circles, repeated ids and times that cannot be: it ends, and nothing is counted twice."""
    ids = st.sampled_from("abcdef")
    spans = data.draw(
        st.lists(
            st.builds(
                plain_span, ids, st.none() | ids | st.just("gone"), st.integers(1, 50), st.integers(0, 60)
            ),
            min_size=1,
            max_size=12,
        )
    )
    forest = forest_of(spans)
    assert len(forest.places) == len(spans)
    roots = forest.roots
    expected = max(root.end for root in roots) - min(root.start for root in roots)
    assert sum(step.length_ns for step in critical_path(roots)) == expected
    assert all(0 <= place.own_ns <= place.length_ns for place in forest.places)
