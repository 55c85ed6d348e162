"""Gemini CLI.

Telemetry: ``telemetry`` in its settings. ``logPrompts`` is true unless set; ``traces`` puts inputs and outputs on
the spans, so it goes with the content. Variables and flags go before the file. Releases before 0.25 do not put
``/v1/traces`` behind an HTTP address, so gRPC is what is set unless asked otherwise.
Source: https://github.com/google-gemini/gemini-cli, docs/cli/telemetry.md and packages/core/src/telemetry/config.ts;
https://github.com/google-gemini/gemini-cli/pull/16836

MCP: ``mcpServers`` in the same file; ``httpUrl`` is the address of a streamable HTTP server.
Source: https://github.com/google-gemini/gemini-cli, docs/tools/mcp-server.md
"""

from __future__ import annotations

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.json_file import JsonFile
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.target import FileTarget


def _telemetry(options: Options) -> list[Entry]:
    protocol = "http" if options.protocol is OtlpProtocol.HTTP else "grpc"
    entries = [
        Entry(("telemetry", "enabled"), True),
        Entry(("telemetry", "target"), "local"),
        Entry(("telemetry", "otlpEndpoint"), options.otlp_url),
        Entry(("telemetry", "otlpProtocol"), protocol),
        Entry(("telemetry", "logPrompts"), bool(options.content), only_if_absent=options.content is None),
    ]
    if options.content is not None:
        entries.append(Entry(("telemetry", "traces"), options.content))
    return entries


def _mcp(options: Options) -> list[Entry]:
    return [server_entry(options, "mcpServers", typed=False, url_key="httpUrl")]


TELEMETRY = FileTarget(
    name="gemini",
    title="Gemini CLI",
    document=JsonFile(),
    entries=_telemetry,
    user_file=lambda places: places.home / ".gemini" / "settings.json",
    project_file=lambda places: places.project / ".gemini" / "settings.json",
    against=(Obstacle(("telemetry", "outfile"), "it sends everything to that file instead"),),
    variables=(
        "GEMINI_TELEMETRY_ENABLED",
        "GEMINI_TELEMETRY_TARGET",
        "GEMINI_TELEMETRY_OTLP_ENDPOINT",
        "GEMINI_TELEMETRY_OTLP_PROTOCOL",
        "GEMINI_TELEMETRY_OUTFILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
)
MCP = FileTarget(
    name="gemini",
    title="Gemini CLI (MCP)",
    document=JsonFile(),
    entries=_mcp,
    user_file=TELEMETRY.user_file,
    project_file=TELEMETRY.project_file,
    said=lambda _: ("`gemini mcp list` shows whether it is connected",),
)
