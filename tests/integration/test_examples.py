"""Every example of docs/examples runs as it stands there and shows what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver_process import REPOSITORY, ReceiverProcess

EXAMPLES = REPOSITORY / "docs" / "examples"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """A receiver with the real model, which all examples share as on a user's machine."""
    folder = tmp_path_factory.mktemp("examples") / "data"
    with ReceiverProcess(folder, environment={"OTLP_RECEIVER_EMBED__ENABLED": "true"}) as running:
        yield running


def run(receiver: ReceiverProcess, *command: str | Path) -> str:
    """Return what a command prints whose environment leads to this receiver."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.grpc}",
        "EXAMPLE_OTLP_HTTP_ENDPOINT": f"http://{receiver.http}",
        "OTLP_RECEIVER_ENDPOINT": f"http://{receiver.query}",
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, env=environment, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.model
def test_a_first_span_is_found_by_what_it_means(receiver: ReceiverProcess) -> None:
    """The question shares no word with the span."""
    found, command = run(receiver, sys.executable, EXAMPLES / "first_span.py").splitlines()
    assert found.split()[1:] == ["shop", "charge", "card", "declined"]
    assert "charge card" in run(receiver, sys.executable, "-m", "receiver", *command.split()[1:])


def test_logs_and_metrics_of_the_sdk_are_stored(receiver: ReceiverProcess) -> None:
    """The commands in the example's own words show what it sent."""
    run(receiver, sys.executable, EXAMPLES / "logs_and_metrics.py")
    receiver.flush()
    assert "stock of green tea is low" in run(receiver, "otlp-receiver", "logs", "--service", "warehouse")
    assert "north" in run(receiver, "otlp-receiver", "metrics", "parcels")
    assert receiver.sql("SELECT count, sum FROM histogram_points ORDER BY sum") == [[1, 0.4], [2, 9.2]]


def test_an_llm_application_becomes_a_session_with_tokens_and_an_estimated_cost(
    receiver: ReceiverProcess,
) -> None:
    """Two calls and a tool; 412 + 447 tokens in, 19 + 31 out, and a price from the table."""
    command = run(receiver, sys.executable, EXAMPLES / "llm_app.py").split()
    receiver.flush()
    shown = run(receiver, *command)
    assert "forecast" in shown
    session = receiver.get("/sessions/weather-chat-1")
    tokens = session["tokens"]
    assert (tokens["input"], tokens["output"]) == (859, 50)
    assert session["cost_source"] == "estimated"
    assert session["cost_usd"] == pytest.approx((859 * 0.15 + 50 * 0.60) / 1e6)


@pytest.mark.model
def test_a_session_file_is_read_shown_and_found(receiver: ReceiverProcess) -> None:
    """The second reading adds nothing, the session has its tool's error, and its words are found by meaning."""
    shown = run(receiver, "sh", EXAMPLES / "session_files.sh")
    assert "claude-sonnet-4-5" in shown
    assert "coupon is parsed as a price" in shown
    assert receiver.sql("SELECT count(*) FROM spans WHERE session_id LIKE '0d9f2b54%'") == [[5]]
    session = receiver.get("/sessions/0d9f2b54")
    assert session["tokens"]["output"] == 87 + 64
    assert session["tokens"]["cache_read"] == 15_200 + 16_030


def test_the_fixture_tests_a_projects_instrumentation() -> None:
    """The example's test passes under pytest as another project would run it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLES)]
    done = subprocess.run(
        [*command, str(EXAMPLES / "test_with_fixture.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.model
def test_an_agent_asks_over_mcp(receiver: ReceiverProcess) -> None:
    """The answer to a search leads to the outline of the trace that was found."""
    run(receiver, sys.executable, EXAMPLES / "first_span.py")
    shown = run(receiver, sys.executable, EXAMPLES / "ask_over_mcp.py", "payment was refused")
    assert "search_otel_traces" in shown
    assert "charge card" in shown


@pytest.mark.model
def test_clickhouse_sql_runs_on_the_views(receiver: ReceiverProcess) -> None:
    """Names, nanoseconds and maps are those of the Collector's exporter."""
    run(receiver, sys.executable, EXAMPLES / "first_span.py")
    statement = (EXAMPLES / "clickhouse_views.sql").read_text()
    shop = [row for row in receiver.sql(statement) if row[:2] == ["shop", "charge card"]]
    assert shop[0][4:] == [shop[0][2], "the bank declined the card"]


@pytest.mark.model
def test_the_quick_start_of_the_python_api_stores_searches_and_gets(receiver: ReceiverProcess) -> None:
    """It prints what was found and then the whole trace."""
    found, trace = run(receiver, sys.executable, EXAMPLES / "quick_start.py").splitlines()
    assert found.startswith("trace-123 claude POST /checkout | charge card ")
    assert "the bank did not answer" in trace
