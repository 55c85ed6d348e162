"""Figures come from the benchmark: what the README says about speed stands in docs/benchmarks.md."""

from __future__ import annotations

import re

import pytest

from tests.benchmarks.report import BEGIN, END
from tests.support.pages import ROOT, text_of

_UNIT = (
    r"(?:(?:spans|log records|data points|records|requests|texts|rows)(?:/s| a second)"
    r"|ms|µs|CPU s|bytes a (?:span|record))"
)
_FIGURE = re.compile(rf"(?<![\w.,])(\d[\d,]*(?:\.\d+)?) {_UNIT}\b")


def figures_of(text: str) -> list[str]:
    """Return the numbers of a text that tell how fast or how large something is."""
    return _FIGURE.findall(text)


def missing_in(page: str, text: str) -> list[str]:
    """Return the figures of a text that are not on a page, digit for digit."""
    return [
        figure
        for figure in figures_of(text)
        if not re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d]|[.,]\d)", page)
    ]


def test_the_readme_has_no_figure_that_was_not_measured() -> None:
    """Every rate, latency and size in the README stands in docs/benchmarks.md."""
    assert missing_in(text_of("docs/benchmarks.md"), text_of("README.md")) == []


@pytest.mark.parametrize(
    ("claim", "missing"),
    [
        ("stores 180,000 spans/s", ["180,000"]),
        ("stores 123,456 spans a second and answers in 7.5 ms", []),
        ("answers in 7 ms", ["7"]),
        ("a request of 64 MiB", []),
    ],
)
def test_a_figure_is_found_only_as_it_was_measured(claim: str, missing: list[str]) -> None:
    """A rounded or cut number is another number."""
    assert missing_in("| 123,456 | 7.5 |", claim) == missing


def test_the_page_has_one_place_for_results() -> None:
    """The markers between which the report writes are there once, in order."""
    text = text_of("docs/benchmarks.md")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_every_benchmark_that_the_page_names_exists() -> None:
    """`python -m tests.benchmarks.X` is a module."""
    named = set(re.findall(r"tests\.benchmarks\.(\w+)", text_of("docs/benchmarks.md")))
    assert {"ingest", "limits", "report", "start_time"} <= named
    assert all((ROOT / "tests" / "benchmarks" / f"{name}.py").exists() for name in named)
