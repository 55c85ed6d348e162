"""What README.md tells a new user to paste works as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import pytest
import yaml

from receiver.api.routes import PREFIX, ROUTES
from receiver.cli.main import cli
from receiver.config import Settings
from tests.support.pages import ROOT, blocks_of, text_of
from tests.support.receiver_process import ReceiverProcess

README = text_of("README.md")
_DEFAULTS = Settings()
_COMMAND = "otlp-receiver"
_MCP = f"http://{_DEFAULTS.listen.query_endpoint}/mcp"


def shell_lines() -> list[list[str]]:
    """Return every line of the README's shell blocks as words, without comments."""
    lines = [line for block in blocks_of("README.md", "sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def lines_of(program: str) -> list[list[str]]:
    """Return the arguments of every line that starts this program."""
    return [words[1:] for words in shell_lines() if Path(words[0]).name == program]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """A receiver that has got the span of the README's Python block."""
    (block,) = blocks_of("README.md", "python")
    with ReceiverProcess(tmp_path_factory.mktemp("readme") / "data") as running:
        subprocess.run(
            [sys.executable, "-c", block],
            check=True,
            timeout=60,
            env={**_without_otel(), "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{running.grpc}"},
        )
        running.flush()
        yield running


def _without_otel() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


def run(receiver: ReceiverProcess, arguments: list[str]) -> str:
    """Return what the command prints when it asks this receiver."""
    done = subprocess.run(
        [sys.executable, "-m", "receiver", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "OTLP_RECEIVER_ENDPOINT": f"http://{receiver.query}"},
    )
    return done.stdout


def test_the_python_block_sends_a_span_that_the_search_finds(receiver: ReceiverProcess) -> None:
    """The README's search brings back the README's span, with the attribute that it set."""
    (arguments,) = [words for words in lines_of(_COMMAND) if words[0] == "search"]
    (found,) = json.loads(run(receiver, [*arguments, "--json"]))["results"]
    assert (found["name"], found["service"]) == ("charge card", "shop")
    assert found["attributes"]["payment.outcome"] == "the bank declined the card"


def test_the_trace_of_that_span_is_shown(receiver: ReceiverProcess) -> None:
    """The README's `trace` command, with the id that a search gives, shows the span."""
    (arguments,) = [words for words in lines_of(_COMMAND) if words[0] == "trace"]
    assert re.fullmatch("[0-9a-f]{32}", arguments[1])
    (found,) = json.loads(run(receiver, ["search", "payment", "--json"]))["results"]
    assert "charge card" in run(receiver, ["trace", found["trace_id"]])


def test_the_sql_is_answered(receiver: ReceiverProcess) -> None:
    """The README's SQL counts the span."""
    (arguments,) = [words for words in lines_of(_COMMAND) if words[0] == "sql"]
    assert json.loads(run(receiver, [*arguments, "--json"]))["rows"] == [["charge card", 1]]


def test_the_curl_line_asks_what_is_served(receiver: ReceiverProcess) -> None:
    """The address in the curl line is a route on the default listener, and its parameters are accepted."""
    ((address,),) = lines_of("curl")
    asked = urlsplit(address)
    assert asked.netloc == _DEFAULTS.listen.query_endpoint
    assert asked.path in {PREFIX + route.path for route in ROUTES}
    parameters = {name: values[0] for name, values in parse_qs(asked.query).items()}
    answer = receiver.get(asked.path.removeprefix(PREFIX), **parameters)
    assert [result["name"] for result in answer["results"]] == ["charge card"]


@pytest.mark.parametrize("arguments", lines_of(_COMMAND), ids=" ".join)
def test_a_command_line_is_one_that_the_command_takes(arguments: list[str]) -> None:
    """Every `otlp-receiver` line names a command and gives it what it takes."""
    command = cli.commands[arguments[0]]
    with click.Context(cli) as parent:
        command.make_context(arguments[0], arguments[1:], parent=parent)


def test_every_command_is_named() -> None:
    """The shell blocks and the list of the other commands name all commands but `serve`, and no other word."""
    others = re.search(r"The other commands: (.*?)\(", README, re.DOTALL)
    assert others is not None
    named = set(re.findall(r"`([\w-]+)`", others[1])) | {words[0] for words in lines_of(_COMMAND)}
    assert named | {"serve"} == set(cli.commands)


def test_every_make_target_exists() -> None:
    """`make X` in the README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {words[0] for words in lines_of("make")} | set(re.findall(r"`make (\w+)`", README))
    assert {"serve", "test"} <= named <= targets


def test_only_known_programs_are_called() -> None:
    """A shell block starts nothing that this file does not check."""
    programs = {Path(words[0]).name for words in shell_lines()}
    assert programs == {"make", "otlp-receiver", "curl", "otel-cli", "claude"}


def test_otel_cli_sends_to_the_default_port() -> None:
    """The `otel-cli` line runs a command and names the gRPC listener."""
    ((mode, *rest),) = lines_of("otel-cli")
    assert mode == "exec"
    assert rest[rest.index("--endpoint") + 1] == _DEFAULTS.listen.grpc_endpoint


def test_the_collector_block_is_an_exporter_to_the_default_port() -> None:
    """The YAML parses, and is an `otlp` exporter without TLS to the gRPC listener."""
    (block,) = blocks_of("README.md", "yaml")
    exporter = yaml.safe_load(block)["exporters"]["otlp"]
    assert exporter == {"endpoint": _DEFAULTS.listen.grpc_endpoint, "tls": {"insecure": True}}


def test_the_lines_for_claude_code_lead_to_the_mcp_server() -> None:
    """One adds the address of the query listener, the other starts the command that serves stdio."""
    over_http, over_stdio = lines_of("claude")
    assert over_http == ["mcp", "add", "--transport", "http", "otlp-receiver", _MCP]
    assert over_stdio == ["mcp", "add", "otlp-receiver", "--", "otlp-receiver", "mcp"]


def test_the_block_for_qwen_code_leads_to_the_mcp_server() -> None:
    """The JSON is an object for settings.json with the address of the query listener."""
    (block,) = blocks_of("README.md", "json")
    assert json.loads(block) == {"mcpServers": {"otlp-receiver": {"httpUrl": _MCP}}}


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """There is no fenced block in a language that no test here reads."""
    assert set(re.findall(r"^```(\w+)$", README, re.MULTILINE)) == {"sh", "python", "yaml", "json"}


def test_every_folder_of_the_table_exists() -> None:
    """The map of the folders names folders that there are, and all packages of the receiver."""
    table = README.partition("| folder | what |")[2].partition("\n\n")[0]
    named = set(
        re.findall(r"`([\w/]+)`", "".join(row.split("|")[1] for row in table.splitlines() if "`" in row))
    )
    assert all((ROOT / name).is_dir() for name in named)
    packages = {f"receiver/{p.parent.name}" for p in ROOT.glob("receiver/*/__init__.py")}
    assert packages - {"receiver/telemetry"} <= named


def test_the_limits_are_the_defaults() -> None:
    """Numbers in the section about limits are the settings' own."""
    limits = _DEFAULTS.limits
    text = README.partition("## Limits")[2].partition("\n## ")[0]
    assert f"{limits.request_bytes >> 20} MiB and {limits.request_messages:,} messages" in text
    assert f"{limits.json_objects:,} objects" in text
    assert "`listen.allow_remote`" in text
    assert _DEFAULTS.spool.duplicate_window_s == 600
    assert "within ten minutes" in README


def test_the_default_ports_are_named() -> None:
    """The first lines name the ports that the listeners have."""
    listen = _DEFAULTS.listen
    ports = [
        endpoint.rpartition(":")[2]
        for endpoint in (listen.grpc_endpoint, listen.http_endpoint, listen.query_endpoint)
    ]
    (comment,) = re.findall(r"^make serve +# (.*)$", README, re.MULTILINE)
    assert all(port in comment for port in ports)
