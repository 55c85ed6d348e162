"""Session files of Qwen Code, Gemini CLI and Codex: what their records become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from receiver.sources.codex.parser import CodexParser
from receiver.sources.contents.messages import LEFT_OUT
from receiver.sources.contents.open_tools import UNANSWERED
from receiver.sources.gemini_cli import GeminiSessionParser
from receiver.sources.qwen_code import QwenSessionParser
from receiver.sources.source import MalformedDocumentError, trace_id_of
from tests.support.agent_files import (
    SESSION,
    T0,
    codex_rollout,
    gemini_chat,
    lines,
    old_codex_rollout,
    qwen_chat,
    read,
)
from tests.support.session_files import PlainSpan, spans_of, stamp

_TOKENS = "gen_ai.usage.input_tokens"


def _of(spans: list[PlainSpan], kind: str) -> list[PlainSpan]:
    return [span for span in spans if span.kind == kind]


def _event(seconds: int, **payload: Any) -> dict[str, Any]:
    return {"timestamp": stamp(T0 + 1_000 * seconds), "type": "event_msg", "payload": payload}


def _item(seconds: int, **payload: Any) -> dict[str, Any]:
    return {"timestamp": stamp(T0 + 1_000 * seconds), "type": "response_item", "payload": payload}


def _codex(*records: dict[str, Any]) -> list[PlainSpan]:
    return spans_of(read(CodexParser(), lines([codex_rollout()[0], *records])))


@pytest.mark.parametrize(
    ("parser", "records", "agent"),
    [
        (QwenSessionParser(), qwen_chat(), "qwen_code"),
        (GeminiSessionParser(), gemini_chat(), "gemini_cli"),
        (CodexParser(), codex_rollout(), "codex"),
        (CodexParser(), old_codex_rollout(), "codex"),
    ],
)
def test_session_is_one_trace_of_turns_with_calls_and_tools(
    parser: Any, records: list[dict[str, Any]], agent: str
) -> None:
    """Every span is of the session's trace and hangs under its turn, every turn under the session."""
    spans = spans_of(read(parser, lines(records)))
    assert parser.session_ids == [SESSION]
    assert {span.trace_id for span in spans} == {trace_id_of(agent, SESSION).hex()}
    (root,) = _of(spans, "session")
    turns = _of(spans, "turn")
    assert root.parent == ""
    assert root.start_ns == root.end_ns
    assert {turn.parent for turn in turns} == {root.span_id}
    inner = _of(spans, "call") + _of(spans, "tool")
    assert inner
    assert {span.parent for span in inner} <= {turn.span_id for turn in turns}
    assert {span.attributes["session.id"] for span in spans} == {SESSION}
    assert {span.attributes["otlp_receiver.source.format"] for span in spans} == {agent}
    assert all(span.start_ns <= span.end_ns for span in spans)
    assert len({span.span_id for span in spans}) == len(spans)
    by_id = {turn.span_id: turn for turn in turns}
    assert all(span.end_ns <= by_id[span.parent].end_ns for span in inner)


def test_qwen_calls_have_tokens_and_what_the_event_before_them_says() -> None:
    """The api_response that stands before an answer gives it its id and its duration, and counts nothing twice."""
    calls = _of(spans_of(read(QwenSessionParser(), lines(qwen_chat()))), "call")
    said = [(c.attributes.get("gen_ai.response.id"), c.attributes.get(_TOKENS), c.status) for c in calls]
    assert said == [("r-1", 100, 0), (None, None, 2), ("r-2", 150, 0), ("r-3", 7, 0), (None, None, 0)]
    first = calls[0]
    assert first.end_ns - first.start_ns == 900_000_000
    assert first.attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    assert first.attributes["prompt.id"] == "p#1"
    assert calls[1].message == "429 Too Many"


def test_qwen_event_behind_its_answer_is_not_another_call() -> None:
    """Where the event comes after the answer that it is about, its tokens count once."""
    records = qwen_chat()
    records[1], records[2] = records[2], records[1]
    calls = _of(spans_of(read(QwenSessionParser(), lines(records))), "call")
    assert [call.attributes.get(_TOKENS) for call in calls] == [100, None, 150, 7, None]


