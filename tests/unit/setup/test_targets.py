"""Each target's own words: where they stand, and which go before them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from receiver.cli.setup import TARGETS
from receiver.setup import claude, copilot, gemini, qwen, targets
from receiver.setup.errors import SetupError
from receiver.setup.options import McpTransport, Options, OtlpProtocol, url_of
from receiver.setup.places import Places
from receiver.setup.target import FileTarget

_PLACES = Places(home=Path("/h"), project=Path("/p"), environ={}, platform="linux")


def test_the_command_line_knows_every_target() -> None:
    """The list that stands there for speed is the list of modules."""
    assert tuple(targets.TELEMETRY) == TARGETS
    assert targets.MCP.keys() < targets.TELEMETRY.keys()


@pytest.mark.parametrize(
    ("name", "user", "project", "mcp", "project_mcp"),
    [
        ("claude", "/h/.claude/settings.json", "/p/.claude/settings.json", "/h/.claude.json", "/p/.mcp.json"),
        ("qwen", "/h/.qwen/settings.json", "/p/.qwen/settings.json", "/h/.qwen/settings.json", "/p/.qwen/settings.json"),
        ("gemini", "/h/.gemini/settings.json", "/p/.gemini/settings.json", "/h/.gemini/settings.json", "/p/.gemini/settings.json"),
        ("codex", "/h/.codex/config.toml", None, "/h/.codex/config.toml", "/p/.codex/config.toml"),
        ("copilot", "/h/.config/Code/User/settings.json", "/p/.vscode/settings.json", "/h/.config/Code/User/mcp.json", "/p/.vscode/mcp.json"),
    ],
)  # fmt: skip
def test_the_files_are_those_that_the_programs_read(
    name: str, user: str, project: str | None, mcp: str, project_mcp: str
) -> None:
    """Of the user and of the project, for telemetry and for MCP."""
    telemetry, tools = targets.TELEMETRY[name], targets.MCP[name]
    assert telemetry.file(_PLACES, project=False) == Path(user)
    assert tools.file(_PLACES, project=False) == Path(mcp)
    assert tools.file(_PLACES, project=True) == Path(project_mcp)
    if project is None:
        with pytest.raises(SetupError, match="does not read this from a project"):
            telemetry.file(_PLACES, project=True)
    else:
        assert telemetry.file(_PLACES, project=True) == Path(project)


def test_variables_move_the_folders() -> None:
    """CLAUDE_CONFIG_DIR, CODEX_HOME and the folders of each system are followed."""
    moved = Places(Path("/h"), Path("/p"), {"CLAUDE_CONFIG_DIR": "/c", "CODEX_HOME": "/x"}, "darwin")
    assert claude.TELEMETRY.file(moved, project=False) == Path("/c/settings.json")
    assert claude.MCP.file(moved, project=False) == Path("/c/.claude.json")
    assert targets.MCP["codex"].file(moved, project=False) == Path("/x/config.toml")
    mac = Path("/h/Library/Application Support/Code/User/settings.json")
    assert copilot.TELEMETRY.file(moved, project=False) == mac


def test_claude_is_told_every_exporter_and_the_protocol() -> None:
    """Nothing of it has a default there, and spans need the beta's variable besides."""
    assert json.loads(claude.TELEMETRY.rendered(Options()))["env"] == {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317",
    }


@pytest.mark.parametrize("target", [qwen.TELEMETRY, gemini.TELEMETRY])
def test_prompts_are_not_sent_unless_somebody_said_so(target: FileTarget) -> None:
    """Without --content they are off where they would be on, and a choice in the file stays."""
    assert json.loads(target.rendered(Options()))["telemetry"]["logPrompts"] is False
    chosen = '{"telemetry": {"logPrompts": true}}'
    assert json.loads(target.merged(chosen, Options()).text)["telemetry"]["logPrompts"] is True
    assert json.loads(target.merged(chosen, Options(content=False)).text)["telemetry"]["logPrompts"] is False


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "collector"])
def test_content_can_be_switched_on_and_off(name: str) -> None:
    """The two differ, and each holds after the other."""
    target = targets.TELEMETRY[name]
    on = target.merged(None, Options(content=True)).text
    off = target.merged(on, Options(content=False))
    assert off.changes
    assert target.missing(off.text, Options(content=False)) == []
    assert target.missing(off.text, Options(content=True)) != []


