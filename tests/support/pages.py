"""The pages of the documentation, for the tests that compare them with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
"""Folder of the repository."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*.md"))
)
"""Every page, relative to ``ROOT``."""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def text_of(page: str) -> str:
    """Return the whole text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    """Return the text of a page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def blocks_of(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in this language."""
    return [
        block.text for match in _FENCE.findall(text_of(page)) if (block := Block(*match)).language == language
    ]
