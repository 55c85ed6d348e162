"""OTLP/gRPC: a grpc.aio server whose handlers see raw bytes.

In: protobuf bodies, decompressed by gRPC. Out: serialized export responses, or a status that tells a client
to retry or not. A deserializer of gRPC's own is not used: one that fails answers UNKNOWN, and the client
drops the batch. Promised: no exception leaves a handler, and a refusal is sent Trailers-Only, as
``context.abort`` does while nothing else was sent (some clients see a retryable status only there).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_health.v1.health import aio as aio_health
from grpc_reflection.v1alpha import reflection

from receiver.config import LimitsConfig
from receiver.errors import StartError, UnauthenticatedError
from receiver.ports import Encoding, ExportRequest, Intake, Transport
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.endpoint import Endpoint, parse_endpoint
from receiver.transport.grpc_admission import Exports, Handler
from receiver.transport.grpc_ports import BoundServer, bind_server
from receiver.transport.handover import LEAST_WAIT_S, MARGIN_S, Handover
from receiver.transport.responses import export_response
from receiver.transport.tls import ListenerTls
from receiver.transport.token_check import Verify

# Time for answers that are complete to get out, after the last request in hand.
_FLUSH_S = 0.25
# A client that sends all the time has its next request here within this long after an answer.
_QUIET_S = 0.03
_LEAVE_S = 0.15
# From the server's stop until its GOAWAY has been read by clients of the same machine.
_GOODBYE_S = 0.02
# Between two looks whether gRPC's server still runs, and how long calls of one that does not may take to end.
_LOOK_S = 0.1
_ENDING_S = 10.0

_log = logging.getLogger(__name__)

_Context = grpc.aio.ServicerContext[bytes, bytes]
_Export = Callable[[bytes, _Context], Awaitable[bytes]]


class GrpcServer:
    """The OTLP/gRPC listener, with health and reflection services.

    Threads: the event loop's thread only; one loop per process, as grpc.aio has one poller per process.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        limits: LimitsConfig,
        *,
        tls: ListenerTls | None = None,
        verify: Verify | None = None,
    ) -> None:
        """Prepare a listener that hands in to ``intake``; nothing is bound yet.

        Args:
            intake: Takes the requests.
            metrics: Counts.
            limits: Of a request and of the listener.
            tls: The certificates; None: connections are plain.
            verify: Tells who may export; None: whoever can connect. Health and reflection are for everybody.
        """
        self._limits = limits
        self._tls = tls
        self._verify = verify
        self._handover = Handover(intake, metrics, limits, transport=Transport.GRPC)
        self._health = aio_health.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._watching: asyncio.Task[None] | None = None
        self._died: dict[grpc.aio.Server, asyncio.Task[None]] = {}
        self._last_at = 0.0
        self._gone: asyncio.Event | None = None
        """While it leaves: set when its clients know that they have to go elsewhere."""

    async def start(self, endpoint: str, bound: BoundServer | None = None) -> list[int]:
        """Accept connections on ``endpoint`` from here on; return the bound ports.

        Args:
            endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.
            bound: What has these ports already; with our certificates, where we have some.

        Raises:
            ConfigError: The endpoint cannot be read.
            StartError: The port is taken or the address is not of this machine.
        """
        bound = bound or bind_server(endpoint, self._limits, self._tls)
        self._equip(bound.server)
        await self.set_serving(True)
        await bound.server.start()
        self._server = bound.server
        where = Endpoint(parse_endpoint(endpoint).host, bound.ports[0])
        self._watching = asyncio.create_task(self._keep_alive(where), name="grpc-watch")
        return bound.ports

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks from here on that all services are serving, or that none is."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if serving else states.NOT_SERVING
        for service in ("", *(signal.grpc_service for signal in Signal)):
            await self._health.set(service, state)

    async def leave(self, grace_s: float) -> None:
        """Stop, while another process listens on the same ports, so that no client notices.

        gRPC answers CANCELLED to a request that comes between its stop and the client's reading of GOAWAY. So for
        a moment requests are done and not answered: a client that waits for an answer sends no other. Then comes
        GOAWAY, and the answers after it. See :meth:`stop`.
        """
        if self._server is None:
            return
        self._gone = asyncio.Event()
        deadline = time.perf_counter() + _LEAVE_S
        quiet_at = time.perf_counter() + _QUIET_S
        while (now := time.perf_counter()) < min(quiet_at, deadline):
            await asyncio.sleep(quiet_at - now)
            quiet_at = self._last_at + _QUIET_S
        await self.stop(grace_s)

    async def stop(self, grace_s: float) -> None:
        """Stop listening and return once no request is in hand, or after ``grace_s`` seconds.

        Requests that are still in hand then get UNAVAILABLE; what the intake took up it finishes by itself.
        Does nothing before ``start``; a second call does nothing.
        """
        server, self._server = self._server, None
        if server is None:
            return
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self._gone is None:
            self._handover.close()
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(server.stop(grace_s))
        if self._gone is not None:
            await asyncio.sleep(_GOODBYE_S)
            self._gone.set()
        drained = asyncio.ensure_future(self._handover.drained())
        await asyncio.wait({stopping, drained}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        # Streams that never end by themselves (health Watch) would use up the grace: a shorter one now.
        await asyncio.gather(*(each.stop(_FLUSH_S) for each in (server, *self._died)))
        await asyncio.gather(stopping, *self._died.values())

    async def _keep_alive(self, where: Endpoint) -> None:
        """Put a new server in the place of one that has died.

        The loop of grpc.aio's server ends with an exception at a call whose path is not UTF-8 (grpcio 1.85), and
        the server shuts down: anybody who can connect could close the port for good. Calls in hand are finished
        by the old one; its clients are told to connect again.
        """
        while True:
            await asyncio.sleep(_LOOK_S)
            died = self._server
            if died is None or died._server.is_running():  # type: ignore[attr-defined]  # noqa: SLF001 - else it tells nobody
                continue
            try:
                bound = bind_server(str(where), self._limits, self._tls)
            except StartError:  # its port is not closed yet
                continue
            self._equip(bound.server)
            await bound.server.start()
            self._server = bound.server
            _log.warning("gRPC's server stopped at a call that it cannot read; another one listens")
            self._died[died] = ending = asyncio.create_task(died.stop(_ENDING_S))
            ending.add_done_callback(partial(self._forget, died))

    def _forget(self, died: grpc.aio.Server, _ending: asyncio.Task[None]) -> None:
        del self._died[died]

    def _equip(self, server: grpc.aio.Server) -> None:
        exports: dict[str, tuple[Signal, Handler]] = {
            signal.grpc_method: (
                signal,
                grpc.unary_unary_rpc_method_handler(_untyped(self._export_of(signal))),
            )
            for signal in Signal
        }
        server.add_generic_rpc_handlers((Exports(exports, self._verify, self._unverified),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*(s.grpc_service for s in Signal), HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    def _export_of(self, signal: Signal) -> _Export:
        async def export(body: bytes, context: _Context) -> bytes:
            complete_at = self._last_at = time.perf_counter()
            try:
                answer = await self._answer(signal, body, context, complete_at)
            except Exception as error:  # noqa: BLE001 - boundary: an exception here would become UNKNOWN
                refusal = self._handover.refuse(error, signal)
                # gRPC keeps what abort() raises, and with it this frame, until the collector of cycles comes.
                body = b""
            else:
                if self._gone is not None:
                    await self._gone.wait()
                return answer
            return await context.abort(
                refusal.code, refusal.message, trailing_metadata=refusal.trailing_metadata()
            )

        return export

    def _unverified(self, signal: Signal, error: UnauthenticatedError) -> Handler:
        """Return the handler of a call that may not pass: it answers at once and never asks for the message."""

        async def refuse(_messages: object, context: _Context) -> bytes:
            refusal = self._handover.refuse(error, signal)
            return await context.abort(
                refusal.code, refusal.message, trailing_metadata=refusal.trailing_metadata()
            )

        return grpc.stream_unary_rpc_method_handler(_untyped(refuse))

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
