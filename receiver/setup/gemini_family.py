"""What Gemini CLI and Qwen Code, which descends from it, have in common in their settings."""

from __future__ import annotations

from receiver.setup.entry import Entry
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options, OtlpProtocol


def telemetry_entries(options: Options, *, content_key: str) -> list[Entry]:
    """Return the entries below ``telemetry``.

    Args:
        options: Where to send and what.
        content_key: What puts inputs and outputs on the spans; set only where content was spoken of.
    """
    protocol = "http" if options.protocol is OtlpProtocol.HTTP else "grpc"
    entries = [
        Entry(("telemetry", "enabled"), True),
        Entry(("telemetry", "target"), "local"),
        Entry(("telemetry", "otlpEndpoint"), options.otlp_url),
        Entry(("telemetry", "otlpProtocol"), protocol),
        Entry(("telemetry", "logPrompts"), bool(options.content), only_if_absent=options.content is None),
    ]
    if options.content is not None:
        entries.append(Entry(("telemetry", content_key), options.content))
    return entries


def mcp_entries(options: Options) -> list[Entry]:
    """Return the server below ``mcpServers``."""
    return [server_entry(options, "mcpServers", typed=False, url_key="httpUrl")]
