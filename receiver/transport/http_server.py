"""OTLP/HTTP: the application of ``http_app`` on an endpoint."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from receiver.config import LimitsConfig
from receiver.ports import Intake, Transport
from receiver.telemetry.metrics import Metrics
from receiver.transport.asgi_server import AsgiServer
from receiver.transport.cors import OriginRules
from receiver.transport.handover import Handover
from receiver.transport.http_app import OtlpHttpApp
from receiver.transport.tls import ListenerTls
from receiver.transport.token_check import Verify

KEEP_ALIVE_S = 125.0
"""Twice the 60 s at which SDKs export metrics, and a bit: an idle connection must not close under an export."""


class HttpServer:
    """The OTLP/HTTP listener.

    Threads: the event loop's thread only; large bodies are inflated in worker threads.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        limits: LimitsConfig,
        cors_origins: Sequence[str],
        *,
        tls: ListenerTls | None = None,
        verify: Verify | None = None,
    ) -> None:
        """Prepare a listener that hands in to ``intake``; nothing is bound yet.

        Args:
            intake: Takes the requests.
            metrics: Counts.
            limits: Of a request and of the listener.
            cors_origins: Pages that may send.
            tls: The certificates; None: connections are plain.
            verify: Tells who may send; None: whoever can connect.
        """
        self._handover = Handover(intake, metrics, limits, transport=Transport.HTTP)
        self._leaving = False
        app = OtlpHttpApp(self._handover, limits, OriginRules(cors_origins), verify)
        self._server = AsgiServer(
            app,
            name="OTLP/HTTP",
            connections=limits.http_connections,
            keep_alive_s=KEEP_ALIVE_S,
            overloaded=app.overloaded,
            tls=None if tls is None else tls.context,
        )

    async def start(self, endpoint: str, sockets: Sequence[socket.socket] | None = None) -> list[int]:
        """Accept connections on ``endpoint`` from here on; return the bound ports.

        Args:
            endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.
            sockets: What listens there already; closed by :meth:`stop`.

        Raises:
            ConfigError: The endpoint cannot be read.
            StartError: The port is taken or the address is not of this machine.
        """
        return await self._server.start(endpoint, sockets)

    def leave(self) -> None:
        """Close each connection with its next answer from here on, and refuse nothing in :meth:`stop`."""
        self._leaving = True
        self._server.leave()

    async def stop(self, grace_s: float) -> None:
        """Stop listening and return once no request is in hand, or after ``grace_s`` seconds.

        Requests that are still in hand then get 503; what the intake took up it finishes by itself.
        Does nothing before ``start``; a second call does nothing.
        """
        if not self._leaving:
            self._handover.close()
        await self._server.stop(grace_s)
