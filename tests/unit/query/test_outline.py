"""An outline says what matters of any trace, in an answer that stays small."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.query.outline import REPEATED, outline_of
from receiver.query.outline_spans import LONGEST_TEXT
from tests.support.plain_spans import plain_log, plain_span, records, well_formed_traces


def outline(*spans: dict[str, Any], logs: Any = (), limit: int = 10) -> dict[str, Any]:
    """Return the outline of a trace written by hand."""
    return outline_of(records(*spans, logs=logs), limit=limit)


def checkout() -> list[dict[str, Any]]:
    """Return a checkout whose payment fails in the bank."""
    thrown = {
        "name": "exception",
        "attributes": {"exception.type": "Timeout", "exception.message": "no answer"},
    }
    return [
        plain_span("r", None, 1000, 1100, "POST /checkout", status="error", status_message="checkout failed"),
        plain_span("c", "r", 1010, 1030, "cart"),
        plain_span("p", "r", 1030, 1090, "pay", status="error"),
        plain_span(
            "b",
            "p",
            1040,
            1090,
            "charge",
            service="bank",
            status="error",
            status_message="late",
            events=[thrown],
        ),
    ]


def test_totals_path_and_own_times_are_those_computed_by_hand() -> None:
    """r: 100 ms less 80 covered; p: 60 less 50; the path is r, c, p, b, r."""
    found = outline(*checkout())
    assert (found["name"], found["service"], found["duration_ms"]) == ("POST /checkout", "shop", 100)
    assert (found["span_count"], found["error_count"], found["root_count"], found["depth"]) == (4, 3, 1, 2)
    path = found["critical_path"]
    assert [(each["span_id"], each["self_ms"]) for each in path["spans"]] == [
        ("r", 20), ("c", 20), ("p", 10), ("b", 50),
    ]  # fmt: skip
    assert [each["share"] for each in path["spans"]] == [0.2, 0.2, 0.1, 0.5]
    assert path["duration_ms"] == 100
    assert [(each["span_id"], each["self_ms"]) for each in found["slowest_spans"]] == [
        ("b", 50), ("r", 20), ("c", 20), ("p", 10),
    ]  # fmt: skip
    assert found["services"] == [
        {"service": "bank", "spans": 1, "errors": 1, "total_ms": 50, "self_ms": 50},
        {"service": "shop", "spans": 3, "errors": 2, "total_ms": 180, "self_ms": 50},
    ]


def test_the_first_failure_is_the_deepest_with_what_it_said() -> None:
    """Callers that only pass the failure on are not repeated; its log records at error level stand with it."""
    logs = [
        plain_log("bank is late", "b"),
        plain_log("all is well", "b", severity=9),
        plain_log("nobody's trouble", "c"),
    ]
    found = outline(*checkout(), logs=logs)
    (failure,) = found["errors"]
    assert (failure["span_id"], failure["service"], failure["status_message"]) == ("b", "bank", "late")
    assert failure["exception"] == {"type": "Timeout", "message": "no answer"}
    assert failure["way"] == ["shop: POST /checkout", "shop: pay", "bank: charge"]
    assert [each["body"] for each in failure["logs"]] == ["bank is late"]
    assert [each["body"] for each in found["error_logs"]] == ["nobody's trouble"]


def test_failures_of_one_kind_are_one_line() -> None:
    """A hundred spans that failed in the same way are its first one and a number."""
    spans = [
        plain_span(str(number), "r", 1000, 1000 + number, "call", status="error") for number in range(1, 101)
    ]
    (failure,) = outline(plain_span("r", None, 1000, 2000), *spans)["errors"]
    assert (failure["span_id"], failure["count"]) == ("1", 100)


def test_a_repeated_child_is_found() -> None:
    """The same query many times under one parent is a repetition, fewer than the least are none."""
    root = plain_span("r", None, 1000, 2000, "list")
    few = [plain_span(f"f{number}", "r", 1000, 1001, "few") for number in range(REPEATED - 1)]
    many = [plain_span(f"m{number}", "r", 1000 + number, 1002 + number, "query") for number in range(30)]
    (found,) = outline(root, *few, *many)["repeated"]
    assert (found["parent_name"], found["name"], found["count"], found["most_under_one"]) == (
        "list",
        "query",
        30,
        30,
    )
    assert (found["total_ms"], found["example_parent_span_id"]) == (60, "r")


def test_tokens_are_counted_once_and_per_model() -> None:
    """The agent's span repeats the sum of its calls; plain names count beside a model only."""
    usage = {"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 5, "gen_ai.request.model": "m1"}
    plain = {"input_tokens": 7, "output_tokens": 2, "cache_read_tokens": 9, "gen_ai.request.model": "m2"}
    found = outline(
        plain_span("agent", None, 1000, 1100, attributes={**usage, "gen_ai.usage.input_tokens": 60}),
        plain_span("step", "agent", 1000, 1100),
        plain_span("one", "step", 1000, 1010, attributes=usage),
        plain_span("two", "step", 1010, 1020, attributes=usage, status="error"),
        plain_span("three", "agent", 1020, 1030, attributes=plain),
        plain_span("four", "agent", 1020, 1030, attributes={"input_tokens": 99}),
    )["models"]
    assert [(each["model"], each["calls"], each["errors"]) for each in found] == [("m1", 2, 1), ("m2", 1, 0)]
    assert [(each["input_tokens"], each["output_tokens"], each["cache_read_tokens"]) for each in found] == [
        (60, 10, 0), (7, 2, 9),
    ]  # fmt: skip


def test_broken_traces_are_outlined_and_said_to_be_broken() -> None:
    """A missing parent, a circle, a repeated id and an end before the start."""
    found = outline(
        plain_span("a", "gone", 1000, 1010),
        plain_span("b", "c", 1000, 1010),
        plain_span("c", "b", 1000, 1010),
        plain_span("d", None, 1020, 1000),
        plain_span("d", None, 1000, 1030),
    )
    assert [line.rpartition(" ")[2] for line in found["broken"]] == ["1", "1", "1", "1"]
    assert (found["span_count"], found["root_count"], found["duration_ms"]) == (5, 4, 30)


def test_a_trace_of_log_records_alone_has_an_outline() -> None:
    """Nothing divides by a number of spans."""
    found = outline(logs=[plain_log("alone")])
    assert (found["span_count"], found["log_count"], found["service"]) == (0, 1, "shop")
    assert [each["body"] for each in found["error_logs"]] == ["alone"]


def test_long_lists_and_texts_are_cut_and_said_to_be() -> None:
    """A limit holds for each list, and the answer says how many more there are."""
    spans = [
        plain_span(f"s{number}", "r", 1000 + number, 1001 + number, "x" * 9999 + str(number))
        for number in range(9)
    ]
    found = outline(plain_span("r", None, 1000, 1100), *spans, limit=3)
    assert {name: len(found[name]) for name in ("slowest_spans", "operations")} == {
        "slowest_spans": 3,
        "operations": 3,
    }
    assert found["cut"] == {"slowest_spans": 7, "operations": 7}
    assert max(len(each["name"]) for each in found["operations"]) == LONGEST_TEXT
    assert len(found["critical_path"]["spans"]) == 3
    assert found["critical_path"]["span_count"] == 10


@pytest.mark.parametrize("shape", ["chain", "star", "pairs"])
def test_ten_thousand_spans_take_a_moment_and_the_answer_stays_small(shape: str) -> None:
    """Deep, wide and broken traces of 10,000 spans: no recursion, no square of their number."""
    shapes: dict[str, Callable[[int], str]] = {
        "chain": lambda number: str(number - 1),
        "star": lambda _: "0",
        "pairs": lambda number: str(number ^ 1),  # circles of two
    }
    parents = shapes[shape]
    spans = [plain_span("0", None, 1000, 21_000)] + [
        plain_span(str(n), parents(n), 1000 + n // 2, 20_000 - n // 2, f"n{n % 50}", status="error")
        for n in range(1, 10_000)
    ]
    started = time.process_time()
    found = outline(*spans)
    assert (
        time.process_time() - started < 2
    )  # a tenth of a second where nothing else runs; a square takes minutes
    assert found["span_count"] == 10_000
    assert len(orjson.dumps(found)) < 40_000


@given(well_formed_traces(), st.integers(1, 5))
def test_every_outline_is_json_within_its_limit(spans: list[dict[str, Any]], limit: int) -> None:
    """Own times of all services add up to no more than all spans took, and lists keep their limit."""
    found = outline(*spans, limit=limit)
    assert orjson.loads(orjson.dumps(found))
    assert all(
        len(each) <= limit
        for each in found.values()
        if isinstance(each, list) and each is not found["broken"]
    )
    assert found["critical_path"]["duration_ms"] == pytest.approx(found["duration_ms"])
