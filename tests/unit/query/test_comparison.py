"""Two traces side by side: what differs is said, what does not is not."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from receiver.query.comparison import comparison_of
from receiver.questions import TraceRecords
from tests.support.plain_spans import plain_span, records, well_formed_traces

LISTS = (
    "slower", "faster", "counts", "only_in_a", "only_in_b", "errors_only_in_a", "errors_only_in_b", "attributes",
)  # fmt: skip


def compared(a: TraceRecords, b: TraceRecords, limit: int = 1000) -> dict[str, Any]:
    """Return the comparison."""
    return comparison_of(a, b, limit=limit)


def fast() -> TraceRecords:
    """Return a trace of 100 ms."""
    return records(
        plain_span("r", None, 1000, 1100, "GET /", attributes={"cache": "hit", "n": 1}),
        plain_span("q", "r", 1010, 1030, "query"),
        plain_span("c", "r", 1030, 1090, "cache"),
        resources={"r": {"attributes": {"service.version": "1"}}},
    )


def slow() -> TraceRecords:
    """Return a trace of the same request, of 300 ms: queried twice, without the cache, with a failed call."""
    return records(
        plain_span("1", None, 5000, 5300, "GET /", attributes={"cache": "miss", "n": 1.0, "retry": True}),
        plain_span("2", "1", 5010, 5110, "query"),
        plain_span("3", "1", 5110, 5210, "query"),
        plain_span("4", "1", 5210, 5290, "load", service="disk", status="error", status_message="no disk"),
        plain_span("5", "4", 5220, 5280, "read", service="disk"),
        resources={"r": {"attributes": {"service.version": "2"}}},
    )


def test_differences_are_those_computed_by_hand() -> None:
    """Sums by way from the root; what hangs below a way that one trace alone has is counted there."""
    found = compared(fast(), slow())
    assert [(each["way"][-1], each["difference_ms"], each["self_difference_ms"]) for each in found["slower"]] == [
        ("shop: query", 180, 180), ("shop: GET /", 200, 0),
    ]  # fmt: skip
    assert found["slower"][0]["ratio"] == 10
    assert found["faster"] == []
    assert [(each["way"][-1], each["a"]["count"], each["b"]["count"]) for each in found["counts"]] == [
        ("shop: query", 1, 2)
    ]
    assert [(each["way"], each["total_ms"]) for each in found["only_in_a"]] == [
        (["shop: GET /", "shop: cache"], 60)
    ]
    (only,) = found["only_in_b"]
    assert (only["way"][-1], only["spans_below"]) == ("disk: load", 1)
    (failed,) = found["errors_only_in_b"]
    assert (failed["way"][-1], failed["status_message"], failed["errors"]) == ("disk: load", "no disk", 1)
    assert found["errors_only_in_a"] == []
    assert found["attributes"] == [
        {"key": "cache", "of": "span", "a": "hit", "b": "miss"},
        {"key": "n", "of": "span", "a": 1, "b": 1.0},
        {"key": "retry", "of": "span", "a": None, "b": True},
        {"key": "service.version", "of": "resource", "a": "1", "b": "2"},
    ]
    assert found["same_root"] is True
    said = " ".join(found["summary"])
    for part in ("b took 200 ms longer than a (100 ms to 300 ms)", "shop: query took +180 ms", "no disk"):
        assert part in said


def test_a_limit_cuts_each_list_and_says_so() -> None:
    """The most important entries stay."""
    found = compared(fast(), slow(), limit=1)
    assert [each["way"][-1] for each in found["slower"]] == ["shop: query"]
    assert found["cut"] == {"slower": 1, "attributes": 3}


def test_traces_with_other_roots_share_nothing() -> None:
    """That they begin with different operations is the first thing that is said."""
    found = compared(records(plain_span("r", None, 1, 2, "a")), records(plain_span("r", None, 1, 2, "b")))
    assert found["same_root"] is False
    assert "different operations: shop: a and shop: b" in found["summary"][0]
    assert (len(found["only_in_a"]), len(found["only_in_b"])) == (1, 1)


def test_a_trace_of_log_records_alone_can_be_compared() -> None:
    """Nothing needs a root."""
    empty = TraceRecords([], [], {}, {}, truncated=False)
    found = compared(empty, fast())
    assert found["a"]["span_count"] == 0
    assert [each["spans_below"] for each in found["only_in_b"]] == [2]


@given(well_formed_traces())
def test_a_trace_does_not_differ_from_itself(spans: list[dict[str, Any]]) -> None:
    """Every list is empty, and the one sentence says so."""
    found = compared(records(*spans), records(*spans))
    assert [name for name in LISTS if found[name]] == []
    assert found["summary"] == [
        "The traces do not differ in structure, errors, or durations beyond the rule."
    ]


@given(well_formed_traces(), well_formed_traces())
def test_exchanging_the_traces_exchanges_the_answer(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> None:
    """Slower becomes faster, a becomes b, and every difference changes its sign."""
    there, back = compared(records(*a), records(*b)), compared(records(*b), records(*a))
    for one, other in (("slower", "faster"), ("faster", "slower"), ("counts", "counts")):
        mirrored = [
            (each["way"], -each["difference_ms"], -each["self_difference_ms"], each["b"], each["a"])
            for each in back[other]
        ]
        said = [
            (each["way"], each["difference_ms"], each["self_difference_ms"], each["a"], each["b"])
            for each in there[one]
        ]
        assert sorted(said, key=str) == sorted(mirrored, key=str)
    for name in ("only_in", "errors_only_in"):
        assert there[f"{name}_a"] == back[f"{name}_b"]
        assert there[f"{name}_b"] == back[f"{name}_a"]
