"""The rules of counting: nothing twice, nothing added that only says the same again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.questions import AgentRecord, Status
from receiver.sessions.prices import Price, PriceTable, packaged_prices
from receiver.sessions.session import session_summary, session_tree
from tests.support.agent_records import make_log, make_point, make_span

CHEAP = PriceTable({"m": Price.model_validate({"input": 1.0, "output": 2.0, "as_of": "2026-11-01"})})
CLAUDE = "claude-code"


def tree(*records: AgentRecord, prices: PriceTable | None = None) -> dict[str, Any]:
    """Return the session of these records."""
    return session_tree("s", records, prices or CHEAP)


def request(number: int, **attributes: Any) -> AgentRecord:
    """Return Claude Code's event of a model call; a second after the one before."""
    usual = {"model": "m", "input_tokens": 10, "output_tokens": 5, "duration_ms": 500}
    return make_log("claude_code.api_request", at=number, service=CLAUDE, attributes={**usual, **attributes})


def test_an_event_sent_again_counts_once() -> None:
    """An event without an id is known by name, time, attributes and body."""
    assert tree(request(1), request(1), request(2))["model_calls"] == 2


def test_events_with_one_request_id_are_one_call() -> None:
    """Also where they differ in what else they say."""
    found = tree(request(1, request_id="r"), request(2, request_id="r", speed="fast"))
    assert (found["model_calls"], found["tokens"]["total"]) == (1, 15)


def test_calls_that_look_alike_are_two_where_one_record_tells_each() -> None:
    """Two events of one name, at different times, with the same tokens, are two calls."""
    assert tree(request(1), request(2))["tokens"]["total"] == 30


