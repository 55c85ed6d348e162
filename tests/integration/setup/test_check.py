"""``setup --check`` against a real receiver: what it says is what happened to the signals."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import ReceiverProcess

_SIGNALS = ("traces", "metrics", "logs")
_MCP_SERVER = """
import socket, fastmcp, uvicorn
server = fastmcp.FastMCP("any")
server.tool(name="only_tool")(lambda: "")
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(server.http_app())).run(sockets=[listening])
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Yield a running receiver."""
    with ReceiverProcess(tmp_path_factory.mktemp("setup") / "data") as process:
        yield process


def setup(
    receiver: ReceiverProcess, *arguments: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Return how ``setup`` ended; later options go before the receiver's own addresses."""
    addresses = (
        "--grpc-endpoint",
        receiver.grpc,
        "--http-endpoint",
        receiver.http,
        "--endpoint",
        receiver.query,
    )
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": "", "CLAUDE_CONFIG_DIR": "", "CODEX_HOME": ""}
    return otlp_receiver(
        "setup", arguments[0], *addresses, *arguments[1:], folder=folder, environment=home | environment
    )


def stored(receiver: ReceiverProcess) -> tuple[int, ...]:
    """Return how many spans, points and log records of checks there are."""
    of = {each["service"]: each for each in receiver.get("/services")["services"]}
    counts = of.get("otlp-receiver-setup", {})
    return tuple(counts.get(name, 0) for name in ("spans", "metric_points", "log_records"))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_each_signal_is_accepted_and_stored(receiver: ReceiverProcess, tmp_path: Path, protocol: str) -> None:
    """One record of each kind is in the store afterwards, and the command says how long that took."""
    before = stored(receiver)
    ended = setup(receiver, "python", "--check", "--protocol", protocol, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(_SIGNALS)
    address = receiver.grpc if protocol == "grpc" else receiver.http
    said = re.compile(rf"\w+ +accepted over {protocol} at http://{address}, stored after \d+\.\d\d s")
    assert all(said.fullmatch(line) for line in lines)
    assert stored(receiver) == tuple(count + 1 for count in before)


@pytest.mark.parametrize(
    ("protocol", "given", "hint"),
    [
        ("grpc", "http", "that port takes OTLP over http"),
        ("http", "grpc", "that port takes OTLP over grpc"),
        ("grpc", "query", "that is a query listener"),
        ("http", "query", "that is a query listener"),
    ],
)
def test_a_wrong_port_is_named_for_what_it_is(
    receiver: ReceiverProcess, tmp_path: Path, protocol: str, given: str, hint: str
) -> None:
    """The message says what listens there, and which option names the right one."""
    address = {"grpc": receiver.grpc, "http": receiver.http, "query": receiver.query}[given]
    ended = setup(
        receiver,
        "python",
        "--check",
        "--protocol",
        protocol,
        f"--{protocol}-endpoint",
        address,
        folder=tmp_path,
    )
    assert ended.returncode == 1
    problems = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in problems] == [f"{signal}:" for signal in _SIGNALS]
    says = (f"does not take OTLP over {protocol}", hint, f"--{protocol}-endpoint")
    assert all(each in line for each in says for line in problems)
    assert ended.stdout == ""


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_port_without_a_listener_is_said(receiver: ReceiverProcess, tmp_path: Path, protocol: str) -> None:
    """The command to start a receiver is in the message."""
    with socket.create_server(("localhost", 0)) as taken:
        free = f"localhost:{taken.getsockname()[1]}"
    ended = setup(
        receiver, "python", "--check", "--protocol", protocol, f"--{protocol}-endpoint", free, folder=tmp_path
    )
    assert ended.returncode == 1
    assert ended.stderr.count(f"nothing listens at http://{free}") == len(_SIGNALS)
    assert "otlp-receiver serve" in ended.stderr


