"""Claude Code.

Telemetry: environment variables, which ``env`` in its settings sets for every session. The exporters and the
protocol have no default, and spans need ``CLAUDE_CODE_ENHANCED_TELEMETRY_BETA`` besides.
Source: https://code.claude.com/docs/en/monitoring-usage and https://code.claude.com/docs/en/settings

MCP: ``mcpServers`` in ``~/.claude.json`` (scope user) or ``.mcp.json`` (scope project).
Source: https://code.claude.com/docs/en/mcp
"""

from __future__ import annotations

from pathlib import Path

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.environment import SIGNAL_VARIABLES, sdk_variables
from receiver.setup.json_file import JsonFile
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options
from receiver.setup.places import Places
from receiver.setup.target import FileTarget

_CONTENT = (
    "OTEL_LOG_USER_PROMPTS",
    "OTEL_LOG_ASSISTANT_RESPONSES",
    "OTEL_LOG_TOOL_DETAILS",
    "OTEL_LOG_TOOL_CONTENT",
)
"""Off unless set."""


def _telemetry(options: Options) -> list[Entry]:
    variables = {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
        **sdk_variables(options),
    }
    if options.content is not None:
        variables |= dict.fromkeys(_CONTENT, "1" if options.content else "0")
    return [Entry(("env", name), value) for name, value in variables.items()]


def _mcp(options: Options) -> list[Entry]:
    return [server_entry(options, "mcpServers", typed=True)]


def _user_mcp_file(places: Places) -> Path:
    return places.folder("CLAUDE_CONFIG_DIR", "") / ".claude.json"


TELEMETRY = FileTarget(
    name="claude",
    title="Claude Code",
    document=JsonFile(),
    entries=_telemetry,
    user_file=lambda places: places.folder("CLAUDE_CONFIG_DIR", ".claude") / "settings.json",
    project_file=lambda places: places.project / ".claude" / "settings.json",
    against=tuple(
        Obstacle(("env", name), "it goes before OTEL_EXPORTER_OTLP_ENDPOINT and _PROTOCOL")
        for name in SIGNAL_VARIABLES
    ),
    said=lambda _: (
        "metrics come once a minute, log records and spans every 5 s; sessions that run already do not send",
    ),
)
MCP = FileTarget(
    name="claude",
    title="Claude Code (MCP)",
    document=JsonFile(),
    entries=_mcp,
    user_file=_user_mcp_file,
    project_file=lambda places: places.project / ".mcp.json",
    said=lambda _: ("`claude mcp list` shows whether it is connected",),
)
