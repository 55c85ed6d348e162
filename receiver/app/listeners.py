"""The three listeners: OTLP/gRPC, OTLP/HTTP, and the one that answers questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from receiver import __version__
from receiver.access import RecordAccess
from receiver.api.app import QueryApp
from receiver.api.backups import Holds
from receiver.app.bound_ports import BoundPorts
from receiver.app.figures import RunningReceiver
from receiver.app.protection import Protection, open_to_others
from receiver.config import Settings
from receiver.errors import StartError
from receiver.mcp.http_app import PATH as MCP_PATH
from receiver.mcp.http_app import McpApp
from receiver.ports import Intake
from receiver.query.service import QueryService
from receiver.telemetry.metrics import Metrics, Refusal
from receiver.transport.asgi_server import AsgiServer
from receiver.transport.endpoint import parse_endpoint
from receiver.transport.grpc_server import GrpcServer
from receiver.transport.http_server import HttpServer
from receiver.transport.shared_ports import waiting_connections

if TYPE_CHECKING:
    from receiver.sources.collector.otlp_file import RequestReader

_QUERY_CONNECTIONS = 256
_QUERY_KEEP_ALIVE_S = 30.0
_LEAVE_S = 0.05
"""A client that sends all the time has been told to connect anew within this long."""
_ACCEPT_S = 1.0
"""No listener is left for longer than this with connections that it has not accepted."""


class FreshMetrics:
    """The receiver's metrics with the totals of this moment; implements the API's ``RenderedMetrics``."""

    def __init__(self, metrics: Metrics, running: RunningReceiver) -> None:
        """Render ``metrics`` after asking ``running`` for its totals."""
        self._metrics = metrics
        self._running = running

    def queried(self, question: str, seconds: float) -> None:
        """Record how long a question took."""
        self._metrics.queried(question, seconds)

    def question_refused(self, reason: Refusal) -> None:
        """Count one request that did not get through to its question."""
        self._metrics.question_refused(reason)

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
        access: RecordAccess,
        running: RunningReceiver,
        holds: Holds,
        bound: BoundPorts | None = None,
    ) -> None:
        """Prepare them; nothing more is bound than was."""
        self._listen = settings.listen
        self._settings = settings
        self._bound = bound or BoundPorts(Protection(settings))
        self._protection = guard = self._bound.protection
        self.ports: set[int] = set()
        """What is listened on."""
        running.more_gauges.append(guard.gauges)
        self._watching: asyncio.Task[None] | None = None
        self._grpc = GrpcServer(
            intake,
            metrics,
            settings.limits,
            tls=guard.tls("grpc"),
            verify=guard.verifier("grpc", "OTLP/gRPC"),
        )
        self._http = HttpServer(
            intake,
            metrics,
            settings.limits,
            settings.listen.cors_origins,
            tls=guard.tls("http"),
            verify=guard.verifier("http", "OTLP/HTTP"),
        )
        query_tls = guard.tls("query")
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
                holds=holds,
                verify=guard.verifier("query", "the query listener"),
            ),
            name="query",
            connections=_QUERY_CONNECTIONS,
            keep_alive_s=_QUERY_KEEP_ALIVE_S,
            tls=None if query_tls is None else query_tls.context,
        )

    async def start(self) -> Mapping[str, str]:
        """Bind and accept; return the addresses by name.

        Raises:
            StartError: A port is taken, or an address is not loopback and nobody said that it may be.
            ConfigError: An endpoint, a certificate or the tokens cannot be read.
        """
        if problems := open_to_others(self._settings):
            raise StartError("; ".join(problems))
        await self._protection.read()
        self._watching = asyncio.create_task(self._protection.watch(), name="certificates and tokens")
        addresses: dict[str, str] = {}
        if self._listen.grpc_endpoint:
            ports = await self._grpc.start(self._listen.grpc_endpoint, self._bound.grpc)
            self.ports.update(ports)
            addresses["OTLP/gRPC"] = _address(self._listen.grpc_endpoint, ports)
        if self._listen.http_endpoint:
            ports = await self._http.start(self._listen.http_endpoint, self._bound.http)
            self.ports.update(ports)
            addresses["OTLP/HTTP"] = _address(self._listen.http_endpoint, ports)
        if self._listen.query_endpoint:
            ports = await self._query.start(self._listen.query_endpoint, self._bound.query)
            self.ports.update(ports)
            addresses["query"] = _address(self._listen.query_endpoint, ports)
        return addresses

    async def stop_ingest(self, grace_s: float) -> None:
        """Stop both OTLP listeners; requests in hand are finished within the grace."""
        await asyncio.gather(self._grpc.stop(grace_s), self._http.stop(grace_s))

    async def leave(self, grace_s: float) -> None:
        """Stop both OTLP listeners while another process listens on all ports, so that no client notices.

        The query listener has its connections closed with their next answers; :meth:`stop_query` follows.
        """
        self._http.leave()
        self._query.leave()
        deadline = time.monotonic() + _ACCEPT_S
        while await asyncio.to_thread(waiting_connections, self.ports) > 0 and time.monotonic() < deadline:
            pass  # the loop and gRPC's threads accept meanwhile
        await asyncio.gather(self._grpc.leave(grace_s), self._leave_http(grace_s))

    async def _leave_http(self, grace_s: float) -> None:
        await asyncio.sleep(_LEAVE_S)
        await self._http.stop(grace_s)

    async def stop_query(self, grace_s: float) -> None:
        """Stop answering questions."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._query.stop(grace_s)
        if self._mcp:
            await self._mcp.close()

    def _own_hosts(self) -> list[str]:
        """Return the names besides loopback's, which the guard knows: those configured, else what is listened on."""
        names = list(self._listen.names)
        if not self._listen.query_endpoint:
            return names
        where = parse_endpoint(self._listen.query_endpoint)
        if where.is_loopback:
            return names
        if where.host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
            return names or ["*"]
        return [*names, f"[{where.host}]" if ":" in where.host else where.host]


def _request_reader() -> RequestReader:
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - only files need it

    return DecodingRequestReader()


def _address(endpoint: str, ports: list[int]) -> str:
    where = parse_endpoint(endpoint)
    return f"{where.host}:{ports[0]}" if ":" not in where.host else f"[{where.host}]:{ports[0]}"
