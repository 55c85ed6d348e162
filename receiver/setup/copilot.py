"""GitHub Copilot Chat in VS Code.

Telemetry: ``github.copilot.chat.otel.*`` in VS Code's settings, each a name with dots, not a path. Variables that
VS Code was started with go before them.
Source: https://code.visualstudio.com/docs/copilot/guides/monitoring-agents and
https://github.com/microsoft/vscode-copilot-chat, docs/monitoring/agent_monitoring.md

MCP: ``servers`` in ``mcp.json`` of the user's profile, or in ``.vscode/mcp.json``.
Source: https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
"""

from __future__ import annotations

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.json_file import JsonFile
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.target import FileTarget

_PREFIX = "github.copilot.chat.otel"


def _telemetry(options: Options) -> list[Entry]:
    exporter = "otlp-grpc" if options.protocol is OtlpProtocol.GRPC else "otlp-http"
    entries = [
        Entry((f"{_PREFIX}.enabled",), True),
        Entry((f"{_PREFIX}.exporterType",), exporter),
        Entry((f"{_PREFIX}.otlpEndpoint",), options.otlp_url),
    ]
    if options.content is not None:
        entries.append(Entry((f"{_PREFIX}.captureContent",), options.content))
    return entries


def _mcp(options: Options) -> list[Entry]:
    return [server_entry(options, "servers", typed=True)]


TELEMETRY = FileTarget(
    name="copilot",
    title="GitHub Copilot in VS Code",
    document=JsonFile(),
    entries=_telemetry,
    user_file=lambda places: places.vs_code / "settings.json",
    project_file=lambda places: places.project / ".vscode" / "settings.json",
    protocol=OtlpProtocol.HTTP,
    against=(Obstacle((f"{_PREFIX}.outfile",), "it sends everything to that file instead"),),
    variables=(
        "COPILOT_OTEL_ENABLED",
        "COPILOT_OTEL_ENDPOINT",
        "COPILOT_OTEL_PROTOCOL",
        "COPILOT_OTEL_FILE_EXPORTER_PATH",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ),
    said=lambda _: ("VS Code reads it when a window is opened or reloaded",),
)
MCP = FileTarget(
    name="copilot",
    title="GitHub Copilot in VS Code (MCP)",
    document=JsonFile(),
    entries=_mcp,
    user_file=lambda places: places.vs_code / "mcp.json",
    project_file=lambda places: places.project / ".vscode" / "mcp.json",
    said=lambda _: ("`MCP: List Servers` in VS Code shows whether it runs",),
)
