"""What each agent and instrumentation sends becomes calls with tokens of one meaning."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.questions import AgentRecord, Status
from receiver.sessions.prices import packaged_prices
from receiver.sessions.session import session_tree
from receiver.sessions.tokens import split_input
from tests.support.agent_records import make_log, make_point, make_span


def tree(*records: AgentRecord) -> dict[str, Any]:
    """Return the session of these records."""
    return session_tree("s", records, packaged_prices())


def only_call(*records: AgentRecord) -> dict[str, Any]:
    """Return the one call of these records."""
    (call,) = [call for turn in tree(*records)["turns"] for call in turn["calls"]]
    return call


def counts(call: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Return input, output, cache read, cache creation and reasoning."""
    tokens = call["tokens"]
    return tuple(tokens[name] for name in ("input", "output", "cache_read", "cache_creation", "reasoning"))


def test_qwen_code_counts_thoughts_as_part_of_the_output() -> None:
    """Its input holds the cached tokens."""
    call = only_call(
        make_log(
            "qwen-code.api_response",
            service="qwen-code",
            attributes={
                "model": "qwen3-coder-plus",
                "input_token_count": 1000,
                "output_token_count": 200,
                "cached_content_token_count": 700,
                "thoughts_token_count": 50,
                "total_token_count": 1200,
                "prompt_id": "s########0",
                "response_id": "chatcmpl-1",
                "duration_ms": 900,
            },
        )
    )
    assert counts(call) == (300, 200, 700, 0, 50)
    assert (call["duration_ms"], call["id"]) == (900, "chatcmpl-1")


def test_the_total_tells_whether_thoughts_are_part_of_the_output() -> None:
    """Qwen Code with a provider that counts them beside the output, as Gemini does."""
    attributes = {
        "input_token_count": 10,
        "output_token_count": 20,
        "thoughts_token_count": 5,
        "total_token_count": 35,
    }
    call = only_call(make_log("qwen-code.api_response", attributes=attributes))
    assert counts(call) == (10, 25, 0, 0, 5)


def test_gemini_cli_counts_thoughts_beside_the_output_and_tools_as_input() -> None:
    """Its promptTokenCount holds the cached tokens; tool use prompts and thoughts are billed besides."""
    call = only_call(
        make_log(
            "gemini_cli.api_response",
            service="gemini-cli",
            attributes={
                "model": "gemini-2.5-pro",
                "input_token_count": 1000,
                "output_token_count": 200,
                "cached_content_token_count": 400,
                "thoughts_token_count": 70,
                "tool_token_count": 30,
            },
        )
    )
    assert counts(call) == (630, 270, 400, 0, 70)
    assert call["provider"] == "gcp.gemini"


def test_both_events_and_the_span_of_one_call_of_gemini_cli_are_one_call() -> None:
    """Its own event, the one of the conventions and the span share no id, but model, tokens and time."""
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    own = {
        "model": "gemini-2.5-flash",
        "input_token_count": 100,
        "output_token_count": 20,
        "duration_ms": 800,
    }
    found = tree(
        make_log("gemini_cli.api_response", at=10, service="gemini-cli", attributes=own),
        make_log(
            "gen_ai.client.inference.operation.details",
            at=10,
            service="gemini-cli",
            attributes={**usage, "gen_ai.request.model": "gemini-2.5-flash", "gen_ai.response.id": "x"},
        ),
        make_span(
            "llm_call",
            at=9.1,
            lasts=0.9,
            service="gemini-cli",
            attributes={"gen_ai.operation.name": "llm_call", **usage},
        ),
    )
    assert (found["model_calls"], found["tokens"]["total"]) == (1, 120)


