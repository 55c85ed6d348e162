"""Outlines, comparisons and investigations drawn into text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from receiver.cli.investigation_tables import draw_comparison, draw_investigation, draw_outline
from receiver.query.comparison import comparison_of
from receiver.query.investigation import investigation_of
from receiver.query.outline import outline_of
from receiver.questions import (
    FailureGroup,
    FailureOrigin,
    ModelFigures,
    ModelPair,
    OperationFigures,
    OperationPair,
    ResourceWindow,
    TimeWindow,
    WindowFigures,
    WindowQuestion,
)
from tests.support.plain_spans import plain_log, plain_span, records

EVIL = "[red]evil[/red] \x1b]0;title\x07 \u202etxt"
SAFE = "[red]evil[/red] \\x1b]0;title\\x07 \\u202etxt"


def drawn(draw: Any, answer: Any, width: int = 10_000) -> str:
    """Return what is drawn on a console of some width."""
    out = io.StringIO()
    draw(
        Console(file=out, width=width, markup=False, emoji=False, highlight=False, color_system=None), answer
    )
    return out.getvalue()


def outline() -> dict[str, Any]:
    """Return an outline in which every list has something."""
    spans = [
        plain_span(str(number), "r", 1000 + number, 1002 + number, EVIL, service=EVIL, status="error",
                   status_message=EVIL,
                   attributes={"gen_ai.request.model": EVIL, "gen_ai.usage.input_tokens": 1234})
        for number in range(6)
    ]  # fmt: skip
    root = plain_span("r", "gone", 1000, 1100, EVIL)
    answer = outline_of(records(root, *spans, logs=[plain_log(EVIL, "r")]), limit=3)
    return {"trace_id": "ab" * 16, **answer}


def comparison() -> dict[str, Any]:
    """Return a comparison in which most lists have something."""
    a = records(
        plain_span("r", None, 1000, 1100, EVIL), plain_span("x", "r", 1000, 1050, EVIL + "a", status="error")
    )
    b = records(
        plain_span("r", None, 1000, 1200, EVIL, attributes={EVIL: EVIL}),
        plain_span("y", "r", 1000, 1150, EVIL + "b", status="error", status_message=EVIL),
    )
    return comparison_of(a, b, limit=3)


def investigation() -> dict[str, Any]:
    """Return an investigation in which every section has something."""
    fast = OperationFigures(100, 0, 10.0, 20.0, 30.0, 100, 0, 0)
    slow = OperationFigures(100, 50, 110.0, 120.0, 130.0, 100, 100, 20)
    none = OperationFigures(0, 0, None, None, None, 0, 0, 0)
    group = FailureGroup(EVIL, EVIL, 3, 0, 1, 2, (EVIL,), ("ab" * 16,))
    figures = WindowFigures(
        operations=[
            OperationPair(EVIL, name, "server", now, before, ("ab" * 16,), ("cd" * 16,))
            for name, now, before in ((EVIL, slow, fast), ("new", slow, none), ("gone", none, fast))
        ],
        failures=[group],
        origins=[FailureOrigin(EVIL, EVIL, "client", EVIL, 3, ("ab" * 16,))],
        failed_traces=4,
        messages=[group],
        resources=[
            ResourceWindow(EVIL, {"service.version": EVIL}, 5, 0, 1),
            ResourceWindow(EVIL, {"service.version": "1"}, 0, 5, 1),
        ],
        models=[ModelPair(EVIL, ModelFigures(2, 1, 1000, 5), ModelFigures(1, 0, 7, 5), ("ab" * 16,))],
        truncated=False,
    )
    question = WindowQuestion(TimeWindow(20, 30), TimeWindow(10, 20))
    return investigation_of(figures, question, prepare=str, limit=3)


DRAWN = [(draw_outline, outline), (draw_comparison, comparison), (draw_investigation, investigation)]


@pytest.mark.parametrize(("draw", "answer"), DRAWN)
def test_hostile_telemetry_is_shown_and_not_obeyed(draw: Any, answer: Any) -> None:
    """Escapes, title changes, bidirectional overrides and markup stand there as text."""
    text = drawn(draw, answer())
    assert SAFE in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


@pytest.mark.parametrize(("draw", "answer"), DRAWN)
@pytest.mark.parametrize("width", [60, 100, 200])
def test_every_line_fits_the_terminal(draw: Any, answer: Any, width: int) -> None:
    """Tables fold, from narrow to wide."""
    assert max(map(len, drawn(draw, answer(), width).splitlines())) <= width


def test_each_section_has_its_title_and_figures() -> None:
    """What the answer holds is on the screen, and what was cut is said."""
    text = drawn(draw_investigation, investigation())
    titles = (
        "error rates", "durations", "where failed traces failed first", "new error logs", "deployments",
        "new operations", "vanished operations", "models",
    )  # fmt: skip
    assert [title for title in titles if f"\n{title}\n" not in text] == []
    assert all(part in text for part in ("50.00% of 100", "slower", "120 ms", "20 ms", "1,005", "cd" * 16))
    said = drawn(draw_outline, outline())
    assert all(
        part in said
        for part in (
            "first failures",
            "repeated under one parent",
            "parent is not stored, counted as roots: 1",
        )
    )
    assert "and 4 more" in said
    assert all(
        part in drawn(draw_comparison, comparison()) for part in ("only in a", "failed in b only", "150 ms")
    )


def test_empty_lists_leave_no_title() -> None:
    """A trace without trouble has a short outline."""
    text = drawn(
        draw_outline, {"trace_id": "ab" * 16, **outline_of(records(plain_span("r", None, 1, 2)), limit=3)}
    )
    assert "failures" not in text
    assert "repeated" not in text
