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

from functools import partial

from receiver.setup.entry import Obstacle
from receiver.setup.gemini_family import mcp_entries, telemetry_entries
from receiver.setup.json_file import JsonFile
from receiver.setup.target import FileTarget

TELEMETRY = FileTarget(
    name="gemini",
    title="Gemini CLI",
    document=JsonFile(),
    entries=partial(telemetry_entries, content_key="traces"),
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
    entries=mcp_entries,
    user_file=TELEMETRY.user_file,
    project_file=TELEMETRY.project_file,
    said=lambda _: ("`gemini mcp list` shows whether it is connected",),
)