@pytest.mark.parametrize("name", TARGETS)
def test_both_protocols_name_their_own_address(name: str) -> None:
    """No configuration names the other listener's port."""
    target = targets.TELEMETRY[name]
    assert "http://g:1" not in target.rendered(
        Options(grpc_url="http://g:1", http_url="http://h:2", protocol=OtlpProtocol.HTTP)
    )
    assert "h:2" not in target.rendered(
        Options(grpc_url="http://g:1", http_url="http://h:2", protocol=OtlpProtocol.GRPC)
    )


@pytest.mark.parametrize("name", ["claude", "qwen", "gemini", "copilot"])
def test_the_server_keeps_what_the_user_set_about_it(name: str) -> None:
    """A change of the transport replaces how it is reached, and nothing else."""
    target = targets.MCP[name]
    section = "servers" if name == "copilot" else "mcpServers"
    stdio = json.loads(target.rendered(Options()))
    stdio[section]["otlp-receiver"]["trust"] = True
    stdio[section]["other"] = {"command": "x"}
    merged = json.loads(target.merged(json.dumps(stdio), Options(transport=McpTransport.HTTP)).text)
    wanted = json.loads(target.rendered(Options(transport=McpTransport.HTTP)))[section]["otlp-receiver"]
    assert merged == {section: {"otlp-receiver": {**wanted, "trust": True}, "other": {"command": "x"}}}
    assert "command" not in wanted


def test_a_receiver_elsewhere_is_named_to_the_server() -> None:
    """The process that the agent starts asks the receiver that was meant."""
    made = json.loads(qwen.MCP.rendered(Options(query_url="http://far:9", command=("/x/otlp-receiver",))))
    assert made["mcpServers"]["otlp-receiver"] == {
        "command": "/x/otlp-receiver",
        "args": ["mcp", "--endpoint", "http://far:9"],
    }


def test_what_keeps_the_data_away_is_found() -> None:
    """Settings and variables that go before ours are named, and not changed."""
    text = '{"telemetry": {"outfile": "x.log", "otlpTracesEndpoint": ""}}'
    (said,) = qwen.TELEMETRY.obstacles(text)
    assert said == 'telemetry.outfile is "x.log": it sends everything to that file instead'
    assert json.loads(qwen.TELEMETRY.merged(text, Options()).text)["telemetry"]["outfile"] == "x.log"
    assert qwen.TELEMETRY.overruled_by({"QWEN_TELEMETRY_ENABLED": "false", "QWEN_TELEMETRY_OUTFILE": ""}) == [
        "QWEN_TELEMETRY_ENABLED"
    ]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:4317", "http://localhost:4317"),
        ("http://localhost:4317/", "http://localhost:4317"),
        ("https://far:443", "https://far:443"),
        ("[::1]:4317", "http://[::1]:4317"),
    ],
)
def test_an_endpoint_becomes_a_url(given: str, url: str) -> None:
    """The scheme may be missing."""
    assert url_of(given) == url


@pytest.mark.parametrize(
    "given",
    [
        "",
        "localhost",
        "grpc://localhost:1",
        "localhost:x",
        "localhost:99999",
        "h:1/v1/traces",
        "u@h:1",
        "h :1",
        'h":1 "',
    ],
)
def test_what_is_no_endpoint_is_refused(given: str) -> None:
    """A mistake does not get into anybody's settings."""
    with pytest.raises(SetupError, match="endpoint"):
        url_of(given)
