"""An agent's side of MCP: FastMCP's client, over HTTP or over the standard streams of ``otlp-receiver mcp``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import ClientTransport, StdioTransport, StreamableHttpTransport

from tests.support.command_line import clean_environment

Agent = Client[ClientTransport]


def agent_over_http(url: str) -> Agent:
    """Return a client of a listener."""
    return Client(StreamableHttpTransport(f"{url}/mcp"))


def agent_over_stdio(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> Agent:
    """Return a client that starts ``otlp-receiver mcp`` in a folder; its log goes to ``mcp.log`` there."""
    transport = StdioTransport(
        sys.executable,
        ["-m", "receiver", "mcp", *arguments],
        env=clean_environment({"OTLP_RECEIVER_EMBED__ENABLED": "false", **(environment or {})}),
        cwd=str(folder),
        keep_alive=False,
        log_file=folder / "mcp.log",
    )
    return Client(transport)


def said(result: CallToolResult) -> str:
    """Return the one text of an answer."""
    (block,) = result.content
    assert block.type == "text"
    return block.text


def structured(result: CallToolResult) -> dict[str, Any]:
    """Return the structured content of an answer."""
    assert result.structured_content is not None
    return result.structured_content
