"""Answers as tables and trees, drawn into text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from receiver.cli import tables
from receiver.cli.trace_tree import draw_trace

EVIL = "[red]evil[/red] \x1b]0;title\x07 \u202etxt"
SAFE = "[red]evil[/red] \\x1b]0;title\\x07 \\u202etxt"
T0 = 1_790_000_000_000_000_000


def drawn(draw: Any, answer: Any, *, width: int = 10_000, terminal: bool = False, **more: Any) -> str:
    """Return what is drawn on a console of some width."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=terminal, markup=False, emoji=False, highlight=False,
        color_system="standard" if terminal else None,
    )  # fmt: skip
    draw(console, answer, **more)
    return out.getvalue()


def span(number: int, *children: Any, depth: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a span of a trace as the API says it."""
    return {
        "span_id": f"{number:016x}",
        "service": "shop",
        "name": f"step {number}",
        "kind": "server",
        "time_unix_nano": str(T0 + number * 1_000_000),
        "duration_ms": 2.5,
        "status": "unset",
        "status_message": "",
        "attributes": {"http.route": "/cart"},
        "events": [],
        "links": [],
        "logs": [],
        "depth": depth,
        "children": list(children),
        **changes,
    }


def log(**changes: Any) -> dict[str, Any]:
    """Return a log record as the API says it."""
    return {
        "name": "",
        "service": "shop",
        "trace_id": None,
        "time_unix_nano": str(T0),
        "severity_number": 9,
        "severity_text": "INFO",
        "body": "hello",
        "attributes": {"a": 1},
        **changes,
    }


def trace(*roots: Any, **changes: Any) -> dict[str, Any]:
    """Return a trace as the API says it."""
    return {
        "trace_id": "ab" * 16,
        "span_count": len(roots),
        "log_count": 0,
        "error_count": 0,
        "services": ["shop"],
        "roots": list(roots),
        "logs": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("draw", "answer"),
    [
        (tables.draw_search, {"results": []}),
        (tables.draw_traces, {"traces": []}),
        (tables.draw_services, {"services": []}),
        (tables.draw_logs, {"logs": []}),
        (tables.draw_metrics, {"metrics": []}),
        (tables.draw_metric, {"series": []}),
    ],
)
def test_an_empty_answer_says_so(draw: Any, answer: Any) -> None:
    """Nobody has to guess whether a question was understood."""
    assert drawn(draw, answer) == "nothing found\n"


RESULT = {
    "name": EVIL,
    "service": EVIL,
    "why": f"has {EVIL}",
    "trace_id": "cd" * 16,
    "similarity": 0.61234,
    "time_unix_nano": str(T0),
    "duration_ms": 12.0,
    "status": "error",
    "body": None,
}
HOSTILE = [
    (tables.draw_search, {"results": [RESULT]}),
    (
        tables.draw_traces,
        {"traces": [{**RESULT, "span_count": 3, "error_count": 1, "root_is_missing": False}]},
    ),
    (
        tables.draw_services,
        {"services": [{"service": EVIL, "spans": 1, "log_records": 2, "metric_points": 3,
                       "first_unix_nano": None, "last_unix_nano": None}]},
    ),
    (tables.draw_logs, {"logs": [log(body=EVIL, severity_text=EVIL, name=EVIL, service=EVIL)]}),
    (tables.draw_logs, {"logs": [log(body={"nested": EVIL})]}),
    (
        tables.draw_metrics,
        {"metrics": [{"name": EVIL, "type": "sum", "unit": EVIL, "temporality": "delta", "services": [EVIL],
                      "points": 5, "description": EVIL}]},
    ),
    (
        tables.draw_metric,
        {"name": EVIL, "series": [{"service": EVIL, "type": "gauge", "unit": EVIL, "attributes": {EVIL: EVIL},
                                   "points": [{"time": "", "time_unix_nano": str(T0), "value": 1.5}]}]},
    ),
    (tables.draw_sql, {"columns": [EVIL], "rows": [[EVIL], [None], [{"a": EVIL}]]}),
    (
        draw_trace,
        trace(
            span(1, name=EVIL, service=EVIL, status="error", status_message=EVIL,
                 events=[{"name": EVIL, "time_unix_nano": str(T0), "attributes": {EVIL: EVIL}}],
                 links=[{"trace_id": EVIL, "span_id": EVIL}], logs=[log(body=EVIL)], attributes={EVIL: EVIL}),
            services=[EVIL], logs=[log(body=EVIL, attributes={EVIL: EVIL})],
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "answer"), HOSTILE)
def test_hostile_telemetry_is_shown_and_not_obeyed(draw: Any, answer: Any) -> None:
    """Escapes, title changes, bidirectional overrides and markup stand there as text, in every drawing."""
    more = {"attributes": True} if draw is draw_trace else {}
    text = drawn(draw, answer, **more)
    assert SAFE in text or SAFE.replace("\\", "\\\\") in text or "\\u001b" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


# A trace is none of these: its lines are wrapped by the terminal, so that they can be copied whole.
@pytest.mark.parametrize(("draw", "answer"), [each for each in HOSTILE if each[0] is not draw_trace])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_the_terminal(draw: Any, answer: Any, width: int) -> None:
    """No line of a table is wider than the terminal, from narrow to wide."""
    lines = drawn(draw, answer, width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_a_result_shows_its_score_reason_and_trace() -> None:
    """What a reader needs to go on is there."""
    text = drawn(
        tables.draw_search, {"results": [{**RESULT, "name": "pay", "service": "till", "why": "has pay: pay"}]}
    )
    assert all(part in text for part in ("0.612", "pay  till", "has pay: pay", "cd" * 16, "12 ms", "error"))


def test_log_records_stand_with_the_newest_last() -> None:
    """The API sends the newest first; a terminal is read at its end."""
    text = drawn(tables.draw_logs, {"logs": [log(body="newest"), log(body="oldest")]})
    assert text.index("oldest") < text.index("newest")


def test_errors_are_red_on_a_terminal() -> None:
    """A failed span and a failed log record catch the eye."""
    text = drawn(draw_trace, trace(span(1, status="error", status_message="no money")), terminal=True)
    assert "\x1b[1;31mstep 1" in text
    assert "\x1b[1;31mERROR" in drawn(
        tables.draw_logs, {"logs": [log(severity_number=17, severity_text="ERROR")]}, terminal=True
    )


def test_a_trace_is_a_tree_with_offsets_durations_events_and_logs() -> None:
    """Children are indented under their parents, what happened in a span stands under it."""
    exception = {
        "name": "exception",
        "time_unix_nano": str(T0 + 3_000_000),
        "attributes": {"exception.type": "ValueError", "exception.message": "no such cart"},
    }
    answer = trace(
        span(1, span(2, depth=1, events=[exception], logs=[log(body="cart is empty")])),
        span(5, orphan=True),
        log_count=2,
        logs=[log(body="of no span")],
    )
    lines = drawn(draw_trace, answer).splitlines()
    assert lines[1:] == [
        "     +0 µs     2.5 ms step 1  shop  server",
        "     +1 ms     2.5 ms   step 2  shop  server",
        "                          +2 ms exception ValueError: no such cart",
        "                          INFO cart is empty",
        "     +4 ms     2.5 ms step 5  shop  server  (its parent is missing)",
        "log INFO of no span",
    ]


def test_a_deep_trace_keeps_its_lines_short() -> None:
    """Below 24 levels the level is a number, and no recursion ends at Python's limit."""
    deepest = span(99, depth=99)
    for depth in range(98, -1, -1):
        deepest = span(depth, deepest, depth=depth)
    lines = drawn(draw_trace, trace(deepest)).splitlines()
    assert len(lines) == 101
    assert "[99] step 99" in lines[-1]
    assert max(map(len, lines)) < 110


def test_stats_show_backlog_quarantine_and_problems() -> None:
    """What needs a person's attention is on the screen."""
    answer = {
        "records": {"spans": 1200, "log_records": 0, "metric_points": 7},
        "services": {"shop": {"spans": 1200, "log_records": 0, "metric_points": 7}},
        "traces_estimate": 40,
        "embedding": {"available": True, "embedded": 30, "pending": 12},
        "database": {"bytes": 3 << 20, "used_bytes": 1 << 20},
        "spool": {"not_loaded_requests": 2, "bytes": 5000},
        "quarantine": {"requests": 3},
        "server": {"uptime_s": 75.2, "memory_rss_bytes": 200 << 20, "problems": ["the spool is full"]},
    }
    text = drawn(tables.draw_stats, answer)
    said = (
        "1,200",
        "30 texts embedded, 12 pending",
        "2 requests not stored yet",
        "3 requests",
        "up 1 m 15 s",
    )
    assert all(part in text for part in (*said, "problem     the spool is full"))


def test_stats_of_a_file_have_no_server() -> None:
    """Without a server there is nothing to say of spool, quarantine and uptime."""
    answer = {
        "records": {"spans": 0, "log_records": 0, "metric_points": 0},
        "services": {},
        "traces_estimate": 0,
        "embedding": {"available": False, "embedded": 0, "pending": 0},
        "database": {"bytes": 0, "used_bytes": 0},
        "spool": {},
        "quarantine": {},
        "server": {},
    }
    text = drawn(tables.draw_stats, answer)
    assert "not available: search matches words" in text
    assert "server" not in text
