"""Claude Code transcripts: what their lines become."""

from __future__ import annotations

import json

import orjson
import pytest

from receiver.sources.claude_code.parser import ClaudeCodeParser
from receiver.sources.claude_code.records import recognises_claude_code
from receiver.sources.source import MalformedDocumentError, trace_id_of
from tests.support.session_files import (
    SESSION,
    T0,
    USAGE,
    ClaudeTranscript,
    PlainSpan,
    line,
    said,
    spans_of,
    units_of,
    usual_session,
    wanted,
)


def spans(made: ClaudeTranscript) -> list[PlainSpan]:
    """Return the spans of a transcript."""
    return spans_of(units_of(ClaudeCodeParser(), made.data.splitlines()))


def only(found: list[PlainSpan], kind: str) -> list[PlainSpan]:
    """Return the spans of one kind."""
    return [span for span in found if span.kind == kind]


def test_a_session_is_a_trace_of_turns_with_calls_and_tools_under_them() -> None:
    """Session, turns under it, calls and tools under the turn that asked for them; one trace, one service."""
    found = spans(usual_session())
    assert {span.trace_id for span in found} == {trace_id_of("claude_code", SESSION).hex()}
    assert {span.resource["service.name"] for span in found} == {"claude-code"}
    (root,) = only(found, "session")
    turns = only(found, "turn")
    assert [turn.parent for turn in turns] == [root.span_id] * 3
    assert [turn.name for turn in turns] == ["invoke_agent claude-code"] * 3
    under = {
        turn.span_id: sorted(s.name.split("-")[0] for s in found if s.parent == turn.span_id)
        for turn in turns
    }
    assert list(under.values()) == [
        ["chat claude", "chat claude", "execute_tool Bash", "execute_tool Read"],
        ["chat claude", "execute_tool Edit"],
        ["chat claude"],
    ]


def test_the_root_is_a_point_in_time_and_everything_else_lies_where_its_lines_do() -> None:
    """The session begins and ends at its first line; a call lasts from the line before it to its last line."""
    found = spans(usual_session())
    (root,) = only(found, "session")
    assert root.start_ns == root.end_ns == (T0 + 1_000) * 1_000_000
    first = only(found, "call")[0]
    assert (first.start_ns, first.end_ns) == ((T0 + 2_000) * 1_000_000, (T0 + 6_000) * 1_000_000)
    read = next(span for span in found if span.name == "execute_tool Read")
    assert (read.start_ns, read.end_ns) == ((T0 + 5_000) * 1_000_000, (T0 + 7_000) * 1_000_000)
    turn = only(found, "turn")[0]
    assert (turn.start_ns, turn.end_ns) == ((T0 + 1_000) * 1_000_000, (T0 + 10_000) * 1_000_000)


