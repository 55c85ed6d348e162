"""TOML settings: comments, order and spacing stay."""

from __future__ import annotations

import tomllib

import pytest

from receiver.setup import codex
from receiver.setup.entry import Entry
from receiver.setup.errors import SetupError
from receiver.setup.options import McpTransport, Options, OtlpProtocol
from receiver.setup.toml_file import TomlFile

_FILE = """\
# mine
model = "gpt"   # why

[otel]
environment = "prod"  # not yours
log_user_prompt = true

[otel.exporter.otlp-http]
endpoint = "http://elsewhere/v1/logs"
protocol = "json"

[mcp_servers.other]
command = "x" # stays

[mcp_servers.otlp-receiver]
# slow machine
startup_timeout_sec = 30
url = "http://old/mcp"

[tui]
animations = false
"""


def test_comments_and_other_tables_stay() -> None:
    """Only the exporters change; what the user chose about prompts stays unless content is asked for."""
    merged = codex.TELEMETRY.merged(_FILE, Options())
    assert all(line in merged.text for line in _FILE.splitlines() if "#" in line)
    before, after = tomllib.loads(_FILE), tomllib.loads(merged.text)
    grpc = {"otlp-grpc": {"endpoint": "http://localhost:4317"}}
    wanted = {"environment": "prod", "log_user_prompt": True}
    assert after.pop("otel") == wanted | dict.fromkeys(
        ("exporter", "trace_exporter", "metrics_exporter"), grpc
    )
    assert after == {key: value for key, value in before.items() if key != "otel"}
    assert list(tomllib.loads(merged.text)) == list(before)
    assert codex.TELEMETRY.merged(merged.text, Options()).changes == ()


def test_each_signal_has_its_own_address_over_http() -> None:
    """Codex posts to the endpoint as it is written."""
    made = tomllib.loads(codex.TELEMETRY.rendered(Options(protocol=OtlpProtocol.HTTP)))["otel"]
    assert {name: made[name]["otlp-http"]["endpoint"] for name in made if name.endswith("exporter")} == {
        "exporter": "http://localhost:4318/v1/logs",
        "trace_exporter": "http://localhost:4318/v1/traces",
        "metrics_exporter": "http://localhost:4318/v1/metrics",
    }


def test_the_server_keeps_its_own_settings_and_loses_the_other_transport() -> None:
    """Time limits and comments of the server's table stay; the address goes when a command comes."""
    merged = codex.MCP.merged(_FILE, Options())
    server = tomllib.loads(merged.text)["mcp_servers"]["otlp-receiver"]
    assert server == {"startup_timeout_sec": 30, "command": "otlp-receiver", "args": ["mcp"]}
    assert "# slow machine" in merged.text
    back = codex.MCP.merged(merged.text, Options(transport=McpTransport.HTTP))
    assert tomllib.loads(back.text)["mcp_servers"]["otlp-receiver"] == {
        "startup_timeout_sec": 30,
        "url": "http://localhost:8888/mcp",
    }


@pytest.mark.parametrize("before", ["", "\n", "a = 1", "# only a comment\n", "[a]\nb = 1"])
def test_a_table_is_added_to_any_file(before: str) -> None:
    """What stood there stands at the beginning still."""
    merged = TomlFile().merged(before, [Entry(("new", "key"), "v")])
    assert tomllib.loads(merged.text) == tomllib.loads(before) | {"new": {"key": "v"}}
    assert merged.text.startswith(before)


def test_what_is_not_toml_is_named_by_line_and_column() -> None:
    """The message says where."""
    with pytest.raises(SetupError, match=r"not TOML.*line 2 col 3"):
        codex.TELEMETRY.merged("a = 1\nb =", Options())


def test_a_value_where_a_table_has_to_be_is_refused() -> None:
    """It is not overwritten."""
    with pytest.raises(SetupError, match=r"otel is .*, where a table has to be"):
        codex.TELEMETRY.merged("otel = 1\n", Options())
