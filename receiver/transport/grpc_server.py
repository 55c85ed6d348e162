"""OTLP/gRPC: a grpc.aio server whose handlers see raw bytes.

In: protobuf bodies, decompressed by gRPC. Out: serialized export responses, or a status that tells a client
to retry or not. A deserializer of gRPC's own is not used: one that fails answers UNKNOWN, and the client
drops the batch. Promised: no exception leaves a handler, and a refusal is sent Trailers-Only, as
``context.abort`` does while nothing else was sent (some clients see a retryable status only there).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_health.v1.health import aio as aio_health
from grpc_reflection.v1alpha import reflection

from receiver.config import LimitsConfig
from receiver.errors import StartError
from receiver.ports import Encoding, ExportRequest, Intake, Transport
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.endpoint import Endpoint, address_of, bind_sockets, parse_endpoint
from receiver.transport.handover import LEAST_WAIT_S, MARGIN_S, Handover
from receiver.transport.responses import export_response

_ATTEMPTS = 8
# Time for answers that are complete to get out, after the last request in hand.
_FLUSH_S = 0.25

_Context = grpc.aio.ServicerContext[bytes, bytes]
_Export = Callable[[bytes, _Context], Awaitable[bytes]]


class GrpcServer:
    """The OTLP/gRPC listener, with health and reflection services.

    Threads: the event loop's thread only; one loop per process, as grpc.aio has one poller per process.
    """

    def __init__(self, intake: Intake, metrics: Metrics, limits: LimitsConfig) -> None:
        """Prepare a listener that hands in to ``intake``; nothing is bound yet."""
        self._limits = limits
        self._handover = Handover(intake, metrics, limits, transport=Transport.GRPC)
        self._health = aio_health.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, endpoint: str) -> list[int]:
        """Accept connections on ``endpoint`` from here on; return the bound ports.

        Args:
            endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.

        Raises:
            ConfigError: The endpoint cannot be read.
            StartError: The port is taken or the address is not of this machine.
        """
        where = parse_endpoint(endpoint)
        server, ports = self._bound(where)
        await self.set_serving(True)
        await server.start()
        self._server = server
        return ports

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks from here on that all services are serving, or that none is."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if serving else states.NOT_SERVING
        for service in ("", *(signal.grpc_service for signal in Signal)):
            await self._health.set(service, state)

    async def stop(self, grace_s: float) -> None:
        """Stop listening and return once no request is in hand, or after ``grace_s`` seconds.

        Requests that are still in hand then get UNAVAILABLE; what the intake took up it finishes by itself.
        Does nothing before ``start``; a second call does nothing.
        """
        server, self._server = self._server, None
        if server is None:
            return
        self._handover.close()
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(server.stop(grace_s))
        drained = asyncio.ensure_future(self._handover.drained())
        await asyncio.wait({stopping, drained}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        # Streams that never end by themselves (health Watch) would use up the grace: a shorter one now.
        await server.stop(_FLUSH_S)
        await stopping

    def _bound(self, where: Endpoint) -> tuple[grpc.aio.Server, list[int]]:
        """Return a server that holds its ports, and the ports.

        gRPC binds by itself and says little when it fails, so that sockets of our own look first.
        """
        for attempt in range(_ATTEMPTS):
            sockets = bind_sockets(where)
            addresses = [address_of(sock) for sock in sockets]
            for sock in sockets:
                sock.close()
            server = self._new_server()
            try:
                return server, [server.add_insecure_port(str(address)) for address in addresses]
            except RuntimeError as error:
                # Another program was quicker between our look and gRPC's own bind.
                if where.port or attempt == _ATTEMPTS - 1:
                    raise StartError(
                        f"gRPC cannot listen on {where}",
                        hint="another program took the port just now; start again",
                    ) from error
        raise AssertionError  # pragma: no cover - the loop above returns or raises

    def _new_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_options(self._limits))
        for signal in Signal:
            handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
                _untyped(self._export_of(signal))
            )
            generic = grpc.method_handlers_generic_handler(signal.grpc_service, {"Export": handler})
            server.add_generic_rpc_handlers((generic,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*(s.grpc_service for s in Signal), HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    def _export_of(self, signal: Signal) -> _Export:
        async def export(body: bytes, context: _Context) -> bytes:
            complete_at = time.perf_counter()
            try:
                return await self._answer(signal, body, context, complete_at)
            except Exception as error:  # noqa: BLE001 - boundary: an exception here would become UNKNOWN
                refusal = self._handover.refuse(error, signal)
            return await context.abort(
                refusal.code, refusal.message, trailing_metadata=refusal.trailing_metadata()
            )

        return export

    async def _answer(self, signal: Signal, body: bytes, context: _Context, complete_at: float) -> bytes:
        wait_s = self._limits.wait_s
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            wait_s = max(LEAST_WAIT_S, min(wait_s, remaining_s - MARGIN_S))
        with self._handover.in_hand() as reservation:
            await reservation.cover(len(body), wait_s=wait_s)
            left_s = max(LEAST_WAIT_S, wait_s - (time.perf_counter() - complete_at))
            request = ExportRequest(signal, body, Encoding.PROTOBUF, Transport.GRPC)
            outcome = await self._handover.accept(request, reservation, wait_s=left_s)
        answer = export_response(signal, outcome, Encoding.PROTOBUF, max_bytes=self._limits.response_bytes)
        self._handover.answered(signal, complete_at)
        return answer


def _untyped(export: _Export) -> Any:
    """Return the handler as the stubs want it: they know synchronous handlers only."""
    return export


def _options(limits: LimitsConfig) -> list[tuple[str, int]]:
    return [
        # Also bounds what a compressed message inflates to (rules G1, G2), from grpcio 1.84 on.
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", limits.response_bytes),
        ("grpc.so_reuseport", 0),  # else a second receiver binds silently and gets half of the connections
        ("grpc.max_concurrent_streams", 128),  # per connection; more wait on the client's side
        # A dead peer is noticed after 80 s; a client's own pings, however eager, are never punished.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
