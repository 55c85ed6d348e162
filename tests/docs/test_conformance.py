"""docs/conformance.md has every rule, and each rule has a test that carries its number."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.pages import ROOT, text_of

_NUMBERS = {"C": 11, "G": 9, "H": 16, "J": 9, "D": 12}
RULES = [f"{group}{number}" for group, last in _NUMBERS.items() for number in range(1, last + 1)]
_ROW = re.compile(r"^\| ([CGHJD]\d+) \| ([\w –]+) \| (.+) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"\[`([\w/.-]+\.py)::(test_\w+)`\]\(\.\./([\w/.-]+\.py)\)")
ROWS = {
    number: (level, rule, shown)
    for number, level, rule, shown in _ROW.findall(text_of("docs/conformance.md"))
}
LEVELS = {"must", "must not", "should", "may", "–"}


@cache
def functions_in(path: str) -> frozenset[str]:
    """Return the names of the functions of a test file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_rule_has_its_row_in_order() -> None:
    """Once each, with a level that means something and a sentence."""
    assert [row[0] for row in _ROW.findall(text_of("docs/conformance.md"))] == RULES
    assert {level for level, _, _ in ROWS.values()} <= LEVELS
    assert all(rule.endswith(".") for _, rule, _ in ROWS.values())


@pytest.mark.parametrize("number", RULES)
def test_a_rule_is_shown_by_tests_that_exist(number: str) -> None:
    """Each linked test is in the file that the link leads to, and nothing but links stands there."""
    shown = ROWS[number][2]
    found = _TEST.findall(shown)
    assert found
    assert _TEST.sub("", shown).replace(", ", "") == ""
    for file, name, link in found:
        assert link == f"tests/{file}"
        assert name in functions_in(link)


@pytest.mark.parametrize("number", RULES)
def test_a_rule_has_a_test_that_is_named_after_it(number: str) -> None:
    """Its name begins with the number."""
    names = [name for _, name, _ in _TEST.findall(ROWS[number][2])]
    assert any(name.startswith(f"test_{number.lower()}_") for name in names)


def test_every_test_of_the_folder_is_on_the_page() -> None:
    """A test of tests/conformance belongs to a rule."""
    linked = {name for _, _, shown in ROWS.values() for _, name, _ in _TEST.findall(shown)}
    folder = sorted((ROOT / "tests" / "conformance").glob("test_*.py"))
    names = {name for path in folder for name in functions_in(str(path.relative_to(ROOT)))}
    assert {name for name in names if name.startswith("test_")} <= linked
