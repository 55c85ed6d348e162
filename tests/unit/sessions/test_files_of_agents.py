"""What files of agents say counts in their session as a person would count it from the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.ports import ImportUnit
from receiver.questions import AgentRecord
from receiver.sessions.prices import packaged_prices
from receiver.sessions.session import session_tree
from receiver.signals import Signal
from receiver.sources.claude_code.parser import ClaudeCodeParser
from receiver.sources.codex.parser import CodexParser
from receiver.sources.gemini_cli import GeminiSessionParser
from receiver.sources.outfiles.parser import GEMINI_CLI, QWEN_CODE, Agent, OutfileParser
from receiver.sources.qwen_code import QwenSessionParser
from receiver.sources.source import Parser
from tests.support.agent_files import (
    SESSION,
    T0,
    codex_rollout,
    dump,
    gemini_chat,
    js_log,
    lines,
    old_codex_rollout,
    qwen_chat,
    read,
)
from tests.support.agent_records import records_of_logs, records_of_traces
from tests.support.session_files import usual_session

_SUMS = ("turn_count", "model_calls", "tool_calls", "errors", "tokens", "cost_usd")


def session(*files: Iterable[ImportUnit]) -> dict[str, Any]:
    """Return the session that files tell, each unit stored once."""
    stored = {unit.key: unit for file in reversed(files) for unit in file}
    records: list[AgentRecord] = []
    for unit in stored.values():
        if unit.signal is Signal.TRACES:
            records += records_of_traces(ExportTraceServiceRequest.FromString(unit.payload))
        else:
            records += records_of_logs(ExportLogsServiceRequest.FromString(unit.payload))
    return session_tree(SESSION, records, packaged_prices())


def outfile(agent: Agent, *events: tuple[int, str, dict[str, Any]]) -> list[ImportUnit]:
    """Return the units of an outfile with these events, by milliseconds after the session's begin."""
    return read(
        OutfileParser(agent),
        [
            dump(js_log(0, f"{agent.prefix}{name}", service=agent.service, at=T0 + after, **attributes))
            for after, name, attributes in events
        ],
    )


def qwen_outfile() -> list[ImportUnit]:
    """Return what Qwen Code's outfile holds of the session of ``qwen_chat``; nobody counted the last call."""
    call: dict[str, Any] = {"prompt_id": "p#1", "model": "qwen3-coder", "auth_type": "openai"}
    tool: dict[str, Any] = {"prompt_id": "p#1", "duration_ms": 90}
    return outfile(
        QWEN_CODE,
        (1_000, "user_prompt", {"prompt_id": "p#1", "prompt": "Why is the cart empty?"}),
        (
            3_000,
            "api_response",
            call | _tokens(100, 20, cached=60, thoughts=5, total=120) | {"response_id": "r-1"},
        ),
        (3_900, "tool_call", tool | {"function_name": "read_file", "success": True}),
        (4_900, "tool_call", tool | {"function_name": "run_shell_command", "success": False}),
        (6_000, "api_error", call | {"error_message": "429 Too Many", "duration_ms": 100}),
        (7_000, "api_response", call | _tokens(150, 10, total=160) | {"response_id": "r-2"}),
        (8_000, "api_response", call | _tokens(7, 1, total=8) | {"response_id": "r-3"}),
        (10_000, "user_prompt", {"prompt_id": "p#2", "prompt": "Thanks"}),
    )


def gemini_outfile() -> list[ImportUnit]:
    """Return what Gemini CLI's outfile holds of the session of ``gemini_chat``: no id that the chat has too."""
    tool: dict[str, Any] = {"prompt_id": "g-1", "duration_ms": 9}
    call = {"model": "gemini-3-pro", **_tokens(200, 30, cached=80, thoughts=12, total=242)}
    return outfile(
        GEMINI_CLI,
        (900, "user_prompt", {"prompt_id": "g-1", "prompt": "What is here?"}),
        (2_010, "api_response", call | {"prompt_id": "g-1"}),
        (3_505, "tool_call", tool | {"function_name": "list_directory", "success": True}),
        (3_605, "tool_call", tool | {"function_name": "write_file", "success": False, "error": "denied"}),
        (9_010, "user_prompt", {"prompt_id": "g-2", "prompt": "Again"}),
        (10_000, "api_response", call | {"prompt_id": "g-2"}),
    )