def test_qwen_tools_have_arguments_results_and_errors() -> None:
    """A tool's span says what it was given, what it answered and why it failed."""
    good, bad = _of(spans_of(read(QwenSessionParser(), lines(qwen_chat()))), "tool")
    assert json.loads(good.attributes["gen_ai.tool.call.arguments"]) == {"path": "cart.py"}
    assert (good.attributes["gen_ai.tool.call.result"], good.status) == ("def add(): …", 0)
    assert (bad.name, bad.status, bad.message) == ("execute_tool run_shell_command", 2, "no make")
    assert bad.attributes["error.type"] == "execution_failed"


def test_qwen_records_of_a_branch_are_told_by_its_parent() -> None:
    """What a branched session copied is not work of its own."""
    copied = [{**record, "forkedFrom": {"sessionId": "x", "messageUuid": "y"}} for record in qwen_chat()]
    assert read(QwenSessionParser(), lines(copied)) == []


def test_qwen_subagent_is_a_turn_of_its_own_agent() -> None:
    """A subagent's file is of the same session: its turns bear its name, and there is no second session span."""
    records = [
        {**record, "isSidechain": True, "agentId": "explore-1", "agentName": "Explore"}
        for record in qwen_chat()
    ]
    spans = spans_of(read(QwenSessionParser(), lines(records)))
    assert _of(spans, "session") == []
    assert _of(spans, "turn") == []
    assert _of(spans, "agent")[0].name == "invoke_agent Explore"
    main = spans_of(read(QwenSessionParser(), lines(qwen_chat())))
    assert _of(spans, "agent")[0].parent == _of(main, "session")[0].span_id
    assert not {s.span_id for s in _of(spans, "agent")} & {s.span_id for s in _of(main, "turn")}


def test_gemini_message_counts_once_however_often_it_was_written() -> None:
    """A message comes again whenever it grows: its last form counts, with its tools."""
    spans = spans_of(read(GeminiSessionParser(), lines(gemini_chat())))
    first, second = _of(spans, "call")
    assert (first.attributes[_TOKENS], second.attributes[_TOKENS]) == (200, 200)
    assert first.attributes["gen_ai.usage.reasoning.output_tokens"] == 12
    assert [part["type"] for part in json.loads(first.attributes["gen_ai.output.messages"])[0]["parts"]] == [
        "reasoning", "text", "tool_call", "tool_call",
    ]  # fmt: skip
    good, bad = _of(spans, "tool")
    assert (good.attributes["gen_ai.tool.call.result"], good.status) == ("a b c", 0)
    assert (bad.status, bad.message) == (2, "denied")
    assert _of(spans, "turn")[0].message == "quota exceeded"


def test_gemini_file_of_one_object_gives_the_same_spans() -> None:
    """The older file holds all messages in one object; a session that went on in the newer form is the same one."""
    head, *rest = gemini_chat()
    last = {each["id"]: each for each in rest if "id" in each}
    old = json.dumps({**head, "messages": list(last.values())}, indent=2).encode()
    of_one = {(unit.key, unit.payload) for unit in read(GeminiSessionParser(), [old])}
    of_lines = {(unit.key, unit.payload) for unit in read(GeminiSessionParser(), lines(gemini_chat()))}
    assert of_one == of_lines


def test_codex_tokens_are_counted_once_a_response() -> None:
    """A total that was said before is a repetition; the last usage of each new total is one call's."""
    calls = _of(spans_of(read(CodexParser(), lines(codex_rollout()))), "call")
    assert [call.attributes.get(_TOKENS) for call in calls] == [1_000, 1_400, 1_500, None]
    assert [call.attributes.get("gen_ai.usage.cache_read.input_tokens") for call in calls[:3]] == [
        600,
        1_000,
        1_400,
    ]
    assert calls[0].attributes["gen_ai.usage.reasoning.output_tokens"] == 20
    assert {call.attributes["gen_ai.request.model"] for call in calls} == {"gpt-5-codex"}


