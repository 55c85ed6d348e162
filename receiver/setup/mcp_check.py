"""Reaches the MCP server as an agent with the printed configuration would, and counts its tools."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from receiver.setup.errors import SetupError
from receiver.setup.mcp_server import command_line
from receiver.setup.options import McpTransport, Options


def check_mcp(options: Options, *, timeout_s: float) -> Sequence[str]:
    """Return the names of the tools that the server offers; a process that was started for it has ended.

    Raises:
        SetupError: It cannot be reached, or the extra ``mcp`` is not installed here.
    """
    try:
        from fastmcp import Client  # noqa: PLC0415 - an extra, and slow to import
        from fastmcp.client.transports import StdioTransport, StreamableHttpTransport  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            "the MCP server cannot be asked from here: the extra mcp is not installed",
            hint="pip install 'otlp-receiver[mcp]'",
        ) from error
    transport: Any
    if options.transport is McpTransport.HTTP:
        transport, where = StreamableHttpTransport(options.mcp_url), options.mcp_url
    else:
        program, *arguments = command_line(options)
        transport, where = (
            StdioTransport(program, arguments, keep_alive=False),
            " ".join([program, *arguments]),
        )

    async def names() -> list[str]:
        async with Client(transport, init_timeout=timeout_s, timeout=timeout_s) as client:
            return [tool.name for tool in await client.list_tools()]

    try:
        return asyncio.run(asyncio.wait_for(names(), timeout_s))
    except TimeoutError as error:
        raise SetupError(f"no MCP server answers within {timeout_s:g} s: {where}") from error
    except Exception as error:  # the client raises what its transport raises: OSError, httpx's, its own
        raise SetupError(
            f"no MCP server answers: {where} ({error})",
            hint="is the receiver running, with the extra mcp installed?",
        ) from error
