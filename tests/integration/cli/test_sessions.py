"""Sessions of an agent, sent to a running receiver and asked for on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.sources.claude_code.parser import ClaudeCodeParser
from tests.support import claude_code_signals as signals
from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import ReceiverProcess

_PROTOBUF = "application/x-protobuf"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Give a running receiver that was sent a session's live signals once."""
    with ReceiverProcess(tmp_path_factory.mktemp("sessions") / "data") as process:
        send_live(process)
        yield process


def send(receiver: ReceiverProcess, signal: str, body: bytes) -> None:
    """Send one export request."""
    assert receiver.send(f"/v1/{signal}", body, _PROTOBUF).status == 200


def send_live(receiver: ReceiverProcess) -> None:
    """Send what the agent sends while it works; return when it is stored."""
    send(receiver, "traces", signals.traces_request().SerializeToString())
    send(receiver, "logs", signals.logs_request().SerializeToString())
    send(receiver, "metrics", signals.metrics_request().SerializeToString())
    receiver.flush()


def ask(receiver: ReceiverProcess, folder: Path, *arguments: str) -> Any:
    """Return the JSON that a command prints."""
    ended = otlp_receiver(*arguments, "--json", "--endpoint", f"http://{receiver.query}", folder=folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_totals_stay_when_an_export_is_retried_and_the_transcript_is_added(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """Tokens and cost are those computed by hand, also after parts of it were sent again in other requests."""
    by_hand = {"input": 450, "output": 1009, "cache_read": 51_300, "cache_creation": 18_720}
    live = ask(receiver, tmp_path, "session", signals.SESSION_ID)
    logs = signals.logs_request()
    del logs.resource_logs[0].scope_logs[0].log_records[::2]  # other bytes: not known as a retry
    send(receiver, "logs", logs.SerializeToString())
    metrics = signals.metrics_request()
    del metrics.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[::2]
    send(receiver, "metrics", metrics.SerializeToString())
    parser = ClaudeCodeParser()
    units = [unit for line in signals.transcript() for unit in parser.feed(line.encode())]
    for unit in [*units, *parser.flush(finished=True)]:
        send(receiver, "traces", unit.payload)
    receiver.flush()
    joined = ask(receiver, tmp_path, "session", signals.SESSION_ID)
    for found in (live, joined):
        assert {name: found["tokens"][name] for name in by_hand} == by_hand
        assert (found["cost_usd"], found["cost_source"]) == (0.159989, "reported")
        assert (found["turn_count"], found["model_calls"], found["tool_calls"], found["errors"]) == (
            2,
            6,
            2,
            2,
        )
        assert found["unattributed"] is None
    assert joined["first_prompt"] == signals.FIRST_PROMPT


def test_the_beginning_of_an_id_is_enough(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Six characters of it, and no fewer."""
    assert ask(receiver, tmp_path, "session", signals.SESSION_ID[:6])["session_id"] == signals.SESSION_ID
    for wrong in (signals.SESSION_ID[:5], "0000000000"):
        ended = otlp_receiver("session", wrong, "--endpoint", f"http://{receiver.query}", folder=tmp_path)
        assert ended.returncode == 1
        assert f"no session '{wrong}' is stored" in ended.stderr


def test_sessions_are_listed_with_their_sums(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """One row each; another service has none."""
    (row,) = ask(receiver, tmp_path, "sessions", "--service", "claude-code")["sessions"]
    assert (row["session_id"], row["agent"], row["cost_usd"]) == (signals.SESSION_ID, "claude_code", 0.159989)
    assert set(row["models"]) == {signals.OPUS, signals.SONNET, signals.HAIKU}
    assert ask(receiver, tmp_path, "sessions", "--service", "other")["sessions"] == []


def test_a_price_table_that_is_named_and_missing_ends_the_start(tmp_path: Path) -> None:
    """The message names the file; the exit code is that of a wrong configuration."""
    ended = otlp_receiver(
        "serve",
        folder=tmp_path,
        environment={"OTLP_RECEIVER_QUERY__PRICES_PATH": "nowhere.yaml", "OTLP_RECEIVER_DATA_DIR": "data"},
    )
    assert ended.returncode == 2
    assert "the price table nowhere.yaml does not exist" in ended.stderr
