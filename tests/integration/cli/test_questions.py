"""The query commands against a running receiver."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.api.routes import ROUTES
from receiver.client.server import PATHS
from tests.integration.cli.conftest import TRACE, send_records
from tests.support.command_line import clean_environment, otlp_receiver
from tests.support.process_output import rest_of_output
from tests.support.receiver_process import ReceiverProcess

COMMANDS: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "search": (("search", "card", "declined"), "/search", {"q": "card declined", "limit": 10}),
    "traces": (("traces", "--service", "shop"), "/traces", {"service": "shop"}),
    "trace": (("trace", TRACE), f"/traces/{TRACE}", {}),
    "services": (("services",), "/services", {}),
    "logs": (("logs", "--min-severity", "17"), "/logs", {"min_severity": 17}),
    "metrics": (("metrics",), "/metrics", {}),
    "metric": (("metrics", "queue.depth", "--step", "5"), "/metrics/queue.depth", {"step": 5}),
}


def ask(receiver: ReceiverProcess, *arguments: str, folder: Path, **environment: str) -> str:
    """Return what a command prints; it must succeed."""
    ended = otlp_receiver(
        *arguments, "--endpoint", f"http://{receiver.query}", folder=folder, environment=environment
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_what_the_api_answers(receiver: ReceiverProcess, tmp_path: Path, command: str) -> None:
    """--json changes nothing of it."""
    arguments, path, parameters = COMMANDS[command]
    assert json.loads(ask(receiver, *arguments, "--json", folder=tmp_path)) == receiver.get(
        path, **parameters
    )


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("search", ["charge \\x1b[31mcard", "shop", "error", TRACE, "15 ms"]),
        ("traces", ["checkout", "30 ms", "2026-09-21 19:58:20.000+05:45", TRACE]),
        ("trace", ["  charge \\x1b[31mcard", "error: card declined", "ERROR payment was refused"]),
        ("services", ["shop", "till"]),
        ("logs", ["ERROR", "payment was refused", "till"]),
        ("metrics", ["queue.depth", "gauge", "{item}"]),
        ("metric", ["queue.depth", "1.5"]),
    ],
)
def test_people_get_a_table(
    receiver: ReceiverProcess, tmp_path: Path, command: str, parts: list[str]
) -> None:
    """With local times, readable durations, and no control character of telemetry."""
    said = ask(receiver, *COMMANDS[command][0], folder=tmp_path)
    assert [part for part in parts if part not in said] == []
    assert "\x1b" not in said


def test_sql_comes_from_the_argument_or_from_standard_input(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """A long statement can be piped in."""
    query = "SELECT count(*) AS spans FROM spans"
    said = json.loads(ask(receiver, "sql", query, "--json", folder=tmp_path))
    endpoint = f"http://{receiver.query}"
    piped = otlp_receiver("sql", "-", "--json", "--endpoint", endpoint, folder=tmp_path, sent=query)
    assert said == json.loads(piped.stdout) == {"columns": ["spans"], "rows": [[2]], "truncated": False}


def test_stats_show_the_counts(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """The same numbers in both forms."""
    assert json.loads(ask(receiver, "stats", "--json", folder=tmp_path))["records"] == {
        "spans": 2,
        "log_records": 1,
        "metric_points": 1,
    }
    assert "0 requests not stored yet" in ask(receiver, "stats", folder=tmp_path)


def test_requeue_says_how_many(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Nothing is in quarantine here."""
    assert ask(receiver, "requeue", folder=tmp_path) == "0 requests put back into the queue\n"
    assert json.loads(ask(receiver, "requeue", "--json", folder=tmp_path)) == {"requeued": 0}


