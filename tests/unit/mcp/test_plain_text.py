"""Text of records cannot hide anything from the person who reads along."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.mcp.plain_text import plain


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\x1b[2J", "\\u001b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("\U000e0049\U000e0047", "\\U000e0049\\U000e0047"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\ufe0f\U000e0101", "\\ufe0f\\U000e0101"),
        ("\ud800", "\\ud800"),
        ("\x85\u2028", "\\u0085\\u2028"),
    ],
)
def test_hidden_characters_are_written_out(hidden: str, shown: str) -> None:
    """Controls, directions, tags, zero width, selectors and lone surrogates become escapes."""
    assert plain(hidden) == shown


@pytest.mark.parametrize("text", ["a\tb\nc", "Zürich", "日本語", "עברית", "🙂", '"}], "notice": "', ""])
def test_what_is_seen_stays(text: str) -> None:
    """Scripts of the world, emoji, quotes, tabs and new lines are left alone."""
    assert plain(text) == text


@given(st.text(st.characters(codec=None)))
def test_nothing_invisible_is_left(text: str) -> None:
    """No control, format, private or surrogate character is in what comes out; it can always be encoded."""
    shown = plain(text)
    shown.encode()
    assert not [
        c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Co", "Zl", "Zp"} and c not in "\t\n"
    ]
    assert plain(shown) == shown