def test_accepted_and_not_found_is_not_stored(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Another receiver than the one that took the signals is asked: they are not there."""
    with ReceiverProcess(tmp_path / "data") as other:
        ended = setup(
            receiver, "python", "--check", "--endpoint", other.query, "--timeout", "0.5", folder=tmp_path
        )
    assert ended.returncode == 1
    assert ended.stderr.count("and not stored in what answers at") == len(_SIGNALS)


def test_a_query_endpoint_that_is_none_is_said(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """The signals were accepted, and the message says that nobody could be asked for them."""
    ended = setup(receiver, "python", "--check", "--endpoint", receiver.http, folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("is no query listener") == len(_SIGNALS)


def test_the_settings_are_written_and_then_hold(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Without the file the check fails, though the signals arrive; with --write it holds; a drift is shown."""
    absent = setup(receiver, "claude", "--check", folder=tmp_path)
    assert absent.returncode == 1
    assert "settings.json is not there; --write makes it" in absent.stderr
    assert absent.stdout.count("stored after") == len(_SIGNALS)

    written = setup(receiver, "claude", "--check", "--write", folder=tmp_path)
    assert written.returncode == 0, written.stderr
    path = tmp_path / ".claude" / "settings.json"
    assert json.loads(path.read_text())["env"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{receiver.grpc}"
    assert f"{path}: holds the configuration" in written.stdout

    path.write_text(path.read_text().replace(receiver.grpc, "elsewhere:1"))
    drifted = setup(receiver, "claude", "--check", folder=tmp_path)
    assert drifted.returncode == 1
    assert 'OTEL_EXPORTER_OTLP_ENDPOINT is "http://elsewhere:1", and should be' in drifted.stderr


def test_variables_that_go_before_the_file_are_said(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """A shell that has them explains why a right file has no effect."""
    ended = setup(receiver, "qwen", "--check", "--write", folder=tmp_path, QWEN_TELEMETRY_ENABLED="false")
    assert ended.returncode == 0
    assert "the environment has QWEN_TELEMETRY_ENABLED, which goes before the file" in ended.stderr


def test_the_mcp_server_is_asked_as_an_agent_asks_it(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """The command that was written starts a server that lists its tools."""
    pytest.importorskip("fastmcp")
    ended = setup(receiver, "gemini", "--mcp", "--check", "--write", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "the MCP server answers over stdio and has" in ended.stdout
    assert "search_otel_traces" in ended.stdout


def test_the_mcp_server_is_asked_over_http(tmp_path: Path) -> None:
    """At /mcp of the query listener's address; where nothing is, that is said."""
    pytest.importorskip("fastmcp")
    arguments = (
        "setup",
        "codex",
        "--mcp",
        "--transport",
        "http",
        "--check",
        "--write",
        "--file",
        "config.toml",
    )
    with subprocess.Popen(
        [sys.executable, "-c", _MCP_SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        found = otlp_receiver(*arguments, "--endpoint", endpoint, folder=tmp_path)
        server.kill()
    assert found.returncode == 0, found.stderr
    assert "the MCP server answers over http and has 1 tool: only_tool" in found.stdout
    gone = otlp_receiver(*arguments, "--endpoint", endpoint, folder=tmp_path)
    assert gone.returncode == 1
    assert f"no MCP server answers: {endpoint}/mcp" in gone.stderr


def test_a_file_with_comments_is_refused_with_what_to_paste(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """VS Code's settings keep their comments; the configuration is printed instead."""
    path = tmp_path / ".config" / "Code" / "User" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  // mine\n  "editor.fontSize": 12,\n}\n')
    ended = setup(receiver, "copilot", "--write", folder=tmp_path)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["github.copilot.chat.otel.otlpEndpoint"] == f"http://{receiver.http}"
    assert "comments or trailing commas" in ended.stderr
    assert path.read_text() == '{\n  // mine\n  "editor.fontSize": 12,\n}\n'


def test_writing_says_what_changed_and_the_second_time_that_nothing_did(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """Old and new values are shown, and where the copy is."""
    path = tmp_path / "settings.json"
    path.write_text('{"telemetry": {"enabled": false}}')
    first = setup(receiver, "gemini", "--write", "--file", str(path), folder=tmp_path)
    assert "  telemetry.enabled: false -> true\n" in first.stdout
    assert f"the file as it was: {path}.bak" in first.stdout
    second = setup(receiver, "gemini", "--write", "--file", str(path), folder=tmp_path)
    assert second.stdout == f"{path}: nothing to change\n"


def test_a_target_without_a_server_or_a_file_is_refused(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """A usage error, and a hint to --file."""
    no_server = setup(receiver, "python", "--mcp", folder=tmp_path)
    assert (no_server.returncode, "asks no MCP server" in no_server.stderr) == (2, True)
    no_file = setup(receiver, "collector", "--write", folder=tmp_path)
    assert (no_file.returncode, "name it with --file" in no_file.stderr) == (1, True)