def test_the_variable_names_the_receiver_and_no_proxy_is_used(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """OTLP_RECEIVER_ENDPOINT stands for --endpoint; a proxy of the environment is for other traffic."""
    environment = {"OTLP_RECEIVER_ENDPOINT": receiver.query, "http_proxy": "http://127.0.0.1:9"}
    ended = otlp_receiver("services", "--json", folder=tmp_path, environment=environment)
    assert json.loads(ended.stdout) == receiver.get("/services")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trace", "xyz"), "error: trace_id: 'xyz' is not a trace id; a trace id has 32 hex digits\n"),
        (("trace", "ab" * 16), f"error: no trace {'ab' * 16} is stored; "),
        (("logs", "--since", "yesterday"), "error: since: 'yesterday' is not a time; "),
        (("sql", "DROP TABLE spans"), "error: "),
        (("metrics", "no.such"), "error: no metric 'no.such' is stored; "),
    ],
)
def test_a_refused_question_is_one_line_and_exit_code_1(
    receiver: ReceiverProcess, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """The receiver's own message and hint, no traceback."""
    ended = otlp_receiver(*arguments, "--endpoint", receiver.query, folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(said)


@pytest.mark.parametrize(
    "arguments",
    [("metrics", "--step", "5"), ("metrics", "queue.depth", "--text", "x"), ("serch",), ("search",)],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Found before anybody is asked."""
    ended = otlp_receiver(*arguments, folder=tmp_path)
    assert ended.returncode == 2
    assert "Error: " in ended.stderr


def test_nobody_at_the_endpoint_is_exit_code_1(tmp_path: Path) -> None:
    """Who names a receiver is told that it does not answer, whatever lies in the data directory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = otlp_receiver("stats", "--endpoint", address, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: no receiver answers at http://{address} (")
    assert ended.stderr.endswith("start one with: otlp-receiver serve\n")


def test_another_listener_is_recognised(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Port 4318 speaks HTTP and is not the one that answers questions."""
    ended = otlp_receiver("stats", "--endpoint", receiver.http, folder=tmp_path)
    assert ended.returncode == 1
    assert "is not a receiver" in ended.stderr
    assert "8888" in ended.stderr


def test_the_paths_are_those_of_the_api() -> None:
    """The command line has a table of its own, because importing the API takes too long."""
    routes = {route.name: (route.method, route.path) for route in ROUTES}
    assert dict(PATHS) == routes


def test_healthcheck_follows_readiness(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Ready is exit code 0; nobody there is 1."""
    assert ask(receiver, "healthcheck", folder=tmp_path) == "ready\n"
    assert ask(receiver, "healthcheck", "--live", folder=tmp_path) == "alive\n"
    ended = otlp_receiver("healthcheck", "--endpoint", "127.0.0.1:1", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")


def test_tail_shows_what_is_stored_from_now_on_once(tmp_path: Path) -> None:
    """Old records are not shown; new ones are, however old their own times are, until Ctrl-C."""
    with ReceiverProcess(tmp_path / "data") as receiver:
        send_records(receiver)
        command = [sys.executable, "-m", "receiver", "tail", "--json", "--interval", "0.1"]
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a job in the background hands down "ignore"
        with subprocess.Popen(
            [*command, "--endpoint", f"http://{receiver.query}"],
            cwd=tmp_path,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            assert "following" in tail.stderr.readline()
            span = {"traceId": TRACE, "spanId": "00000000000000b1", "name": "late", "startTimeUnixNano": "1"}
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            receiver.send("/v1/traces", json.dumps(body).encode())
            receiver.flush()
            first = json.loads(tail.stdout.readline())
            record = {"body": {"stringValue": "second"}, "severityText": "INFO"}
            receiver.send(
                "/v1/logs", json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
            )
            receiver.flush()
            second = json.loads(tail.stdout.readline())
            tail.send_signal(signal.SIGINT)
            rest, errors = rest_of_output(tail), tail.stderr.read()
    assert (first["signal"], first["name"], first["trace_id"]) == ("traces", "late", TRACE)
    assert (second["signal"], second["message"], second["status"]) == ("logs", "second", "INFO")
    assert (tail.returncode, rest, errors) == (0, "", "")


def test_an_output_without_unicode_gets_escapes(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """A table can be printed anywhere; what the output cannot say stands there as its code."""
    said = ask(receiver, "sql", "SELECT 'zażółć' AS word", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert "za\\u017c\\xf3\\u0142\\u0107" in said


def test_a_reader_that_goes_away_is_no_error(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """`otlp-receiver services | true` prints no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "receiver", "services", "--endpoint", receiver.query],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == ""
