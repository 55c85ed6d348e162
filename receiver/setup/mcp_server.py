"""This receiver as an MCP server in an agent's settings.

An agent's own settings for the server (timeouts, trusted tools, environment) stay; what says how to reach it is
replaced as a whole, so that a change of the transport leaves nothing of the old one behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from receiver.setup.entry import Entry
from receiver.setup.options import SERVER_NAME, McpTransport, Options

_DEFAULT_QUERY_URL = Options().query_url
_WAYS = ("type", "command", "args", "url", "httpUrl")


def server_entry(options: Options, section: str, *, typed: bool, url_key: str = "url") -> Entry:
    """Return the entry of the server.

    Args:
        options: The transport, and the address or command.
        section: The object that holds an agent's servers.
        typed: Whether the agent wants to be told the transport as ``type``.
        url_key: What the agent calls the address of a streamable HTTP server.
    """
    way: dict[str, Any] = {"type": options.transport.value} if typed else {}
    if options.transport is McpTransport.HTTP:
        way[url_key] = options.mcp_url
    else:
        way |= {"command": options.command[0], "args": [*options.command[1:], *_arguments(options)]}
    return Entry((section, SERVER_NAME), way, combine=_over(way))


def command_line(options: Options) -> list[str]:
    """Return what starts the server for an agent that reaches it by standard input and output."""
    return [*options.command, *_arguments(options)]


def _arguments(options: Options) -> list[str]:
    elsewhere = options.query_url != _DEFAULT_QUERY_URL
    return ["mcp", "--endpoint", options.query_url] if elsewhere else ["mcp"]


def _over(way: Mapping[str, Any]) -> Callable[[Any], Any]:
    def combined(present: Any) -> Any:
        if not isinstance(present, Mapping):
            return dict(way)
        return dict(way) | {key: value for key, value in present.items() if key not in _WAYS}

    return combined
