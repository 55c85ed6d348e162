"""Agents' sessions as tables, drawn into text."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from receiver.cli.session_tables import draw_session, draw_sessions
from receiver.questions import AgentRecord
from receiver.sessions.prices import packaged_prices
from receiver.sessions.session import session_summary, session_tree
from tests.support import claude_code_signals as signals
from tests.support.agent_records import make_log, records_of_logs, records_of_metrics, records_of_traces

EVIL = "[red]evil[/red] \x1b]0;title\x07 \u202etxt"
SAFE = "[red]evil[/red] \\x1b]0;title\\x07 \\u202etxt"
SPANS = list(records_of_traces(signals.traces_request()))
LOGS = list(records_of_logs(signals.logs_request()))
POINTS = list(records_of_metrics(signals.metrics_request()))


def drawn(draw: Any, answer: Any) -> str:
    """Return what is drawn on a wide console."""
    out = io.StringIO()
    draw(Console(file=out, width=10_000, markup=False, emoji=False, highlight=False), answer)
    return out.getvalue()


def tree(*records: AgentRecord, session_id: str = signals.SESSION_ID) -> dict[str, Any]:
    """Return a session as the API says it."""
    return {**session_tree(session_id, records, packaged_prices()), "truncated": False}


def test_a_session_shows_its_sums_turns_and_calls() -> None:
    """Tokens, cost with its source, each call's model, and what failed."""
    text = drawn(draw_session, tree(*SPANS, *LOGS, *POINTS))
    assert "2 turns, 6 model calls, 2 tool calls, 2 errors" in text
    assert "71,479 tokens" in text
    assert "cost $0.1600 (reported)" in text
    assert "failed: 529 overloaded_error" in text
    assert "Bash  error: ShellError" in text
    assert "first token after 900 ms" in text


def test_an_estimated_amount_is_marked() -> None:
    """~ stands before an amount that nobody reported."""
    assert "cost ~$0.1600 (estimated)" in drawn(draw_session, tree(*SPANS))


def test_what_metrics_count_beyond_the_calls_is_said() -> None:
    """A session of metrics alone has all of it there."""
    assert "beyond these calls metrics count 71,479 tokens" in drawn(draw_session, tree(*POINTS))


def test_a_model_without_a_price_is_said() -> None:
    """Its cost is a question mark, not nothing."""
    record = make_log("claude_code.api_request", attributes={"model": "unheard-of", "input_tokens": 3})
    text = drawn(draw_session, tree(record))
    assert "the price table does not have: unheard-of" in text
    assert "cost ?" in text


def test_a_list_has_a_row_for_each_session() -> None:
    """With its id, agent, first prompt and sums."""
    rows = [session_summary(tree(*SPANS, *LOGS))]
    text = drawn(draw_sessions, {"sessions": rows, "truncated": False})
    for part in (signals.SESSION_ID, "claude_code", "<REDACTED>", "71,479", "$0.1600"):
        assert part in text
    assert drawn(draw_sessions, {"sessions": [], "truncated": False}) == "no session found\n"


def test_hostile_texts_are_escaped_everywhere() -> None:
    """Names, prompts, errors and ids come from telemetry."""
    records = [
        make_log("claude_code.user_prompt", service=EVIL, attributes={"prompt": EVIL, "prompt.id": "p"}),
        make_log(
            "claude_code.api_request", at=1, attributes={"model": EVIL, "input_tokens": 1, "prompt.id": "p"}
        ),
        make_log("claude_code.api_error", at=2, attributes={"error": EVIL, "prompt.id": "p"}),
        make_log(
            "claude_code.tool_result",
            at=3,
            attributes={
                "tool_name": EVIL,
                "success": "false",
                "error": EVIL,
                "agent.name": EVIL,
                "prompt.id": "p",
            },
        ),
    ]
    found = tree(*records, session_id=EVIL)
    for text in (
        drawn(draw_session, found),
        drawn(draw_sessions, {"sessions": [session_summary(found)], "truncated": False}),
    ):
        assert SAFE in text
        assert "\x1b" not in text
        assert "\u202e" not in text