def test_codex_tokens_before_their_items_are_those_items() -> None:
    """Older releases write the count before the items of the same response."""
    usage = {"input_tokens": 10, "output_tokens": 2}
    more = {"input_tokens": 30, "output_tokens": 5}
    spans = _codex(
        _event(1, type="user_message", message="Hi"),
        _event(2, type="token_count", info={"total_token_usage": usage, "last_token_usage": usage}),
        _item(3, type="function_call", name="shell", arguments="{}", call_id="c"),
        _item(4, type="function_call_output", call_id="c", output="ok"),
        _event(5, type="token_count", info={"total_token_usage": more, "last_token_usage": {"input_tokens": 20, "output_tokens": 3}}),
        _item(6, type="message", role="assistant", content=[{"type": "output_text", "text": "Hello"}]),
    )  # fmt: skip
    first, second = _of(spans, "call")
    assert (first.attributes[_TOKENS], second.attributes[_TOKENS]) == (10, 20)
    assert "Hello" in second.attributes["gen_ai.output.messages"]


def test_codex_usage_record_and_token_count_of_one_response_count_once() -> None:
    """Newer releases say the usage twice; the record also names the response."""
    usage = {"input_tokens": 10, "output_tokens": 2}
    spans = _codex(
        _event(1, type="task_started", turn_id="turn-1"),
        _item(2, type="message", role="user", content=[{"type": "input_text", "text": "Hi"}]),
        _item(3, type="message", role="assistant", content=[{"type": "output_text", "text": "Hello"}]),
        _event(4, type="token_count", info={"total_token_usage": usage, "last_token_usage": usage}),
        {
            "timestamp": stamp(T0 + 4_000), "type": "token_usage_record",
            "payload": {"response_id": "resp_1", "usage": usage, "thread_token_usage": usage},
        },
        _event(5, type="task_complete", turn_id="turn-1", last_agent_message="Hello"),
    )  # fmt: skip
    (call,) = _of(spans, "call")
    assert (call.attributes[_TOKENS], call.attributes["gen_ai.response.id"]) == (10, "resp_1")
    (turn,) = _of(spans, "turn")
    assert turn.attributes["prompt.id"] == "turn-1"
    assert "Hi" in turn.attributes["gen_ai.input.messages"]


def test_codex_tokens_without_items_are_a_call() -> None:
    """Tokens of a response that left nothing, such as a compaction, are not lost."""
    usage = {"input_tokens": 10, "output_tokens": 2}
    spans = _codex(
        _event(1, type="user_message", message="Hi"),
        _event(2, type="token_count", info={"total_token_usage": usage, "last_token_usage": usage}),
        _event(
            3,
            type="task_complete",
            turn_id="t",
            error={"message": "boom", "codex_error_info": "unauthorized"},
        ),
    )
    (call,) = _of(spans, "call")
    assert call.attributes[_TOKENS] == 10
    (turn,) = _of(spans, "turn")
    assert (turn.status, turn.message, turn.attributes["error.type"]) == (2, "boom", "unauthorized")


def test_codex_tools_say_their_exit_code() -> None:
    """The code stands in the answer, in one form or another; another one than 0 is a failure."""
    shell, patch, search = _of(spans_of(read(CodexParser(), lines(codex_rollout()))), "tool")
    assert (shell.status, shell.attributes["process.exit.code"]) == (2, 1)
    assert shell.attributes["gen_ai.tool.call.result"] == "1 failed"
    assert (patch.status, patch.attributes["process.exit.code"]) == (0, 0)
    assert (search.name, UNANSWERED in search.attributes) == ("execute_tool web_search", False)


