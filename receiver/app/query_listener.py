"""The listener that answers questions: the HTTP API, MCP, metrics and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from receiver import __version__
from receiver.access import RecordAccess
from receiver.api.app import QueryApp
from receiver.api.backups import Holds
from receiver.app.bound_ports import BoundPorts
from receiver.app.figures import RunningReceiver
from receiver.app.ingest_listeners import shown_address
from receiver.config import ListenConfig, Settings
from receiver.mcp.http_app import PATH as MCP_PATH
from receiver.mcp.http_app import McpApp
from receiver.query.service import QueryService
from receiver.telemetry.metrics import Metrics, Refusal
from receiver.transport.asgi_server import AsgiServer
from receiver.transport.endpoint import parse_endpoint

if TYPE_CHECKING:
    from receiver.sources.collector.otlp_file import RequestReader

_CONNECTIONS = 256
_KEEP_ALIVE_S = 30.0


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


class QueryListener:
    """One application on one port. Threads: one event loop's."""

    def __init__(
        self,
        settings: Settings,
        bound: BoundPorts,
        *,
        metrics: Metrics,
        service: QueryService,
        access: RecordAccess,
        running: RunningReceiver,
        holds: Holds,
    ) -> None:
        """Prepare it on a port that is bound, where one is configured."""
        self._endpoint = settings.listen.query_endpoint
        self._bound = bound
        guard = bound.protection
        tls = guard.tls("query")
        self._mcp = McpApp(access, settings, requests_of=_request_reader) if settings.mcp.enabled else None
        self._server = AsgiServer(
            QueryApp(
                service,
                FreshMetrics(metrics, running),
                running,
                access=access,
                own_hosts=_own_hosts(settings.listen),
                version=__version__,
                mounts={MCP_PATH: self._mcp} if self._mcp else None,
                holds=holds,
                verify=guard.verifier("query", "the query listener"),
            ),
            name="query",
            connections=_CONNECTIONS,
            keep_alive_s=_KEEP_ALIVE_S,
            tls=None if tls is None else tls.context,
        )

    async def start(self) -> str | None:
        """Accept; return the address, None where there is none."""
        if not self._bound.query:
            return None
        return shown_address(self._endpoint, await self._server.start(self._endpoint, self._bound.query))

    def leave(self) -> None:
        """Close each connection with its next answer: another process listens on the port. :meth:`stop` follows."""
        self._server.leave()

    async def stop(self, grace_s: float) -> None:
        """Stop answering questions."""
        await self._server.stop(grace_s)
        if self._mcp:
            await self._mcp.close()


def _own_hosts(listen: ListenConfig) -> list[str]:
    """Return the names besides loopback's, which the guard knows: those configured, else what is listened on."""
    names = list(listen.names)
    if not listen.query_endpoint:
        return names
    where = parse_endpoint(listen.query_endpoint)
    if where.is_loopback:
        return names
    if where.host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return names or ["*"]
    return [*names, f"[{where.host}]" if ":" in where.host else where.host]


def _request_reader() -> RequestReader:
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - only files need it

    return DecodingRequestReader()
