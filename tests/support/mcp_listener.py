"""The query listener with MCP on it, in this process and on a real socket; can be replaced by another one."""

from __future__ import annotations

from receiver.api.app import QueryApp
from receiver.app.embedded import EmbeddedReceiver
from receiver.app.request_reader import DecodingRequestReader
from receiver.config import Settings
from receiver.mcp.http_app import PATH, McpApp
from receiver.telemetry.metrics import Metrics, Refusal
from receiver.transport.asgi_server import AsgiServer


class _Rendered:
    """The metrics of a receiver to which nothing happened."""

    async def render(self) -> bytes:
        """Return them as text."""
        return Metrics().render()

    def queried(self, question: str, seconds: float) -> None:
        """Take note of nothing."""

    def question_refused(self, reason: Refusal) -> None:
        """Take note of nothing."""


class McpListener:
    """One listener; ``start`` again after ``stop`` is a restart on the same port."""

    def __init__(self, receiver: EmbeddedReceiver, settings: Settings) -> None:
        """Answer from a receiver that somebody else closes."""
        self._receiver = receiver
        self._settings = settings
        self.port = 0

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self.app = McpApp(self._receiver, self._settings, requests_of=DecodingRequestReader)
        query = QueryApp(
            self._receiver.service,
            _Rendered(),
            self._receiver.receiver.answering.running,
            access=self._receiver,
            mounts={PATH: self.app},
        )
        self._server = AsgiServer(query, name="query", connections=64, keep_alive_s=30.0)
        (self.port,) = await self._server.start(f"127.0.0.1:{self.port}")

    async def stop(self) -> None:
        """Stop listening and end MCP."""
        await self._server.stop(1.0)
        await self.app.close()
