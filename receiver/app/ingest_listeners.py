"""The two listeners that take telemetry in: OTLP/gRPC and OTLP/HTTP."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from receiver.app.bound_ports import BoundPorts
from receiver.config import Settings
from receiver.ports import Intake
from receiver.telemetry.metrics import Metrics
from receiver.transport.endpoint import parse_endpoint
from receiver.transport.grpc_server import GrpcServer
from receiver.transport.shared_ports import waiting_connections

if TYPE_CHECKING:
    from receiver.transport.http_server import HttpServer

_LEAVE_S = 0.05
"""A client that sends all the time has been told to connect anew within this long."""
_ACCEPT_S = 1.0
"""No listener is left for longer than this with connections that it has not accepted."""


class IngestListeners:
    """Starts those that are configured. Threads: one event loop's."""

    def __init__(self, settings: Settings, bound: BoundPorts, *, intake: Intake, metrics: Metrics) -> None:
        """Prepare them on ports that are bound by their start."""
        self._settings = settings
        self._listen = settings.listen
        self._intake = intake
        self._metrics = metrics
        self._bound = bound
        guard = bound.protection
        self._grpc = GrpcServer(
            intake,
            metrics,
            settings.limits,
            tls=guard.tls("grpc"),
            verify=guard.verifier("grpc", "OTLP/gRPC"),
        )
        self._http: HttpServer | None = None

    async def start(self) -> Mapping[str, str]:
        """Accept; return the addresses by name."""
        addresses: dict[str, str] = {}
        if self._bound.grpc:
            ports = await self._grpc.start(self._listen.grpc_endpoint, self._bound.grpc)
            addresses["OTLP/gRPC"] = shown_address(self._listen.grpc_endpoint, ports)
        if self._bound.http:
            self._http = await self._made_http()
            ports = await self._http.start(self._listen.http_endpoint, self._bound.http)
            addresses["OTLP/HTTP"] = shown_address(self._listen.http_endpoint, ports)
        return addresses

    async def _made_http(self) -> HttpServer:
        # In a thread: uvicorn takes a while to load, and gRPC answers meanwhile.
        await asyncio.to_thread(importlib.import_module, "receiver.transport.http_server")
        from receiver.transport.http_server import HttpServer  # noqa: PLC0415 - see above

        guard = self._bound.protection
        return HttpServer(
            self._intake,
            self._metrics,
            self._settings.limits,
            self._listen.cors_origins,
            tls=guard.tls("http"),
            verify=guard.verifier("http", "OTLP/HTTP"),
        )

    async def stop(self, grace_s: float) -> None:
        """Stop both; requests in hand are finished within the grace."""
        await asyncio.gather(self._grpc.stop(grace_s), *([self._http.stop(grace_s)] if self._http else []))

    async def leave(self, grace_s: float, ports: Collection[int]) -> None:
        """Stop both while another process listens on all ports, so that no client notices.

        Args:
            grace_s: For requests in hand.
            ports: All that are shared, the query listener's with them; connections that wait there are accepted.
        """
        if self._http:
            self._http.leave()
        deadline = time.monotonic() + _ACCEPT_S
        while await asyncio.to_thread(waiting_connections, ports) > 0 and time.monotonic() < deadline:
            pass  # the loop and gRPC's threads accept meanwhile
        await asyncio.gather(self._grpc.leave(grace_s), self._leave_http(grace_s))

    async def _leave_http(self, grace_s: float) -> None:
        await asyncio.sleep(_LEAVE_S)
        if self._http:
            await self._http.stop(grace_s)


def shown_address(endpoint: str, ports: list[int]) -> str:
    """Return where a listener is, as users write it."""
    where = parse_endpoint(endpoint)
    return f"{where.host}:{ports[0]}" if ":" not in where.host else f"[{where.host}]:{ports[0]}"
