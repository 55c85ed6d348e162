"""docs/session-files.md tells what the code does."""

from __future__ import annotations

import re

import pytest

from receiver.sources.claude_code.parser import ClaudeCodeParser
from receiver.sources.contents.messages import CONTENT_LIMIT, LEFT_OUT
from receiver.sources.documents import DOCUMENT_LIMIT, UNFINISHED
from receiver.sources.formats import PARSERS
from tests.support.pages import text_of
from tests.support.session_files import spans_of, units_of, usual_session

PAGE = text_of("docs/session-files.md")


def test_the_page_has_every_format() -> None:
    """The table of formats has the names of the code, each once."""
    table = PAGE.partition("## What is read")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(each.name for each in PARSERS)


def test_the_page_has_every_kind_of_span() -> None:
    """The table of spans has each kind that a session gives, and names it as the code does."""
    table = PAGE.partition("## Claude Code")[2].partition("\n- ")[0]
    kinds = set(re.findall(r"^\| `[^`]+` \| `(\w+)` \|", table, re.MULTILINE))
    found = spans_of(units_of(ClaudeCodeParser(), usual_session().data.splitlines()))
    assert {span.kind for span in found} | {"agent"} == kinds


@pytest.mark.parametrize(
    "words", [f"{CONTENT_LIMIT:,} characters", LEFT_OUT, f"{DOCUMENT_LIMIT >> 20} MiB", UNFINISHED]
)
def test_the_bounds_are_named(words: str) -> None:
    """Every bound that the code has stands on the page."""
    assert words in PAGE
