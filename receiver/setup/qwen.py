"""Qwen Code.

Telemetry: ``telemetry`` in its settings. ``logPrompts`` is true unless set. Variables and flags go before the file.
Source: https://github.com/QwenLM/qwen-code, docs/developers/development/telemetry.md and
packages/core/src/telemetry/config.ts

MCP: ``mcpServers`` in the same file; ``httpUrl`` is the address of a streamable HTTP server.
Source: https://qwenlm.github.io/qwen-code-docs/en/users/features/mcp/
"""

from __future__ import annotations

from functools import partial

from receiver.setup.entry import Obstacle
from receiver.setup.gemini_family import mcp_entries, telemetry_entries
from receiver.setup.json_file import JsonFile
from receiver.setup.target import FileTarget

_OF_ONE_SIGNAL = ("otlpTracesEndpoint", "otlpLogsEndpoint", "otlpMetricsEndpoint")


TELEMETRY = FileTarget(
    name="qwen",
    title="Qwen Code",
    document=JsonFile(),
    entries=partial(telemetry_entries, content_key="includeSensitiveSpanAttributes"),
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
    entries=mcp_entries,
    user_file=TELEMETRY.user_file,
    project_file=TELEMETRY.project_file,
    said=lambda _: ("`qwen mcp list` shows whether it is connected",),
)
