"""``serve`` as a process: what it prints, how it ends, how it refuses to start."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.command_line import clean_environment, otlp_receiver
from tests.support.process_output import rest_of_output
from tests.support.receiver_process import ReceiverProcess

ANY_PORTS = (
    "--grpc-endpoint",
    "localhost:0",
    "--http-endpoint",
    "localhost:0",
    "--query-endpoint",
    "localhost:0",
)
_LOG_RECORD = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "%s"}]}]}]}'


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``serve`` in a folder, without the embedding model."""
    return subprocess.Popen(
        [sys.executable, "-m", "receiver", "serve", *arguments],
        cwd=folder,
        env=clean_environment({"OTLP_RECEIVER_EMBED__ENABLED": "false", **environment}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], part: str) -> list[str]:
    """Return the lines up to the first that has the part in it."""
    assert process.stdout is not None
    found: list[str] = []
    for line in process.stdout:
        found.append(line.rstrip("\n"))
        if part in line:
            return found
    raise AssertionError(f"ended with {process.wait()} before {part!r}: {found}")


def refused(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return exit code and standard error of a ``serve`` that does not start."""
    ended = otlp_receiver("serve", *arguments, folder=folder, environment=environment)
    assert not ended.stdout
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_listeners_data_and_a_first_span_and_stops_on_a_signal(tmp_path: Path, number: int) -> None:
    """Each listener has a line with its real port; Ctrl-C and SIGTERM both end in a report and exit code 0."""
    with start(tmp_path, "--data-dir", "here", *ANY_PORTS) as process:
        lines = lines_until(process, "otlp-receiver search")
        words = [line.split() for line in lines]
        assert [each[0] for each in words[1:5]] == ["OTLP/gRPC", "OTLP/HTTP", "query", "data"]
        ports = [int(each[1].rpartition(":")[2]) for each in words[1:4]]
        assert len(set(ports)) == 3
        assert 0 not in ports
        assert words[4][1] == str(tmp_path / "here")
        process.send_signal(number)
        rest = rest_of_output(process)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert "stopped; everything that was accepted is stored" in rest
    assert (process.returncode, errors) == (0, "")


def test_the_first_span_to_paste_is_accepted_and_found(tmp_path: Path) -> None:
    """What the receiver prints is a shell command that works: its body is stored under the ids it names."""
    receiver = ReceiverProcess(tmp_path / "data")  # not started: it asks the one that is
    with start(tmp_path, "--data-dir", "data", *ANY_PORTS) as process:
        lines = lines_until(process, "otlp-receiver search")
        command = shlex.split(next(line for line in lines if "curl" in line))
        url, body = command[2], command[command.index("-d") + 1]
        assert command[:2] == ["curl", "-sS"]
        assert command[command.index("-H") + 1] == "content-type: application/json"
        receiver.http = url.removeprefix("http://").removesuffix("/v1/traces")
        receiver.query = lines[-1].rpartition("http://")[2]
        assert receiver.send("/v1/traces", body.encode()).json == {}
        receiver.flush()
        (trace,) = receiver.get("/traces")["traces"]
        process.terminate()
        process.communicate(timeout=60)
    sent = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (trace["trace_id"], trace["name"], trace["service"]) == (sent["traceId"], "say hello", "hello")


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """While a request in hand holds up the stop, a second signal does not wait for it."""
    with start(tmp_path, "--data-dir", "d", *ANY_PORTS, OTLP_RECEIVER_STOP_TIMEOUT_S="600") as process:
        lines = lines_until(process, "otlp-receiver search")
        address = next(line.split()[1] for line in lines if "OTLP/HTTP" in line).removeprefix("http://")
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"expect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body
            process.send_signal(signal.SIGTERM)
            lines_until(process, "stopping")
            process.send_signal(signal.SIGTERM)
            rest = rest_of_output(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert rest.strip() == "stopped at once; what was acknowledged is on disk"


def test_a_stop_before_the_store_is_open_says_so(tmp_path: Path) -> None:
    """It counts what waits in the spool, not what was loaded by the runs before, and does not speak of a time limit."""
    with ReceiverProcess(tmp_path / "data") as earlier:
        earlier.send("/v1/logs", _LOG_RECORD % b"1")
        earlier.flush()
        earlier.stop()
    held = duckdb.connect(str(tmp_path / "data" / "telemetry.duckdb"))
    try:
        with ReceiverProcess(tmp_path / "data") as receiver:
            receiver.send("/v1/logs", _LOG_RECORD % b"2")
            stopped = receiver.stop()
    finally:
        held.close()
    assert "stopped; 1 request in the spool will be stored at the next start" in stopped.output
    assert "requests that wait in the spool for the next start: 1" in receiver.log
    assert "not everything was loaded" not in receiver.log


def test_an_empty_endpoint_switches_a_listener_off(tmp_path: Path) -> None:
    """Without gRPC there is no line for it."""
    arguments = ("--grpc-endpoint", "", *ANY_PORTS[2:])
    with start(tmp_path, *arguments) as process:
        lines = lines_until(process, "otlp-receiver search")
        process.terminate()
        process.communicate(timeout=60)
    assert not any("gRPC" in line for line in lines)
    assert (tmp_path / "data" / "spool.db").exists()


@pytest.mark.parametrize("listener", ["grpc", "http", "query"])
def test_a_port_in_use_is_one_line_and_exit_code_3(tmp_path: Path, listener: str) -> None:
    """The line has the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [*ANY_PORTS, f"--{listener}-endpoint", f"localhost:{port}"]
        code, said = refused(tmp_path, *arguments, OTLP_RECEIVER_EMBED__ENABLED="false")
    assert code == 3
    assert said == (
        f"error: localhost:{port} is in use by another program; stop that program"
        " (is a receiver running already?) or choose another port\n"
    )


def test_a_data_directory_that_cannot_be_made_is_exit_code_3(tmp_path: Path) -> None:
    """A file stands where its parent should be."""
    (tmp_path / "file").write_text("")
    code, said = refused(tmp_path, "--data-dir", "file/data", *ANY_PORTS)
    assert (code, said.count("\n")) == (3, 1)
    assert said.startswith("error: the data directory file/data cannot be made")


def test_the_data_directory_of_a_running_receiver_is_exit_code_3(tmp_path: Path) -> None:
    """Two receivers never share a spool; the message names the process that has it."""
    with ReceiverProcess(tmp_path / "data") as receiver:
        code, said = refused(tmp_path, "--data-dir", "data", *ANY_PORTS)
        assert code == 3
        assert said == (
            f"error: data belongs to a running receiver (pid {receiver.pid}); stop that one first,"
            " or choose another folder with --data-dir\n"
        )


def test_an_unknown_key_is_exit_code_2_and_named_with_the_nearest(tmp_path: Path) -> None:
    """Each mistake has a line, and nothing was made on disk."""
    (tmp_path / "mine.yaml").write_text("listen:\n  grpc_endpont: localhost:1\nlog: {level: loud}\n")
    code, said = refused(tmp_path, "--config", "mine.yaml")
    assert code == 2
    assert said.splitlines() == [
        "error: unknown key listen.grpc_endpont (mine.yaml:2); did you mean listen.grpc_endpoint?",
        "error: log.level must be 'debug', 'info', 'warning' or 'error', not \"loud\" (mine.yaml:3)",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("endpoint", "part"),
    [
        (
            "0.0.0.0:0",
            "other machines can reach it and it asks for neither a token nor a client's certificate",
        ),
        ("nonsense", "is not an endpoint; write host:port"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_exit_code_2(tmp_path: Path, endpoint: str, part: str) -> None:
    """An open port to the network has to be asked for, and a typing error is no port."""
    code, said = refused(tmp_path, "--http-endpoint", endpoint)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("error: listen.http_endpoint")
    assert part in said


def test_a_configuration_file_that_does_not_exist_is_exit_code_2(tmp_path: Path) -> None:
    """It was named, so it is missed."""
    assert refused(tmp_path, "--config", "no.yaml") == (
        2,
        "error: the configuration file no.yaml does not exist\n",
    )
