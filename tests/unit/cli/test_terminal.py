"""Telemetry on a terminal: seen, never obeyed."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.cli.terminal import escaped, escaped_json, styled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\r\tc\x00\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
        ("zażółć 日本語 👩\u200d💻", "zażółć 日本語 👩\u200d💻"),
    ],
)
def test_control_and_formatting_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    """C0, C1, ESC, bidirectional overrides, separators, surrogates: all visible; letters are left alone."""
    assert escaped(text) == shown
    assert styled(text).plain == shown


@given(st.text(st.characters()))
def test_nothing_that_moves_the_cursor_gets_through(text: str) -> None:
    """Whatever the text, no character of the categories that terminals act on is left."""
    left = {unicodedata.category(each) for each in escaped(text) if each not in "\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_is_the_same_value(text: str) -> None:
    """What is escaped for a terminal still is the API's JSON."""
    raw = json.dumps({"name": text}, ensure_ascii=False)
    shown = escaped_json(raw)
    assert json.loads(shown) == {"name": text}
    left = {unicodedata.category(each) for each in shown if each not in "\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_del_is_escaped_in_json_too() -> None:
    """It is the one control character that JSON allows to stand as it is, and it is ASCII."""
    assert escaped_json('"a\x7fb"\n') == '"a\\u007fb"\n'
