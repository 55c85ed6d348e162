"""The three listeners: OTLP/gRPC, OTLP/HTTP, and the one that answers questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from receiver import __version__
from receiver.access import Access
from receiver.api.app import QueryApp
from receiver.app.figures import RunningReceiver
from receiver.config import Settings
from receiver.errors import StartError
from receiver.mcp.http_app import PATH as MCP_PATH
from receiver.mcp.http_app import McpApp
from receiver.ports import Intake
from receiver.query.service import QueryService
from receiver.telemetry.metrics import Metrics
from receiver.transport.asgi_server import AsgiServer
from receiver.transport.endpoint import parse_endpoint
from receiver.transport.grpc_server import GrpcServer
from receiver.transport.http_server import HttpServer

if TYPE_CHECKING:
    from receiver.sources.collector.otlp_file import RequestReader

_QUERY_CONNECTIONS = 256
_QUERY_KEEP_ALIVE_S = 30.0


class FreshMetrics:
    """The receiver's metrics with the totals of this moment; implements the API's ``RenderedMetrics``."""

    def __init__(self, metrics: Metrics, running: RunningReceiver) -> None:
        """Render ``metrics`` after asking ``running`` for its totals."""
        self._metrics = metrics
        self._running = running

    def queried(self, question: str, seconds: float) -> None:
        """Record how long a question took."""
        self._metrics.queried(question, seconds)

    async def render(self) -> bytes:
        """Return the Prometheus text."""
        await self._running.refresh()
        return self._metrics.render()


class Listeners:
    """Starts all that are configured, or none."""

    def __init__(
        self,
        settings: Settings,
        *,
        intake: Intake,
        metrics: Metrics,
        service: QueryService,
        access: Access,
        running: RunningReceiver,
    ) -> None:
        """Prepare them; nothing is bound."""
        self._listen = settings.listen
        self._grpc = GrpcServer(intake, metrics, settings.limits)
        self._http = HttpServer(intake, metrics, settings.limits, settings.listen.cors_origins)
        self._mcp = McpApp(access, settings, requests_of=_request_reader) if settings.mcp.enabled else None
        self._query = AsgiServer(
            QueryApp(
                service,
                FreshMetrics(metrics, running),
                running,
                access=access,
                own_hosts=self._own_hosts(),
                version=__version__,
                mounts={MCP_PATH: self._mcp} if self._mcp else None,
            ),
            name="query",
            connections=_QUERY_CONNECTIONS,
            keep_alive_s=_QUERY_KEEP_ALIVE_S,
        )

    async def start(self) -> Mapping[str, str]:
        """Bind and accept; return the addresses by name.

        Raises:
            StartError: A port is taken, or an address is not loopback and nobody said that it may be.
            ConfigError: An endpoint cannot be read.
        """
        self._refuse_remote()
        addresses: dict[str, str] = {}
        if self._listen.grpc_endpoint:
            ports = await self._grpc.start(self._listen.grpc_endpoint)
            addresses["OTLP/gRPC"] = _address(self._listen.grpc_endpoint, ports)
        if self._listen.http_endpoint:
            ports = await self._http.start(self._listen.http_endpoint)
            addresses["OTLP/HTTP"] = _address(self._listen.http_endpoint, ports)
        if self._listen.query_endpoint:
            ports = await self._query.start(self._listen.query_endpoint)
            addresses["query"] = _address(self._listen.query_endpoint, ports)
        return addresses

    async def stop_ingest(self, grace_s: float) -> None:
        """Stop both OTLP listeners; requests in hand are finished within the grace."""
        await self._grpc.stop(grace_s)
        await self._http.stop(grace_s)

    async def stop_query(self, grace_s: float) -> None:
        """Stop answering questions."""
        await self._query.stop(grace_s)
        if self._mcp:
            await self._mcp.close()

    def _own_hosts(self) -> list[str]:
        """Return the host that is listened on, should it not be a loopback name; the guard knows those."""
        if not self._listen.query_endpoint:
            return []
        where = parse_endpoint(self._listen.query_endpoint)
        if where.is_loopback:
            return []
        return ["*"] if where.host in ("0.0.0.0", "::", "") else [where.host]  # noqa: S104 - compared, not bound

    def _refuse_remote(self) -> None:
        for text in (self._listen.grpc_endpoint, self._listen.http_endpoint, self._listen.query_endpoint):
            if text and not parse_endpoint(text).is_loopback and not self._listen.allow_remote:
                raise StartError(
                    f"{text} can be reached from other machines and there is no authentication",
                    hint="listen on localhost, or set listen.allow_remote: true to accept that",
                )


def _request_reader() -> RequestReader:
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - only files need it

    return DecodingRequestReader()


def _address(endpoint: str, ports: list[int]) -> str:
    where = parse_endpoint(endpoint)
    return f"{where.host}:{ports[0]}" if ":" not in where.host else f"[{where.host}]:{ports[0]}"
