"""What a user may choose about a configuration: where the receiver is, by which protocol, and with how much content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from receiver.setup.errors import SetupError

SERVER_NAME = "otlp-receiver"
"""Name of this receiver among the MCP servers of an agent, and in the configuration of a collector."""
PROGRAM = "otlp-receiver"


class OtlpProtocol(StrEnum):
    """How OTLP travels."""

    GRPC = "grpc"
    HTTP = "http"


class McpTransport(StrEnum):
    """How an agent reaches the MCP server."""

    STDIO = "stdio"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices; addresses are URLs without a path."""

    grpc_url: str = "http://localhost:4317"
    http_url: str = "http://localhost:4318"
    query_url: str = "http://localhost:8888"
    protocol: OtlpProtocol | None = None
    """None: the one that the target does best."""
    content: bool | None = None
    """Whether prompts and contents of tools are sent; None: no, unless the file already says otherwise."""
    transport: McpTransport = McpTransport.STDIO
    command: tuple[str, ...] = (PROGRAM,)
    """Starts this program; an agent that is started from a desktop does not have a shell's PATH."""

    def by(self, protocol: OtlpProtocol) -> Self:
        """Return the same options with this protocol, if none was chosen."""
        return self if self.protocol is not None else replace(self, protocol=protocol)

    @property
    def otlp_url(self) -> str:
        """Return the address for the chosen protocol."""
        return self.http_url if self.protocol is OtlpProtocol.HTTP else self.grpc_url

    @property
    def mcp_url(self) -> str:
        """Return the address of the MCP server."""
        return f"{self.query_url}/mcp"


def url_of(endpoint: str) -> str:
    """Return an endpoint (``host:port``, with or without a scheme) as a URL without a path.

    Raises:
        SetupError: It is not an endpoint.
    """
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    clean = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not parts.hostname or port is None or not clean:
        raise SetupError(f"{endpoint!r} is not an endpoint", hint="write host and port: localhost:4317")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise SetupError(
            f"{endpoint!r} says more than an endpoint",
            hint="write scheme, host and port: http://localhost:4317",
        )
    return f"{parts.scheme}://{parts.netloc}"
