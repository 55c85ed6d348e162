"""Both listeners on real sockets, in front of a double of the intake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
import pytest

from receiver.config import LimitsConfig
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.grpc_server import GrpcServer
from receiver.transport.http_server import HttpServer
from receiver.transport.tls import ListenerTls
from receiver.transport.token_check import Verify
from tests.support.intake_double import IntakeDouble

ORIGINS = ("http://localhost:*", "https://app.example")


def export_call(
    channel: grpc.aio.Channel, method: str = Signal.TRACES.grpc_method
) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return a call that sends and returns raw bytes."""
    return channel.unary_unary(method)


@dataclass
class Listener:
    """One running listener and what stands around it."""

    server: GrpcServer | HttpServer
    port: int
    intake: IntakeDouble
    metrics: Metrics

    def sample(self, name: str, **labels: str) -> float:
        """Return the value of one counter, 0 where it was never touched."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@dataclass
class Listeners:
    """Starts listeners and stops them after the test."""

    running: list[Listener] = field(default_factory=list)

    async def grpc(
        self,
        intake: IntakeDouble | None = None,
        *,
        tls: ListenerTls | None = None,
        verify: Verify | None = None,
        **limits: float,
    ) -> Listener:
        """Start an OTLP/gRPC listener on a free port."""
        intake, metrics = intake or IntakeDouble(), Metrics()
        server = GrpcServer(intake, metrics, _limits(limits), tls=tls, verify=verify)
        return await self._start(server, intake, metrics)

    async def http(
        self,
        intake: IntakeDouble | None = None,
        *,
        tls: ListenerTls | None = None,
        verify: Verify | None = None,
        **limits: float,
    ) -> Listener:
        """Start an OTLP/HTTP listener on a free port."""
        intake, metrics = intake or IntakeDouble(), Metrics()
        server = HttpServer(intake, metrics, _limits(limits), ORIGINS, tls=tls, verify=verify)
        return await self._start(server, intake, metrics)

    async def _start(
        self, server: GrpcServer | HttpServer, intake: IntakeDouble, metrics: Metrics
    ) -> Listener:
        ports = await server.start("localhost:0")
        self.running.append(Listener(server, ports[0], intake, metrics))
        return self.running[-1]


def _limits(values: dict[str, float]) -> LimitsConfig:
    return LimitsConfig.model_validate(values)


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    """Give out listeners; whatever is blocked is let go at the end."""
    started = Listeners()
    yield started
    for listener in started.running:
        listener.intake.release()
        await listener.server.stop(5.0)


@pytest.fixture
async def channels() -> AsyncIterator[Callable[..., grpc.aio.Channel]]:
    """Give out gRPC channels to 127.0.0.1 and close them."""
    opened: list[grpc.aio.Channel] = []

    def channel(port: int, **options: int) -> grpc.aio.Channel:
        pairs = [("grpc.use_local_subchannel_pool", 1), *(("grpc." + k, v) for k, v in options.items())]
        opened.append(grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=pairs))
        return opened[-1]

    yield channel
    for each in opened:
        await each.close()