def test_a_span_sent_again_counts_once() -> None:
    """A span is known by its ids."""
    span = make_span("chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7})
    assert tree(span, span)["tokens"]["input"] == 7


def test_an_event_without_id_and_a_span_are_one_call() -> None:
    """Same model, same tokens, ends within seconds: one call, told twice."""
    span = make_span(
        "claude_code.llm_request",
        at=0.6,
        lasts=0.5,
        service=CLAUDE,
        attributes={"model": "m", "input_tokens": 10, "output_tokens": 5, "request_id": "r", "ttft_ms": 90},
    )
    found = tree(request(1), span)
    assert found["model_calls"] == 1
    assert found["turns"][0]["calls"][0]["time_to_first_token_ms"] == 90


def test_records_with_different_request_ids_are_two_calls() -> None:
    """Even where all else is the same."""
    span = make_span(
        "claude_code.llm_request",
        at=0.6,
        lasts=0.5,
        service=CLAUDE,
        attributes={"model": "m", "input_tokens": 10, "output_tokens": 5, "request_id": "other"},
    )
    assert tree(request(1, request_id="r"), span)["model_calls"] == 2


def test_delta_points_are_added_and_a_repeated_one_counts_once() -> None:
    """A point is known by metric, attributes, start and time."""
    first = make_point("claude_code.token.usage", 100, type="input", model="m")
    again = make_point("claude_code.token.usage", 50, start=60, at=120, type="input", model="m")
    assert tree(first, first, again)["tokens"]["input"] == 150


def test_of_cumulative_points_the_last_of_each_start_counts() -> None:
    """A new start is a process that counts from nothing again."""
    points = [
        make_point(
            "qwen-code.token.usage", value, start=start, at=at, temporality=2, type="output", model="m"
        )
        for value, start, at in ((10, 0, 60), (25, 0, 120), (7, 130, 180))
    ]
    assert tree(*points)["tokens"]["output"] == 32


def test_metrics_and_calls_fill_each_other_up_and_are_not_added() -> None:
    """Per model and type the greater figure counts; what metrics count beyond is shown."""
    found = tree(
        request(1, cost_usd=0.5),
        make_point("claude_code.token.usage", 10, type="input", model="m"),
        make_point("claude_code.token.usage", 9, type="output", model="m"),
        make_point("claude_code.cost.usage", 0.75, model="m"),
    )
    assert (found["tokens"]["input"], found["tokens"]["output"]) == (10, 9)
    assert (found["cost_usd"], found["cost_source"]) == (0.75, "reported")
    assert found["unattributed"]["tokens"]["output"] == 4
    assert found["unattributed"]["cost_usd"] == 0.25


def test_tokens_that_nobody_paid_for_are_estimated_beside_what_was_reported() -> None:
    """A call without a reported cost is estimated; the sum is mixed."""
    found = tree(request(1, cost_usd=0.5), request(2, input_tokens=1_000_000, output_tokens=0))
    assert (found["cost_usd"], found["cost_source"]) == (1.5, "mixed")


def test_a_metric_of_tokens_alone_pays_for_nothing() -> None:
    """Agents without a cost metric: tokens that only metrics tell are estimated."""
    found = tree(make_point("gemini_cli.token.usage", 1_000_000, type="output", model="m"))
    assert (found["cost_usd"], found["cost_source"]) == (2.0, "estimated")


def test_a_model_without_a_price_has_no_cost() -> None:
    """Nothing is made up: the cost is null, and the model is named."""
    found = tree(request(1, model="unheard-of"))
    assert (found["cost_usd"], found["cost_source"]) == (None, "unknown")
    assert found["unpriced_models"] == ["unheard-of"]


def test_cost_in_micros_is_read_where_there_is_no_cost_in_dollars() -> None:
    """cost_usd_micros is the same amount as a whole number."""
    assert tree(request(1, cost_usd_micros=2500))["cost_usd"] == 0.0025


def test_parents_that_repeat_the_usage_of_their_calls_do_not_count() -> None:
    """invoke_agent, chains and workflows sum up what is below them."""
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    found = tree(
        make_span("invoke_agent x", 1, attributes={"gen_ai.operation.name": "invoke_agent", **usage}),
        make_span("chain", 2, parent=1, attributes={"openinference.span.kind": "CHAIN", **usage}),
        make_span("chat m", 3, parent=2, attributes={"gen_ai.operation.name": "chat", **usage}),
    )
    assert (found["model_calls"], found["tokens"]["total"]) == (1, 110)


def test_of_model_calls_above_one_another_the_innermost_counts() -> None:
    """A framework and its client both report the call that passes through them."""
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    chat = {"gen_ai.operation.name": "chat", **usage}
    found = tree(
        make_span("chat m", 1, attributes=chat),
        make_span("http", 2, parent=1),
        make_span("chat m", 3, parent=2, attributes=chat),
    )
    assert (found["model_calls"], found["tokens"]["total"]) == (1, 110)


def test_a_model_call_inside_a_tool_is_a_call_of_its_own() -> None:
    """A tool that asks a model, below a model call, hides nothing."""
    chat = {"gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": 10}
    found = tree(
        make_span("chat m", 1, attributes=chat),
        make_span("tool", 2, parent=1, attributes={"gen_ai.operation.name": "execute_tool"}),
        make_span("chat m", 3, parent=2, attributes=chat),
    )
    assert (found["model_calls"], found["tool_calls"], found["tokens"]["total"]) == (2, 1, 20)


def test_an_error_event_is_a_try_of_the_call_that_was_retried() -> None:
    """Told by an event and by the span's number of attempts it is one error."""
    failed = make_log(
        "claude_code.api_error", at=1, service=CLAUDE, attributes={"model": "m", "error": "529", "attempt": 1}
    )
    span = make_span(
        "claude_code.llm_request",
        at=0,
        lasts=3,
        service=CLAUDE,
        attributes={"model": "m", "input_tokens": 1, "attempt": 2, "success": True},
    )
    assert tree(failed)["errors"] == 1
    assert tree(span)["errors"] == 1
    both = tree(failed, span)
    assert (both["errors"], both["model_calls"]) == (1, 1)
    assert both["turns"][0]["calls"][0]["faults"][0]["error"] == "529"


def test_a_span_in_error_counts_where_nothing_below_it_failed() -> None:
    """An agent fails because its tool does: that is one error."""
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x"}
    agent = make_span(
        "invoke_agent", 1, status=Status.ERROR, attributes={"gen_ai.operation.name": "invoke_agent"}
    )
    failing = make_span("execute_tool x", 2, parent=1, status=Status.ERROR, attributes=tool)
    below = make_span("POST", 3, parent=2, status=Status.ERROR)
    assert tree(agent, failing, below)["errors"] == 1
    assert tree(agent)["errors"] == 1


def test_a_session_of_nothing_that_is_understood_is_empty() -> None:
    """Records of other kinds make no calls and raise nothing."""
    found = tree(make_span("GET /"), make_log("something"), make_point("requests", 3))
    assert (found["model_calls"], found["tokens"]["total"], found["cost_usd"]) == (0, 0, None)
    assert session_summary(found)["models"] == []


@pytest.mark.parametrize("value", ["12", 12, 12.0], ids=["text", "int", "float"])
def test_numbers_may_be_written_as_texts(value: object) -> None:
    """Codex writes all of them so."""
    assert tree(request(1, input_tokens=value))["tokens"]["input"] == 12


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
NAMES = st.sampled_from(
    [
        "claude_code.api_request",
        "claude_code.tool_result",
        "claude_code.api_error",
        "claude_code.interaction",
        "claude_code.llm_request",
        "qwen-code.api_response",
        "gemini_cli.tool_call",
        "codex.sse_event",
        "chat",
        "user_prompt",
    ]
)
KEYS = st.sampled_from(
    [
        "model", "input_tokens", "output_tokens", "cost_usd", "duration_ms", "request_id", "success", "prompt.id",
        "gen_ai.operation.name", "gen_ai.usage.input_tokens", "gen_ai.input.messages", "event.kind", "attempt",
        "gen_ai.tool.call.id", "openinference.span.kind", "input_token_count", "session.id", "prompt",
    ]
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["span", "log"]),
            NAMES,
            st.dictionaries(KEYS, JUNK),
            st.integers(0, 5),
            st.integers(0, 5),
        ),
        max_size=12,
    )
)
def test_attributes_of_any_type_are_survived(
    made: list[tuple[str, str, dict[str, Any], int, int]],
) -> None:
    """Whatever an attribute holds, however parents stand: an answer, the same for records sent twice."""
    records = [
        make_span(name, number, parent=parent, attributes=attributes)
        if kind == "span"
        else make_log(name, at=number, attributes=attributes)
        for kind, name, attributes, number, parent in made
    ]
    found = session_tree("s", records, packaged_prices())
    assert session_tree("s", records * 2, packaged_prices()) == found
    assert found["model_calls"] == sum(turn["model_calls"] for turn in found["turns"])
    assert found["errors"] == sum(turn["errors"] for turn in found["turns"])