def test_tools_of_qwen_code_are_joined_by_name_and_time() -> None:
    """Its event has no id of the tool call; its span has one and the execution below it tells how it went."""
    event = make_log(
        "qwen-code.tool_call",
        at=12,
        service="qwen-code",
        attributes={
            "function_name": "run_shell_command",
            "success": False,
            "error": "exit 1",
            "duration_ms": 900,
        },
    )
    tool = make_span(
        "qwen-code.tool",
        1,
        at=11,
        lasts=1.1,
        service="qwen-code",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "run_shell_command",
            "tool.call_id": "call_1",
        },
    )
    execution = make_span(
        "qwen-code.tool.execution",
        2,
        parent=1,
        at=11.1,
        lasts=0.9,
        service="qwen-code",
        status=Status.ERROR,
        attributes={"gen_ai.tool.name": "run_shell_command", "success": False},
    )
    call = only_call(event, tool, execution)
    assert (call["name"], call["status"], call["error"], call["id"]) == (
        "run_shell_command", "error", "exit 1", "call_1",
    )  # fmt: skip
    assert call["sources"] == ["event", "span"]


def test_codex_writes_numbers_as_texts_and_includes_cached_and_reasoning_tokens() -> None:
    """Its tool_token_count is the total, and is not added."""
    call = only_call(
        make_log(
            "codex.sse_event",
            service="codex_cli_rs",
            attributes={
                "event.kind": "response.completed",
                "model": "gpt-5-codex",
                "input_token_count": "1000",
                "output_token_count": "300",
                "cached_token_count": 600,
                "reasoning_token_count": 128,
                "tool_token_count": "1300",
            },
        )
    )
    assert counts(call) == (400, 300, 600, 0, 128)
    assert call["cost_usd"] == pytest.approx((400 * 1.25 + 300 * 10 + 600 * 0.125) / 1e6)


def test_other_stream_events_of_codex_are_no_calls() -> None:
    """Only the completed response is one; an error is a fault."""
    found = tree(
        make_log("codex.sse_event", attributes={"event.kind": "response.output_item.done"}),
        make_log(
            "codex.sse_event", at=1, attributes={"event.kind": "response.failed", "error.message": "quota"}
        ),
        make_log(
            "codex.tool_result",
            at=2,
            attributes={"tool_name": "shell", "call_id": "c", "success": "false", "output": "no"},
        ),
    )
    assert (found["model_calls"], found["tool_calls"], found["errors"]) == (0, 1, 2)


def test_openinference_and_openllmetry_are_read_by_the_collectors_mapping() -> None:
    """Prompts, cache and reasoning under their own names become the same counts."""
    found = tree(
        make_span(
            "LLM",
            1,
            trace=1,
            attributes={
                "openinference.span.kind": "LLM",
                "llm.model_name": "gpt-4o",
                "llm.provider": "openai",
                "llm.token_count.prompt": 100,
                "llm.token_count.completion": 20,
                "llm.token_count.prompt_details.cache_read": 60,
                "llm.token_count.completion_details.reasoning": 8,
                "llm.cost.total": 0.5,
            },
        ),
        make_span("prompt", 2, trace=1, attributes={"openinference.span.kind": "PROMPT"}),
        make_span("tool", 3, trace=1, attributes={"openinference.span.kind": "TOOL", "tool.name": "find"}),
        make_span(
            "openai.chat",
            1,
            trace=2,
            attributes={
                "llm.request.type": "chat",
                "llm.request.model": "gpt-4o",
                "llm.usage.prompt_tokens": 30,
                "llm.usage.completion_tokens": 7,
            },
        ),
    )
    assert found["agent"] == "openinference"
    assert (found["model_calls"], found["tool_calls"]) == (2, 1)
    assert found["tokens"] == {
        "input": 70, "output": 27, "cache_read": 60, "cache_creation": 0, "reasoning": 8, "total": 157,
    }  # fmt: skip
    assert found["cost_source"] == "mixed"