def test_the_usage_of_a_message_counts_once_and_as_its_last_line_says() -> None:
    """Several lines of one message are one call, with the numbers of the last of them."""
    call = only(spans(usual_session()), "call")[0]
    said_of = {key: value for key, value in call.attributes.items() if "usage" in key}
    assert said_of == {
        "gen_ai.usage.input_tokens": USAGE["input_tokens"],
        "gen_ai.usage.output_tokens": USAGE["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 20_000,
        "gen_ai.usage.cache_creation.input_tokens": 1_500,
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 500,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 1_000,
        "anthropic.usage.service_tier": "standard",
    }
    assert call.attributes["gen_ai.response.id"] == "msg_01"
    assert call.attributes["request_id"] == "req_msg_01"
    assert call.attributes["gen_ai.response.finish_reasons"] == ["tool_use"]
    (answer,) = orjson.loads(call.attributes["gen_ai.output.messages"])
    assert [part["type"] for part in answer["parts"]] == ["reasoning", "text", "tool_call", "tool_call"]


def test_a_prompt_stands_at_its_turn_and_nowhere_else() -> None:
    """Nothing of the history is repeated: each prompt is in one span."""
    found = spans(usual_session())
    asked = [span.attributes.get("gen_ai.input.messages") for span in only(found, "turn")]
    texts = [orjson.loads(each)[0]["parts"][0]["content"] for each in asked if each]
    assert texts == ["Why does the cart lose items?", "Fix it", "Go on"]
    assert [span.kind for span in found if "gen_ai.input.messages" in span.attributes] == ["turn"] * 3


def test_tools_have_their_arguments_results_and_errors() -> None:
    """A failed tool has the status error with its words; a refused one says that it was refused."""
    found = {span.attributes["gen_ai.tool.call.id"]: span for span in only(spans(usual_session()), "tool")}
    read, bash, edit = found["toolu_1"], found["toolu_2"], found["toolu_3"]
    assert json.loads(read.attributes["gen_ai.tool.call.arguments"]) == {
        "file_path": "/projects/shop/cart.py"
    }
    assert read.attributes["gen_ai.tool.call.result"] == "def add(item): …"
    assert (read.status, bash.status, edit.status) == (0, 2, 2)
    assert bash.message.startswith("Exit code 1")
    assert (bash.attributes["error.type"], edit.attributes["error.type"]) == ("tool_error", "rejected")
    assert {span.attributes["prompt.id"] for span in (read, bash)} == {"p-1"}


def test_what_happens_to_a_turn_is_in_its_events() -> None:
    """Compactions and interruptions are events, and neither is a prompt."""
    turn = only(spans(usual_session()), "turn")[1]
    assert [name for name, _ in turn.events] == ["compact_boundary", "compaction.summary", "interrupted"]
    assert turn.events[1][1]["summary"] == "So far: …"


def test_a_command_without_an_answer_is_no_turn() -> None:
    """``/model`` and its output say nothing to a model."""
    made = ClaudeTranscript()
    made.prompt("<command-name>/review</command-name><command-args>cart</command-args>")
    assert only(spans(made), "turn") == []
    made.answer("msg_1", said("Looks fine."))
    (turn,) = only(spans(made), "turn")
    assert orjson.loads(turn.attributes["gen_ai.input.messages"])[0]["parts"][0]["content"] == "/review cart"


def test_an_error_of_the_api_is_a_failed_call_and_a_failed_turn() -> None:
    """A line that Claude Code wrote for an error has no model, no tokens, and says what went wrong."""
    made = ClaudeTranscript()
    made.prompt("Hello")
    made.answer(
        "5f1f", said("API Error: 529 Overloaded"), model="<synthetic>", stop="stop_sequence",
        isApiErrorMessage=True, error="server_error", apiErrorStatus=529,
    )  # fmt: skip
    found = spans(made)
    (call,), (turn,) = only(found, "call"), only(found, "turn")
    assert (call.name, call.status, call.message) == ("chat", 2, "API Error: 529 Overloaded")
    assert (call.attributes["error.type"], call.attributes["http.response.status_code"]) == (
        "server_error",
        529,
    )
    assert not any(key.startswith("gen_ai.usage") or key.endswith("model") for key in call.attributes)
    assert (turn.status, turn.message) == (2, "API Error: 529 Overloaded")


def test_what_was_written_in_the_models_place_is_no_call() -> None:
    """``No response requested.`` of a synthetic model was never sent anywhere."""
    made = ClaudeTranscript()
    made.prompt("Hello")
    made.answer("9c2e", said("No response requested."), model="<synthetic>")
    assert only(spans(made), "call") == []


def test_a_subagents_own_file_hangs_under_the_tool_that_started_it() -> None:
    """The two files share the session's trace; the subagent's turn is a child of the tool call, and no turn."""
    main = ClaudeTranscript()
    main.prompt("Find it", "p-1")
    main.answer(
        "msg_1", wanted("toolu_9", "Agent", subagent_type="Explore", prompt="Search"), stop="tool_use"
    )
    main.result("toolu_9", [said("Found")], toolUseResult={"status": "completed", "agentId": "a1b2"})
    other = ClaudeTranscript(agent="a1b2")
    other.prompt("Search", "p-1")
    other.answer(
        "msg_2", wanted("toolu_10", "Grep", pattern="x"), stop="tool_use", attributionAgent="Explore"
    )
    other.result("toolu_10", "cart.py:1")
    tool = next(span for span in spans(main) if span.name == "execute_tool Agent")
    found = spans(other)
    assert [span.kind for span in found] == ["tool", "call", "agent"]
    assert found[-1].parent == tool.span_id
    assert {span.trace_id for span in found} == {tool.trace_id}
    assert {span.attributes["agent_id"] for span in found} == {"a1b2"}


def test_a_subagent_of_old_versions_in_the_same_file_is_kept_apart() -> None:
    """Sidechain lines without an agent's id follow their own parents; their calls do not end the main one's turn."""
    made = ClaudeTranscript()
    made.prompt("Find it")
    made.answer("msg_1", wanted("toolu_9", "Task", prompt="Search", description="d"), stop="tool_use")
    above = made._parent
    made._parent = None
    made.prompt("Search", isSidechain=True)
    made.answer("msg_2", said("It is in cart.py"), isSidechain=True)
    made._parent = above
    made.result("toolu_9", "It is in cart.py")
    made.answer("msg_3", said("Found."))
    found = spans(made)
    task = next(span for span in found if span.name == "execute_tool Task")
    (agent,), (turn,) = only(found, "agent"), only(found, "turn")
    assert agent.parent == task.span_id
    assert {s.attributes["gen_ai.response.id"]: s.parent for s in only(found, "call")} == {
        "msg_1": turn.span_id, "msg_2": agent.span_id, "msg_3": turn.span_id,
    }  # fmt: skip


def test_lines_that_a_fork_copied_are_stored_once_and_belong_to_their_first_session() -> None:
    """The copied part has the keys and the bytes of the original; what is new is the fork's, linked to it."""
    first = usual_session()
    fork = ClaudeTranscript(session="11111111-2222-4333-8444-555555555555", now_ms=first.now_ms)
    fork.lines = [
        {**each, "sessionId": fork.session, "forkedFrom": {"sessionId": SESSION, "messageUuid": each["uuid"]}}
        for each in first.lines
        if "uuid" in each
    ]
    fork._parent = first._parent
    fork.prompt("Try another way", "p-9")
    fork.answer("msg_05", said("All right."))
    known = {unit.key: unit for unit in units_of(ClaudeCodeParser(), first.data.splitlines())}
    units = units_of(ClaudeCodeParser(), fork.data.splitlines())
    new = [unit for unit in units if unit.key not in known]
    assert [unit for unit in units if unit.key in known] == list(known.values())
    assert [span.kind for span in spans_of(new)] == ["session", "call", "turn"]
    assert {span.attributes["session.id"] for span in spans_of(new)} == {fork.session}


def test_a_session_that_was_copied_without_a_word_is_stored_once_too() -> None:
    """Old versions copied the history under a new session id: messages and prompts keep their keys."""
    first = usual_session()
    again = ClaudeTranscript(session="resumed")
    again.lines = [{**each, "sessionId": "resumed"} for each in first.lines]
    keys = {unit.key for unit in units_of(ClaudeCodeParser(), first.data.splitlines())}
    new = [unit for unit in units_of(ClaudeCodeParser(), again.data.splitlines()) if unit.key not in keys]
    assert [span.kind for span in spans_of(new)] == ["session"]


def test_what_never_ended_is_stored_when_nobody_writes_any_more() -> None:
    """A tool without a result is told apart; nothing of it is handed out while it may still come."""
    made = ClaudeTranscript()
    made.prompt("Wait")
    made.answer("msg_1", wanted("toolu_1", "Bash", command="sleep 1000"), stop="tool_use")
    parser = ClaudeCodeParser()
    open_ones = units_of(parser, made.data.splitlines(), finished=False)
    assert [span.kind for span in spans_of(open_ones)] == ["session"]
    rest = spans_of(list(parser.flush(finished=True)))
    assert [span.kind for span in rest] == ["call", "turn", "tool"]
    assert rest[-1].attributes["otlp_receiver.source.unanswered"] is True
    made.result("toolu_1", "late")
    assert units_of(parser, made.data.splitlines()[-1:]) == []


def test_a_long_result_is_cut_and_says_by_how_much() -> None:
    """60,000 characters of a content are kept; the number of the others is an attribute."""
    made = ClaudeTranscript()
    made.answer("msg_1", wanted("toolu_1", "Bash", command="yes"), stop="tool_use")
    made.result("toolu_1", "y" * 70_000)
    (tool,) = only(spans(made), "tool")
    assert len(tool.attributes["gen_ai.tool.call.result"]) == 60_000
    assert tool.attributes["otlp_receiver.content.left_out"] == 10_000


def test_texts_that_javascript_cut_inside_a_character_are_kept() -> None:
    """A lone surrogate becomes a replacement character and costs nothing else."""
    made = ClaudeTranscript()
    data = line(made.prompt("x")).replace(b'"x"', b'"half \\ud83d"')
    (_, turn) = spans_of(units_of(ClaudeCodeParser(), [data]))
    assert "half \ufffd" in turn.attributes["gen_ai.input.messages"].replace("?", "\ufffd")


@pytest.mark.parametrize(
    ("document", "said_of_it"),
    [
        (b"{", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"type":"user","uuid":"u","sessionId":"s"}', "timestamp"),
        (b'{"type":"user","uuid":"u","sessionId":"s","timestamp":"yesterday"}', "timestamp"),
        (b'{"type":"assistant","timestamp":"2026-01-01T00:00:00Z"}', "without uuid or sessionId"),
    ],
)
def test_a_line_that_cannot_be_read_changes_nothing(document: bytes, said_of_it: str) -> None:
    """The parser goes on as if the line were not there."""
    parser = ClaudeCodeParser()
    with pytest.raises(MalformedDocumentError, match=said_of_it):
        list(parser.feed(document))
    assert units_of(parser, usual_session().data.splitlines()) == units_of(
        ClaudeCodeParser(), usual_session().data.splitlines()
    )


@pytest.mark.parametrize("begin", range(8))
def test_a_transcript_is_recognised_by_whatever_it_begins_with(begin: int) -> None:
    """Lines about the session and lines of it tell the format alike."""
    lines = [line(each) for each in usual_session().lines]
    assert recognises_claude_code(b"".join(lines[begin : begin + 4]))


@pytest.mark.parametrize(
    "head",
    [
        b'{"trace_id":"t","spans":[]}\n',
        b'{"resourceSpans":[]}\n',
        b'{"uuid":"u","parentUuid":null,"sessionId":"s","type":"user","message":{"role":"user","parts":[]}}\n',
        b'{"type":"session_meta","payload":{}}\n',
        b"plain text\n",
    ],
)
def test_other_files_are_not_taken_for_transcripts(head: bytes) -> None:
    """Qwen Code's records look alike and are not."""
    assert not recognises_claude_code(head)
