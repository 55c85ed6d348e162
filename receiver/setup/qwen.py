"""Qwen Code.

Telemetry: ``telemetry`` in its settings. ``logPrompts`` is true unless set. Variables and flags go before the file.
Source: https://github.com/QwenLM/qwen-code, docs/developers/development/telemetry.md and
packages/core/src/telemetry/config.ts

MCP: ``mcpServers`` in the same file; ``httpUrl`` is the address of a streamable HTTP server.
Source: https://qwenlm.github.io/qwen-code-docs/en/users/features/mcp/
"""

from __future__ import annotations

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.json_file import JsonFile
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.target import FileTarget

_OF_ONE_SIGNAL = ("otlpTracesEndpoint", "otlpLogsEndpoint", "otlpMetricsEndpoint")


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
        entries.append(Entry(("telemetry", "includeSensitiveSpanAttributes"), options.content))
    return entries


def _mcp(options: Options) -> list[Entry]:
    return [server_entry(options, "mcpServers", typed=False, url_key="httpUrl")]


TELEMETRY = FileTarget(
    name="qwen",
    title="Qwen Code",
    document=JsonFile(),
    entries=_telemetry,
    user_file=lambda places: places.home / ".qwen" / "settings.json",
    project_file=lambda places: places.project / ".qwen" / "settings.json",
    against=(
        Obstacle(("telemetry", "outfile"), "it sends everything to that file instead"),
        *(Obstacle(("telemetry", name), "it goes before otlpEndpoint") for name in _OF_ONE_SIGNAL),
    ),
    variables=(
        "QWEN_TELEMETRY_ENABLED",
        "QWEN_TELEMETRY_TARGET",
        "QWEN_TELEMETRY_OTLP_ENDPOINT",
        "QWEN_TELEMETRY_OTLP_PROTOCOL",
        "QWEN_TELEMETRY_OUTFILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
)
MCP = FileTarget(
    name="qwen",
    title="Qwen Code (MCP)",
    document=JsonFile(),
    entries=_mcp,
    user_file=TELEMETRY.user_file,
    project_file=TELEMETRY.project_file,
    said=lambda _: ("`qwen mcp list` shows whether it is connected",),
)