def test_codex_says_why_an_mcp_tool_failed() -> None:
    """The answer of a tool does not say that it failed; the event before it does."""
    spans = _codex(
        _event(1, type="user_message", message="Hi"),
        _item(2, type="function_call", name="find", namespace="docs", arguments="{}", call_id="c"),
        _event(3, type="mcp_tool_call_end", call_id="c", result={"Err": "server gone"}),
        _item(4, type="function_call_output", call_id="c", output="err"),
    )
    (tool,) = _of(spans, "tool")
    assert (tool.name, tool.status, tool.message) == ("execute_tool docs.find", 2, "server gone")


def test_codex_subagent_leaves_its_parents_history_to_the_parent() -> None:
    """Lines below the ordinal at which a subagent's own history begins are the parent's."""
    meta = codex_rollout()[0]
    meta["payload"]["subagent_history_start_ordinal"] = 3
    records = [
        {**meta, "ordinal": 0},
        {**_event(1, type="user_message", message="The parent's"), "ordinal": 1},
        {**_event(2, type="user_message", message="Its own"), "ordinal": 3},
    ]
    (turn,) = _of(spans_of(read(CodexParser(), lines(records))), "turn")
    assert "Its own" in turn.attributes["gen_ai.input.messages"]


def test_old_codex_rollout_keeps_the_order_of_its_lines() -> None:
    """Lines without a time lie a microsecond apart, behind the session's own time."""
    spans = spans_of(read(CodexParser(), lines(old_codex_rollout())))
    calls = _of(spans, "call")
    assert T0 * 10**6 < calls[0].end_ns < calls[1].end_ns < (T0 + 1) * 10**6
    assert "List files" in _of(spans, "turn")[0].attributes["gen_ai.input.messages"]


def test_tool_without_an_answer_goes_out_when_nobody_writes_any_more() -> None:
    """A tool whose answer never came says so; it waits while the file may grow."""
    parser = CodexParser()
    fed = [unit for line in lines(codex_rollout()[:8]) for unit in parser.feed(line)]
    assert list(parser.flush(finished=False)) == []
    assert [span.kind for span in spans_of(fed)] == ["session"]
    rest = spans_of(parser.flush(finished=True))
    (tool,) = _of(rest, "tool")
    assert tool.attributes[UNANSWERED] is True
    assert [span.kind for span in rest] == ["call", "tool", "turn"]


def test_long_results_are_cut_and_counted() -> None:
    """A result keeps its first 60,000 characters and says how many were left out."""
    spans = _codex(
        _event(1, type="user_message", message="Hi"),
        _item(2, type="function_call", name="cat", arguments="{}", call_id="c"),
        _item(3, type="function_call_output", call_id="c", output="x" * 70_000),
    )
    (tool,) = _of(spans, "tool")
    assert len(tool.attributes["gen_ai.tool.call.result"]) == 60_000
    assert tool.attributes[LEFT_OUT] == 10_000


@pytest.mark.parametrize(
    ("parser", "document"),
    [
        (QwenSessionParser(), b'{"type": "user", "sessionId": "s"}'),
        (QwenSessionParser(), b'{"type": "user", "timestamp": "2026-01-01T00:00:00Z"}'),
        (QwenSessionParser(), b"[1]"),
        (GeminiSessionParser(), b'{"id": "m", "type": "user", "timestamp": "2026-01-01T00:00:00Z"}'),
        (GeminiSessionParser(), b'{"sessionId": "s", "messages": [{"id": "m", "type": "user"}]}'),
        (GeminiSessionParser(), b"{}"),
        (CodexParser(), b'{"timestamp": "2026-01-01T00:00:00Z", "type": "event_msg", "payload": {}}'),
        (CodexParser(), b'{"timestamp": "then", "type": "session_meta", "payload": {"id": "s"}}'),
        (CodexParser(), b'{"a": 1}'),
        (CodexParser(), b'{"type": "message", '),
    ],
)
def test_document_that_is_no_record_is_told(parser: Any, document: bytes) -> None:
    """A document that cannot be read is told and leaves no session behind."""
    with pytest.raises(MalformedDocumentError):
        list(parser.feed(document))
    assert parser.session_ids == []
