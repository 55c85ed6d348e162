"""Files of agents are known by how they begin, and are taken for nothing else."""

from __future__ import annotations

import json

import pytest

from receiver.app.request_reader import DecodingRequestReader
from receiver.signals import Signal
from receiver.sources.formats import PARSERS, ReadingContext
from receiver.sources.reading import FileReading
from tests.support.agent_files import (
    codex_rollout,
    dump,
    gemini_chat,
    js_log,
    js_metrics,
    js_span,
    lines,
    old_codex_rollout,
    qwen_chat,
)
from tests.support.session_files import otlp_line, usual_session

_FILES = {
    "qwen_code_outfile": [
        dump(js_span(1, service="qwen-code", name="qwen-code.interaction")),
        dump(js_log(1, "qwen-code.user_prompt", service="qwen-code", prompt='the "gemini-cli" and gemini_cli.x')),
        dump(js_metrics("qwen-code")),
        dump(js_span(1, service="qwen-code", name="qwen-code.interaction"))[:700],
        json.dumps(js_log(1, "qwen-code.user_prompt", service="my-own-name")).encode() + b"\n",
    ],
    "gemini_cli_outfile": [
        dump(js_span(1, service="gemini-cli", name="llm_call")),
        dump(js_log(1, "gemini_cli.user_prompt", service="gemini-cli", prompt='how does "qwen-code" do it?')),
        dump(js_metrics("gemini-cli")),
    ],
    "qwen_code": [b"\n".join(lines(qwen_chat())), b"\xef\xbb\xbf" + b"\n".join(lines(qwen_chat()[1:]))],
    "gemini_cli": [
        b"\n".join(lines(gemini_chat())),
        json.dumps({**gemini_chat()[0], "messages": gemini_chat()[1:2]}, indent=2).encode(),
    ],
    "codex": [
        b"\n".join(lines(codex_rollout())),
        b"\n".join(lines(old_codex_rollout())),
        lines([{**codex_rollout()[0], "payload": {"id": "s", "instructions": "x" * 300_000}}])[0][:262_144],
    ],
    "claude_code": [usual_session().data],
    "otlp_json": [otlp_line(Signal.LOGS, 1, text="qwen-code.api_request"), otlp_line(Signal.TRACES, 1)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "head"), [(name, head) for name, heads in _FILES.items() for head in heads])
def test_file_is_known_by_how_it_begins(name: str, head: bytes) -> None:
    """The first format that recognises a file is its own."""
    found = next((each.name for each in PARSERS if each.recognises(head)), None)
    assert found == name


@pytest.mark.parametrize(
    "head",
    [b"", b"{}", b"[]", b"plain text", b'{"hrTime": [1, 2]}', b'{"sessionId": "s"}', b"\x00\x01\x02", b'{"type": "message"}'],
)  # fmt: skip
def test_other_files_are_no_agents(head: bytes) -> None:
    """A file that only looks a little like an agent's is left to others."""
    agents = {"qwen_code_outfile", "gemini_cli_outfile", "qwen_code", "gemini_cli", "codex"}
    assert not [each.name for each in PARSERS if each.name in agents and each.recognises(head)]


_SPAN = dump(js_span(1, service="qwen-code", name="qwen-code.interaction"))
_LOG = dump(js_log(2, "qwen-code.user_prompt", service="qwen-code", prompt="Hello"))
_METRICS = dump(js_metrics("qwen-code"))


@pytest.mark.parametrize(
    ("data", "units", "problems"),
    [
        (b"\n".join([_SPAN, _LOG, _METRICS, b""]), 3, 0),
        (b"\n".join([_SPAN, _LOG[:200], _METRICS, b""]), 2, 1),
        (b"\n".join([_SPAN, _LOG, _METRICS[:200]]), 2, 1),
        (b"\n".join(lines(codex_rollout())), 10, 0),
        (b"\n".join([*lines(codex_rollout()[:-1]), b'{"timestamp":"2026']), 8, 1),
        (b"\n".join([*lines(qwen_chat())[:1], b"{broken}", *lines(qwen_chat())[1:]]), 10, 1),
        (b"\n".join(lines(gemini_chat())), 7, 0),
        (json.dumps({**gemini_chat()[0], "messages": gemini_chat()[1:2]}, indent=2).encode(), 2, 0),
    ],
)
def test_file_is_read_to_its_end_whatever_is_damaged(data: bytes, units: int, problems: int) -> None:
    """What is whole is read, what is damaged is told; a half-written end leaves open what it may still change."""
    reading = FileReading("file", ReadingContext(DecodingRequestReader()))
    found = [*reading.feed(data), *reading.end(settled=False)]
    assert [str(each) for each in reading.problems.listed][problems:] == []
    assert (len(found), len(reading.problems.listed)) == (units, problems)
