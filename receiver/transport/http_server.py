"""OTLP/HTTP: the application of ``http_app`` on an endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.config import LimitsConfig
from receiver.ports import Intake, Transport
from receiver.telemetry.metrics import Metrics
from receiver.transport.asgi_server import AsgiServer
from receiver.transport.cors import OriginRules
from receiver.transport.handover import Handover
from receiver.transport.http_app import OtlpHttpApp

KEEP_ALIVE_S = 125.0
"""Twice the 60 s at which SDKs export metrics, and a bit: an idle connection must not close under an export."""


class HttpServer:
    """The OTLP/HTTP listener.

    Threads: the event loop's thread only; large bodies are inflated in worker threads.
    """

    def __init__(
        self, intake: Intake, metrics: Metrics, limits: LimitsConfig, cors_origins: Sequence[str]
    ) -> None:
        """Prepare a listener that hands in to ``intake``; nothing is bound yet."""
        self._handover = Handover(intake, metrics, limits, transport=Transport.HTTP)
        app = OtlpHttpApp(self._handover, limits, OriginRules(cors_origins))
        self._server = AsgiServer(
            app,
            name="OTLP/HTTP",
            connections=limits.http_connections,
            keep_alive_s=KEEP_ALIVE_S,
            overloaded=app.overloaded,
        )

    async def start(self, endpoint: str) -> list[int]:
        """Accept connections on ``endpoint`` from here on; return the bound ports.

        Args:
            endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.

        Raises:
            ConfigError: The endpoint cannot be read.
            StartError: The port is taken or the address is not of this machine.
        """
        return await self._server.start(endpoint)

    async def stop(self, grace_s: float) -> None:
        """Stop listening and return once no request is in hand, or after ``grace_s`` seconds.

        Requests that are still in hand then get 503; what the intake took up it finishes by itself.
        Does nothing before ``start``; a second call does nothing.
        """
        self._handover.close()
        await self._server.stop(grace_s)
