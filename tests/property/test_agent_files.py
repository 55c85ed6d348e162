"""Laws of the parsers of agents' files that hold for every place at which a file is cut or damaged."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.config import LimitsConfig
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.ports import ExportRequest, ImportUnit, Verdict
from receiver.sources.codex.parser import CodexParser
from receiver.sources.gemini_cli import GeminiSessionParser
from receiver.sources.outfiles.parser import GEMINI_CLI, QWEN_CODE, OutfileParser
from receiver.sources.qwen_code import QwenSessionParser
from receiver.sources.source import MalformedDocumentError, Parser
from tests.support.agent_files import (
    T0,
    codex_rollout,
    contents,
    gemini_chat,
    js_log,
    js_metrics,
    js_span,
    old_codex_rollout,
    qwen_chat,
    read,
)


def _outfile(service: str, prefix: str, *, spans: bool) -> list[dict[str, Any]]:
    said: dict[str, Any] = {"prompt_id": "p1", "model": "m"}
    texts = contents("one", "two", "three")
    records = [
        js_log(1, f"{prefix}user_prompt", service=service, prompt="one", prompt_id="p1"),
        js_log(2, f"{prefix}api_request", service=service, request_text=contents("one"), **said),
        js_log(
            3, f"{prefix}api_response", service=service, input_token_count=5, output_token_count=1, **said
        ),
        js_log(
            4, f"{prefix}tool_call", service=service, function_name="ls", success=False, error="no", **said
        ),
        js_metrics(service),
        js_log(5, f"{prefix}api_request", service=service, request_text=texts, **said),
        js_log(6, f"{prefix}api_error", service=service, error_message="no", **said),
        js_log(7, f"{prefix}user_prompt", service=service, at=T0 + 90_000, prompt="two", prompt_id="p2"),
        js_metrics(service, at=T0 + 200_000),
        js_metrics(service, at=T0 + 300_000),
    ]
    if spans:
        history = {"gen_ai.input.messages": texts, "session.id": "s"}
        records.insert(3, js_span(1, service=service, name=f"{prefix}llm_request", attributes=history))
        records.insert(6, js_span(2, service=service, name=f"{prefix}llm_request", attributes=history))
    return records


_FILES: dict[str, tuple[Callable[[], Parser], list[dict[str, Any]]]] = {
    "qwen outfile": (lambda: OutfileParser(QWEN_CODE), _outfile("qwen-code", "qwen-code.", spans=True)),
    "gemini outfile": (lambda: OutfileParser(GEMINI_CLI), _outfile("gemini-cli", "gemini_cli.", spans=False)),
    "qwen chat": (QwenSessionParser, qwen_chat()),
    "gemini chat": (GeminiSessionParser, gemini_chat()),
    "codex": (CodexParser, codex_rollout()),
    "old codex": (CodexParser, old_codex_rollout()),
}
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["[Circular]", 2**64, -1, 1e300, "2026-01-01T00:00:00Z", [1, 2], [-1, 0], [10**10, 5], "\ud83d"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
_GARBAGE = st.sampled_from([b"", b"{", b"null", b"[]", b'{"a":', b"\xff\xfe", b'"text"', b"{}"])
each_file = pytest.mark.parametrize("name", list(_FILES))


def _documents(records: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def _said(units: list[ImportUnit]) -> list[tuple[bytes, str, bytes]]:
    return [(unit.key, unit.signal, unit.payload) for unit in units]


@each_file
def test_reading_again_gives_the_same_units(name: str) -> None:
    """The same documents give the same keys and bytes, in the same order."""
    make, records = _FILES[name]
    first = _said(read(make(), _documents(records)))
    assert first == _said(read(make(), _documents(records)))
    assert len({key for key, _, _ in first}) == len(first)
    assert all(len(key) == 16 for key, _, _ in first)


@each_file
def test_reading_in_parts_gives_the_same_units(name: str) -> None:
    """Wherever a reader pauses at the end of a file that grows, the units stay the same."""
    make, records = _FILES[name]
    documents = _documents(records)
    whole = _said(read(make(), documents))
    for place in range(len(documents) + 1):
        parser = make()
        units = [unit for document in documents[:place] for unit in parser.feed(document)]
        units += parser.flush(finished=False)
        units += read(parser, documents[place:])
        assert _said(units) == whole


@each_file
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damage_costs_no_other_document(name: str, data: st.DataObject) -> None:
    """Damage between two documents is told, and every other document means what it means without it."""
    make, records = _FILES[name]
    documents = _documents(records)
    whole = _said(read(make(), documents))
    place = data.draw(st.integers(0, len(documents)))
    parser = make()
    units = [unit for document in documents[:place] for unit in parser.feed(document)]
    with pytest.raises(MalformedDocumentError):
        list(parser.feed(data.draw(_GARBAGE)))
    units += read(parser, documents[place:])
    assert _said(units) == whole


@each_file
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_value_anywhere_is_read_or_told(name: str, data: st.DataObject) -> None:
    """A record with a strange value is read or refused, never anything else; what is made of it is valid OTLP."""
    make, records = _FILES[name]
    documents = _documents(records)
    whole = _said(read(make(), documents))
    place = data.draw(st.integers(0, len(records) - 1))
    changed = copy.deepcopy(records[place])
    _change(changed, data)
    parser = make()
    units = [unit for document in documents[:place] for unit in parser.feed(document)]
    try:
        units += parser.feed(json.dumps(changed).encode())
    except MalformedDocumentError:
        units += read(parser, documents[place:])
        assert _said(units) == whole
        return
    units += read(parser, documents[place + 1 :])
    _assert_accepted(units)


@each_file
def test_receiver_accepts_every_record(name: str) -> None:
    """Nothing in a unit is rejected by the receiver that decodes it."""
    make, records = _FILES[name]
    _assert_accepted(read(make(), _documents(records)))


def _change(value: Any, data: st.DataObject) -> None:
    """Put something else, or nothing, at one place."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(value[key], dict | list) and value[key] and data.draw(st.booleans()):
            value = value[key]
            continue
        if data.draw(st.booleans()):
            value[key] = data.draw(_JSON)
        else:
            del value[key]
        return


def _assert_accepted(units: list[ImportUnit]) -> None:
    decoder = ColumnDecoder(LimitsConfig(), NestedValues())
    for unit in units:
        (verdict,) = decoder.decode([ExportRequest(unit.signal, unit.payload)]).verdicts
        assert isinstance(verdict, Verdict)
        assert (verdict.outcome.rejected, verdict.outcome.message) == (0, "")
        assert verdict.payload == unit.payload
