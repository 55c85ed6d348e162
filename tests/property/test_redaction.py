"""Redaction against a plain reading of its rules, on whatever valid requests say."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from receiver.config import RedactRule
from receiver.decode.redact_rules import Prefilter, compile_rules
from receiver.signals import Signal
from tests.support.otlp_strategies import REQUESTS
from tests.support.redaction import REQUEST_TYPES, Redacting, keys_of, names, rule, texts_of
from tests.support.wire_bytes import field


def _rules_for(message: Message) -> st.SearchStrategy[list[RedactRule]]:
    """Return rules that are likely to fit something of a message."""
    keys = sorted({key for key in keys_of(message) if key and "*" not in key}) or ["none"]
    texts = sorted({text for text in texts_of(message) if text and "\\E" not in text}) or ["none"]
    globs = st.sampled_from(keys).flatmap(
        lambda key: st.sampled_from(
            [key, key.upper() if key.isascii() else key, f"{key[0]}*", f"*{key[-1]}", "*"]
        )
    )
    patterns = st.sampled_from(texts).flatmap(
        lambda text: st.sampled_from([rf"^\Q{text}\E$", rf"\Q{text[0]}\E", rf"\Q{text[-1]}\E\z"])
    )
    one = st.builds(
        lambda action, k, v: RedactRule(action=action, keys=tuple(k), values=tuple(v)) if k or v else None,
        st.sampled_from(["drop", "mask"]),
        st.lists(globs, max_size=2),
        st.lists(patterns, max_size=2),
    )
    return st.lists(one.filter(bool), min_size=1, max_size=3)  # type: ignore[arg-type]


def _text(text: str, above: list[RedactRule], rules: list[RedactRule]) -> str | None:
    """Return what the rules leave of a text below keys that the rules ``above`` name; None: nothing."""
    for each in rules:
        if each.keys and each not in above:
            continue
        if not each.values:
            if each.action == "drop":
                return None
            return "***"
        pattern = "|".join(f"(?:{one})" for one in each.values)
        if not pc.match_substring_regex(pa.scalar(text), pattern).as_py():
            continue
        if each.action == "drop":
            return None
        text = pc.replace_substring_regex(pa.scalar(text), pattern, "***").as_py()
    return text


def _value(value: AnyValue, key: list[RedactRule], above: list[RedactRule], rules: list[RedactRule]) -> bool:
    """Redact a value in place; return False if it goes."""
    kind = value.WhichOneof("value")
    whole = [each for each in key if not each.values]
    if kind in ("string_value", "bytes_value"):
        before = value.string_value if kind == "string_value" else value.bytes_value.decode(errors="replace")
        after = _text(before, above + key, rules)
        if after is not None and after != before:
            value.string_value = after if kind == "string_value" else "***"
        return after is not None
    if whole:
        value.string_value = "***"
        return whole[0].action != "drop"
    if kind == "array_value":
        kept = [one for one in value.array_value.values if _value(one, [], above + key, rules)]
        del value.array_value.values[:]
        value.array_value.values.extend(kept)
    elif kind == "kvlist_value":
        _message(value.kvlist_value, above + key, rules)
    return True


def _message(message: Any, above: list[RedactRule], rules: list[RedactRule]) -> None:
    for described, content in message.ListFields():
        name = described.name
        if described.type == described.TYPE_STRING and name not in ("id_keys", "description_keys"):
            if described.is_repeated:
                content[:] = [_text(one, [], rules) or "" for one in content]
            else:
                setattr(message, name, _text(content, [], rules) or "")
        elif described.type != described.TYPE_MESSAGE:
            continue
        elif described.message_type is KeyValue.DESCRIPTOR:
            kept = [
                pair
                for pair in content
                if _value(
                    pair.value,
                    [r for r in rules if names(r, pair.key)],
                    [r for r in above if r.values],
                    rules,
                )
            ]
            if name == "attributes" and hasattr(message, "dropped_attributes_count"):
                dropped = message.dropped_attributes_count + len(content) - len(kept)
                message.dropped_attributes_count = min(dropped, 2**32 - 1)
            kept = [KeyValue.FromString(pair.SerializeToString()) for pair in kept]
            del content[:]
            content.extend(kept)
        elif described.message_type is AnyValue.DESCRIPTOR:
            if not _value(content, [], [], rules):
                message.ClearField(name)
        else:
            for one in content if described.is_repeated else [content]:
                _message(one, [], rules)


@pytest.mark.parametrize("signal", list(Signal))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_rules_change_what_they_name_and_nothing_else(signal: Signal, data: st.DataObject) -> None:
    """What is left is what a plain recursive reading of the rules leaves, whichever way the request went."""
    message = REQUEST_TYPES[signal].FromString(data.draw(REQUESTS[signal]))
    body = message.SerializeToString()
    rules = data.draw(_rules_for(message))
    payload = Redacting(*rules).payload(signal, body)
    _message(message, [], rules)
    assert REQUEST_TYPES[signal].FromString(payload).SerializeToString(deterministic=True) == (
        message.SerializeToString(deterministic=True)
    )


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(min_size=1),
    before=st.binary(),
    after=st.binary(),
    start=st.booleans(),
    end=st.sampled_from(["", "$", r"\z"]),
)
def test_the_search_over_bytes_finds_whatever_a_pattern_finds(
    text: str, before: bytes, after: bytes, *, start: bool, end: str
) -> None:
    """A text in the middle of any bytes, its length before it, is found by the pattern that finds it alone."""
    escaped = "".join(f"\\x{{{ord(c):x}}}" for c in text)
    pattern = f"{'^' if start else ''}{escaped}{end}"
    assert pc.match_substring_regex(pa.scalar(text), pattern).as_py()
    body = before + field(1, text.encode()) + after
    assert Prefilter(compile_rules([rule("mask", values=(pattern,))])).concerned([body]) == [True]
    key = "".join(c for c in text if c != "*") or "k"
    body = before + field(1, key.encode()) + after
    assert Prefilter(compile_rules([rule("mask", f"*{key}")])).concerned([body, b""]) == [True, False]