def test_a_chat_and_an_outfile_of_qwen_code_tell_the_same_calls() -> None:
    """Both become spans of one trace and of the same names; they are joined like a live export and a file."""
    chat = read(QwenSessionParser(), lines(qwen_chat()))
    expected = _sums(session(chat))
    assert expected["model_calls"] == 5
    for files in ([chat, qwen_outfile()], [qwen_outfile(), chat]):
        assert _sums(session(*files)) == expected


def test_a_chat_and_an_outfile_of_gemini_cli_tell_the_same_calls() -> None:
    """Nothing but times, names and tokens says so."""
    chat = [each | ({"model": "gemini-3-pro"} if each.get("id") == "m-5" else {}) for each in gemini_chat()]
    units = read(GeminiSessionParser(), lines(chat))
    expected = _sums(session(units))
    assert expected["tokens"]["total"] == 2 * 242
    for files in ([units, gemini_outfile()], [gemini_outfile(), units]):
        assert _sums(session(*files)) == expected


def test_a_tool_call_of_an_outfile_has_the_id_that_its_event_names() -> None:
    """Then it is joined by it, whatever the times say."""
    event = {"function_name": "ls", "success": True, "call_id": "call-9", "prompt_id": "p"}
    shown = session(outfile(QWEN_CODE, (1_000, "tool_call", event)))
    (call,) = _calls(shown)
    assert (call["id"], call["sources"]) == ("call-9", ["event", "file"])


def test_what_a_file_says_went_wrong_in_a_turn_counts_beside_a_tool_that_failed() -> None:
    """The error message of Gemini CLI, and Codex' end of a turn, are of no call."""
    shown = session(read(GeminiSessionParser(), lines(gemini_chat())))
    assert shown["errors"] == 2
    assert [each["error"] for each in shown["turns"][0]["faults"]] == ["quota exceeded"]
    aborted = [*codex_rollout()[:16], codex_rollout()[-1]]
    assert session(read(CodexParser(), lines(aborted)))["errors"] == 2


@pytest.mark.parametrize(
    ("parser", "documents"),
    [
        (ClaudeCodeParser, usual_session().data.splitlines()),
        (CodexParser, lines(codex_rollout())),
        (GeminiSessionParser, lines(gemini_chat())),
        (QwenSessionParser, lines(qwen_chat())),
    ],
    ids=["claude", "codex", "gemini", "qwen"],
)
def test_a_tool_that_ran_when_its_file_was_read_keeps_its_answer(
    parser: Callable[[], Parser], documents: list[bytes]
) -> None:
    """Wherever the first reading of a file that is being written stopped: the next one knows how the tool went."""
    expected = [call for call in _calls(session(read(parser(), documents))) if call["type"] == "tool"]
    assert any(call["status"] == "error" for call in expected)
    for end in range(1, len(documents)):
        first = parser()
        units = [unit for each in documents[:end] for unit in first.feed(each)]
        units += first.flush(finished=True, settled=False)
        shown = session(units, read(parser(), documents))
        assert [call for call in _calls(shown) if call["type"] == "tool"] == expected, end


@pytest.mark.parametrize(
    ("parser", "documents"),
    [
        (CodexParser, lines(codex_rollout())),
        (GeminiSessionParser, lines(gemini_chat())),
        (QwenSessionParser, lines(qwen_chat())),
    ],
    ids=["codex", "gemini", "qwen"],
)
def test_a_call_that_waited_for_its_tokens_when_its_file_was_read_gets_them(
    parser: Callable[[], Parser], documents: list[bytes]
) -> None:
    """A file that is being written may have the answer before its tokens, or the tokens before the answer."""
    expected = session(read(parser(), documents))["tokens"]
    for end in range(1, len(documents)):
        first = parser()
        units = [unit for each in documents[:end] for unit in first.feed(each)]
        units += first.flush(finished=True, settled=False)
        assert session(units, read(parser(), documents))["tokens"] == expected, end


def test_a_rollout_of_the_first_form_has_its_model_calls() -> None:
    """Its lines name no model and no tokens."""
    shown = session(read(CodexParser(), lines(old_codex_rollout())))
    assert (shown["model_calls"], shown["tool_calls"]) == (2, 1)


def _tokens(sent: int, output: int, *, total: int, cached: int = 0, thoughts: int = 0) -> dict[str, int]:
    return {
        "input_token_count": sent, "output_token_count": output, "cached_content_token_count": cached,
        "thoughts_token_count": thoughts, "tool_token_count": 0, "total_token_count": total, "duration_ms": 500,
    }  # fmt: skip


def _sums(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in _SUMS}


def _calls(shown: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return [call for turn in shown["turns"] for call in turn["calls"]]
