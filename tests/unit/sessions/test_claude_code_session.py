"""A whole session of Claude Code: totals computed by hand, whatever of it was sent, and however often.

By hand, from tests/support/claude_code_signals.py: input 12+410+8+6+9+5, output 340+24+220+180+150+95, read from the
cache 4000+15000+15700+16600, written into it 15000+2000+700+900+120; cost 0.10231+0.00053+0.012024+0.016405+0.01727+0.01145.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from receiver.questions import AgentRecord
from receiver.sessions.prices import packaged_prices
from receiver.sessions.session import session_tree
from receiver.sources.claude_code.parser import ClaudeCodeParser
from tests.support import claude_code_signals as signals
from tests.support.agent_records import (
    records_of_file,
    records_of_logs,
    records_of_metrics,
    records_of_traces,
)

SPANS = list(records_of_traces(signals.traces_request()))
LOGS = list(records_of_logs(signals.logs_request()))
POINTS = list(records_of_metrics(signals.metrics_request()))
FILE = list(records_of_file(ClaudeCodeParser(), signals.transcript()))
TOKENS = {
    "input": 450,
    "output": 1009,
    "cache_read": 51_300,
    "cache_creation": 18_720,
    "reasoning": 0,
    "total": 71_479,
}
COST = 0.159989


def tree(*records: AgentRecord) -> dict[str, Any]:
    """Return the session of these records."""
    return session_tree(signals.SESSION_ID, records, packaged_prices())


@pytest.mark.parametrize(
    ("records", "source"),
    [
        ([*SPANS, *LOGS, *POINTS, *FILE], "reported"),
        ([*SPANS, *LOGS, *POINTS], "reported"),
        ([*SPANS, *LOGS, *POINTS, *FILE] * 2, "reported"),
        ([*LOGS, *LOGS[3:], *POINTS, *POINTS[::2], *SPANS[5:], *SPANS], "reported"),
        (SPANS, "estimated"),
        (LOGS, "reported"),
        ([*SPANS, *FILE], "estimated"),
        ([*LOGS, *FILE], "reported"),
        ([*SPANS, *POINTS], "reported"),
    ],
    ids=["all", "live", "twice", "rebatched", "spans", "logs", "spans+file", "logs+file", "spans+metrics"],
)
def test_totals_are_those_computed_by_hand(records: list[AgentRecord], source: str) -> None:
    """Whatever tells of the calls, and however often, each counts once."""
    found = tree(*records)
    assert found["tokens"] == TOKENS
    assert found["cost_usd"] == COST
    assert found["cost_source"] == source
    assert (found["turn_count"], found["model_calls"], found["tool_calls"]) == (2, 6, 2)
    assert found["errors"] == 2, "one try of a request, and one tool"
    assert found["unattributed"] is None
    assert found["agent"] == "claude_code"


def test_totals_of_metrics_alone_are_the_same_and_belong_to_no_call() -> None:
    """Metrics tell no calls: all of it is shown as unattributed."""
    found = tree(*POINTS)
    assert (found["tokens"], found["cost_usd"], found["cost_source"]) == (TOKENS, COST, "reported")
    assert found["unattributed"]["tokens"] == TOKENS
    assert found["unattributed"]["cost_usd"] == COST
    assert found["turns"] == []


def test_the_transcript_alone_lacks_only_what_it_does_not_hold() -> None:
    """The call for the title is in no transcript, and costs are estimated."""
    found = tree(*FILE)
    assert (found["model_calls"], found["tokens"]["total"]) == (5, 71_479 - 434)
    assert found["cost_usd"] == pytest.approx(COST - 0.00053)
    assert found["cost_source"] == "estimated"


def test_the_order_of_records_changes_nothing() -> None:
    """The answer is the same for the records in any order."""
    records = [*SPANS, *LOGS, *POINTS, *FILE]
    expected = tree(*records)
    for seed in range(5):
        shuffled = random.Random(seed).sample(records, len(records))
        assert tree(*shuffled) == expected


def test_a_call_that_three_records_describe_is_one_with_the_best_of_each() -> None:
    """Cost comes from the event, time to the first token from the span; the sources are named."""
    (call,) = [each for each in tree(*SPANS, *LOGS, *FILE)["turns"][0]["calls"] if each["id"] == "req_011CUA"]
    assert call["sources"] == ["event", "span", "file"]
    assert (call["cost_usd"], call["cost_source"]) == (0.10231, "reported")
    assert call["time_to_first_token_ms"] == 900
    assert call["duration_ms"] == 4200
    assert call["model"] == signals.OPUS
    assert call["tokens"]["cache_creation"] == 15_000


@pytest.mark.parametrize(
    "records", [[*SPANS, *LOGS, *POINTS, *FILE], LOGS, SPANS], ids=["all", "logs", "spans"]
)
def test_turns_hold_their_calls(records: list[AgentRecord]) -> None:
    """The subagent's call stands in its turn and is marked; a retried request is one call with one error."""
    first, second = tree(*records)["turns"]
    models = [[call["id"] for call in turn["calls"] if call["type"] == "model"] for turn in (first, second)]
    assert models == [[f"req_011CU{letter}" for letter in "ADBC"], ["req_011CUE", "req_011CUF"]]
    assert [call["name"] for call in first["calls"] if call["type"] == "tool"] == ["Agent"]
    (bash,) = [call for call in second["calls"] if call["type"] == "tool"]
    assert (bash["name"], bash["status"], bash["error"]) == ("Bash", "error", "ShellError")
    assert (first["errors"], second["errors"]) == (0, 2)
    assert first["cost_usd"] == pytest.approx(0.131269)
    assert second["tokens"]["total"] == 33_579


def test_the_subagent_is_named_where_a_record_names_it() -> None:
    """Spans and transcripts know it, and the call says so."""
    calls = [call for turn in tree(*SPANS, *LOGS)["turns"] for call in turn["calls"]]
    assert {call["id"]: call["agent"] for call in calls if call["agent"]} == {"req_011CUB": "a7f31c9"}


def test_a_redacted_prompt_gives_way_to_the_text_of_the_transcript() -> None:
    """What was sent as <REDACTED> is shown so until the transcript tells it."""
    assert tree(*SPANS, *LOGS)["first_prompt"] == "<REDACTED>"
    told = tree(*SPANS, *LOGS, *FILE)
    assert told["first_prompt"] == signals.FIRST_PROMPT
    assert [turn["prompt"] for turn in told["turns"]] == [signals.FIRST_PROMPT, signals.SECOND_PROMPT]


def test_models_are_apart() -> None:
    """Each model has its own tokens, calls and cost."""
    models = {each["model"]: each for each in tree(*SPANS, *LOGS, *POINTS)["models"]}
    assert {name: (each["model_calls"], each["cost_usd"]) for name, each in models.items()} == {
        signals.OPUS: (4, 0.147435),
        signals.SONNET: (1, 0.012024),
        signals.HAIKU: (1, 0.00053),
    }
    assert all(each["provider"] == "anthropic" for each in models.values())