def test_copilot_is_read_by_the_conventions() -> None:
    """invoke_agent is the turn; time to the first token is in seconds there."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 500}
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "github",
        "gen_ai.request.model": "claude-sonnet-4.5",
        "gen_ai.usage.input_tokens": 500,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Fix it"}]}]',
    }
    found = tree(
        make_span("invoke_agent copilot", 1, service="copilot-chat", attributes=agent),
        make_span("chat claude-sonnet-4.5", 2, parent=1, service="copilot-chat", attributes=chat),
    )
    (turn,) = found["turns"]
    (call,) = turn["calls"]
    assert (found["agent"], turn["prompt"]) == ("copilot", "Fix it")
    assert counts(call) == (100, 20, 400, 0, 0)
    assert call["time_to_first_token_ms"] == 250
    assert call["cost_usd"] == pytest.approx((100 * 3 + 20 * 15 + 400 * 0.3) / 1e6)


def test_input_that_cannot_hold_the_cached_tokens_does_not() -> None:
    """Instrumentations that pass Anthropic's counts on unchanged."""
    call = only_call(
        make_span(
            "chat",
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 3,
                "gen_ai.usage.cache_read.input_tokens": 9000,
            },
        )
    )
    assert counts(call) == (12, 3, 9000, 0, 0)


@pytest.mark.parametrize("included", [True, False])
def test_input_is_split_so_that_nothing_counts_twice(included: bool) -> None:
    """The parts add up to what was sent, cached tokens once."""
    found = split_input(sent=100, cache_read=60, cache_creation=30, output=5, reasoning=9, included=included)
    assert found.input == (10 if included else 100)
    assert found.total == (105 if included else 195)
    assert found.reasoning == 5, "reasoning is a part of the output"


def test_metrics_of_gemini_cli_hold_the_cached_tokens_in_the_input() -> None:
    """They are taken apart per model; thoughts are output."""
    points = [
        make_point("gemini_cli.token.usage", value, temporality=2, type=kind, model="gemini-2.5-pro")
        for kind, value in (("input", 100), ("cache", 80), ("output", 10), ("thought", 4), ("tool", 5))
    ]
    assert tree(*points)["tokens"] == {
        "input": 25, "output": 14, "cache_read": 80, "cache_creation": 0, "reasoning": 4, "total": 119,
    }  # fmt: skip


def test_an_answer_that_the_agent_wrote_itself_is_no_model_call() -> None:
    """Claude Code's transcripts hold such messages, without a model and without tokens."""
    file = {"otlp_receiver.source.format": "claude_code", "gen_ai.operation.name": "chat"}
    found = tree(make_span("chat", scope="otlp-receiver/sources", attributes=file))
    assert found["model_calls"] == 0


def test_counts_of_a_gemini_file_have_the_thoughts_beside_the_output() -> None:
    """The session file holds the API's own counts."""
    attributes = {
        "otlp_receiver.source.format": "gemini_cli",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gemini-2.5-pro",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 6,
    }
    call = only_call(make_span("chat", scope="otlp-receiver/sources", attributes=attributes))
    assert counts(call) == (100, 16, 0, 0, 6)


def test_a_file_s_call_without_model_and_tokens_is_a_call() -> None:
    """Codex' first rollouts name no model and count no tokens; only Claude Code writes answers itself."""
    file = {"otlp_receiver.source.format": "codex", "gen_ai.operation.name": "chat"}
    assert tree(make_span("chat", scope="otlp-receiver/sources", attributes=file))["model_calls"] == 1


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("llm.input_messages.{}.message.role", "llm.input_messages.{}.message.content"),
        ("gen_ai.prompt.{}.role", "gen_ai.prompt.{}.content"),
    ],
)
def test_messages_in_numbered_attributes_tell_the_prompt(role: str, content: str) -> None:
    """OpenInference and OpenLLMetry write an attribute for each field of each message."""
    said = (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "And now?"))
    numbered = {role.format(number): each for number, (each, _) in enumerate(said)}
    numbered |= {content.format(number): each for number, (_, each) in enumerate(said)}
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", **numbered}
    assert tree(make_span("chat", attributes=attributes))["first_prompt"] == "And now?"


def test_a_tool_of_openllmetry_has_the_name_of_its_entity() -> None:
    """Its tool spans have no other name of the tool."""
    attributes = {"traceloop.span.kind": "tool", "traceloop.entity.name": "calculator"}
    assert only_call(make_span("calculator.tool", attributes=attributes))["name"] == "calculator"
