"""Which calls are of one turn."""

from __future__ import annotations

from typing import Any

from receiver.questions import AgentRecord
from receiver.sessions.prices import packaged_prices
from receiver.sessions.session import session_tree
from tests.support.agent_records import make_log, make_span

CODEX = "codex_cli_rs"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": 1}


def turns(*records: AgentRecord) -> list[tuple[str, int, int]]:
    """Return prompt, model calls and tool calls of each turn."""
    found = session_tree("s", records, packaged_prices())
    return [(each["prompt"], each["model_calls"], each["tool_calls"]) for each in found["turns"]]


def completed(at: float, **attributes: Any) -> AgentRecord:
    """Return Codex's event of a model call."""
    usual = {"event.kind": "response.completed", "output_token_count": "1"}
    return make_log("codex.sse_event", at=at, service=CODEX, attributes={**usual, **attributes})


def prompt(text: str, at: float, **attributes: Any) -> AgentRecord:
    """Return Codex's event of a prompt."""
    return make_log("codex.user_prompt", at=at, service=CODEX, attributes={"prompt": text, **attributes})


def test_a_call_without_a_name_is_of_the_latest_prompt_before_it() -> None:
    """Codex names no turns in its events."""
    records = [prompt("one", 0), completed(1), completed(2), prompt("two", 10), completed(11)]
    assert turns(*records) == [("one", 2, 0), ("two", 1, 0)]


def test_a_call_before_every_prompt_is_a_turn_without_one() -> None:
    """An agent may warm up."""
    assert turns(completed(1), prompt("one", 5), completed(6)) == [("", 1, 0), ("one", 1, 0)]


def test_without_prompts_each_trace_is_a_turn() -> None:
    """Instrumentations of applications know no prompts."""
    records = [make_span("chat", n, trace=1 + n // 2, at=n, attributes=CHAT) for n in (1, 2, 3)]
    assert [calls for _, calls, _ in turns(*records)] == [1, 2]


def test_prompts_that_two_records_tell_within_seconds_are_one() -> None:
    """A file's turn and the event of the same prompt share no id."""
    root = {"otlp_receiver.source.format": "codex", "otlp_receiver.source.kind": "turn"}
    chat = {"otlp_receiver.source.format": "codex", "otlp_receiver.source.kind": "call", **CHAT}
    scope = "otlp-receiver/sources"
    found = turns(
        prompt("[REDACTED]", 0.4),
        make_span("turn", 1, at=0, lasts=9, scope=scope, attributes={**root, "prompt": "Why?"}),
        make_span("chat", 2, parent=1, at=1, lasts=1, scope=scope, attributes=chat),
        completed(2.2),
    )
    assert found == [("Why?", 1, 0)]


def test_two_prompts_with_different_words_are_two_turns() -> None:
    """However near they are."""
    scope = "otlp-receiver/sources"
    root = {"otlp_receiver.source.format": "codex", "otlp_receiver.source.kind": "turn", "prompt": "two"}
    records = [prompt("one", 0), make_span("turn", 1, at=0.5, scope=scope, attributes=root)]
    assert turns(*records) == [("one", 0, 0), ("two", 0, 0)]


def test_names_of_a_turn_that_meet_at_one_call_are_of_one_turn() -> None:
    """The event names the prompt, the span stands in the interaction: both are the call with one request id."""
    names = {"model": "m", "input_tokens": 1, "request_id": "r"}
    found = turns(
        make_span("claude_code.interaction", 1, lasts=9, attributes={"user_prompt": "Why?"}),
        make_span("claude_code.llm_request", 2, parent=1, at=1, attributes=names),
        make_log("claude_code.api_request", at=2, attributes={**names, "prompt.id": "p"}),
        make_log("claude_code.tool_result", at=3, attributes={"tool_name": "Bash", "prompt.id": "p"}),
    )
    assert found == [("Why?", 1, 1)]


def test_calls_of_subagents_with_prompts_of_their_own_are_of_the_turn_around_them() -> None:
    """Qwen Code gives a subagent's requests another prompt id, for which no user said anything."""
    usage = {"model": "m", "input_token_count": 1, "output_token_count": 1}
    found = turns(
        make_log("qwen-code.user_prompt", attributes={"prompt": "Why?", "prompt_id": "s########0"}),
        make_log("qwen-code.api_response", at=1, attributes={**usage, "prompt_id": "s########0"}),
        make_log(
            "qwen-code.api_response", at=2, attributes={**usage, "prompt_id": "x#sub#0", "subagent_name": "x"}
        ),
    )
    assert found == [("Why?", 2, 0)]


def test_parents_in_a_circle_end() -> None:
    """Spans that are each other's parent are read like any others."""
    records = [
        make_span("chat", 1, parent=2, attributes=CHAT),
        make_span("chat", 2, parent=1, at=2, attributes={"gen_ai.operation.name": "execute_tool"}),
    ]
    assert turns(*records) == [("", 1, 1)]
