"""Each guarantee in docs/guarantees.md is shown by tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.pages import ROOT, text_of

PAGE = text_of("docs/guarantees.md")
_TEST = re.compile(r"\[`([\w/.-]+\.py)::(\w+)`\]\(\.\./([\w/.-]+\.py)\)")
_BARE = re.compile(r"`[\w/.-]+\.py::\w+`")
_SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)
_PROMISED = re.compile(r"^- \*\*(.+?)\.\*\*", re.MULTILINE)
_README_LINE = re.compile(r"^- \*\*.+?\*\*", re.MULTILINE)


@cache
def functions_of(path: str) -> frozenset[str]:
    """Return the names of all functions of a test file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def assigned_in(path: str) -> frozenset[str]:
    """Return the names of a test file's assignments: state machines of Hypothesis are test cases by assignment."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    targets = [t for n in tree.body if isinstance(n, ast.Assign) for t in n.targets]
    return frozenset(t.id for t in targets if isinstance(t, ast.Name))


@pytest.mark.parametrize(("file", "name", "link"), sorted(set(_TEST.findall(PAGE))))
def test_a_linked_test_exists(file: str, name: str, link: str) -> None:
    """The link leads to the file that it shows, and the file has the test."""
    assert link == f"tests/{file}"
    assert (ROOT / link).is_file()
    assert name in functions_of(link) | assigned_in(link)
    assert name.lower().startswith("test")


def test_every_named_test_is_a_link() -> None:
    """A test that the page names can be clicked."""
    assert len(_BARE.findall(PAGE)) == len(_TEST.findall(PAGE)) > 0


@pytest.mark.parametrize(("title", "text"), _SECTION.findall(PAGE))
def test_every_guarantee_is_shown_by_a_test(title: str, text: str) -> None:
    """Each promise of each section names at least one test."""
    promises = re.split(r"(?m)^(?=- \*\*)", text)[1:]
    assert promises, title
    for promise in promises:
        assert _TEST.search(promise), f"{title}: {promise[:60]!r} names no test"


def test_the_readme_promises_nothing_that_is_not_here() -> None:
    """The README links to the guarantees and has no more of them than this page has promises."""
    promised = text_of("README.md").partition("## What it guarantees")[2].partition("\n## ")[0]
    assert "docs/guarantees.md" in promised
    assert 0 < len(_README_LINE.findall(promised)) <= len(_PROMISED.findall(PAGE))
