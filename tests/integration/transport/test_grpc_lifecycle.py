"""Start, health, reflection and stop of the OTLP/gRPC listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from receiver.config import LimitsConfig, ListenConfig
from receiver.errors import StartError
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.endpoint import parse_endpoint
from receiver.transport.grpc_server import GrpcServer
from tests.integration.transport.conftest import Listener, Listeners, export_call
from tests.support.intake_double import IntakeDouble

Channels = Callable[..., grpc.aio.Channel]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str) -> int:
    """Ask the health service."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    answer: health_pb2.HealthCheckResponse = await check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


def server_of(listener: Listener) -> GrpcServer:
    """Return the listener's server as what it is."""
    assert isinstance(listener.server, GrpcServer)
    return listener.server


def test_g8_the_default_port_is_4317() -> None:
    """What exporters try when nobody tells them anything is what is bound."""
    assert parse_endpoint(ListenConfig().grpc_endpoint).port == 4317


async def test_localhost_is_both_loopback_addresses_on_one_port(
    listeners: Listeners, channels: Channels
) -> None:
    """A client may resolve localhost to either."""
    listener = await listeners.grpc()
    async with grpc.aio.insecure_channel(f"[::1]:{listener.port}") as channel:
        assert await export_call(channel)(b"") == b""
    assert await export_call(channels(listener.port))(b"") == b""


async def test_a_taken_port_is_one_line_that_says_what_to_do(listeners: Listeners) -> None:
    """A second receiver must not share the port silently."""
    listener = await listeners.grpc()
    second = GrpcServer(IntakeDouble(), Metrics(), LimitsConfig())
    with pytest.raises(
        StartError, match=rf"127\.0\.0\.1:{listener.port} is in use .*choose another"
    ) as caught:
        await second.start(f"127.0.0.1:{listener.port}")
    assert "\n" not in str(caught.value)
    await second.stop(1.0)


async def test_nobody_else_can_share_the_port(listeners: Listeners) -> None:
    """The default of gRPC lets a second program bind it silently and take half of the connections."""
    listener = await listeners.grpc()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", listener.port))


async def test_health_names_the_server_and_the_three_services(
    listeners: Listeners, channels: Channels
) -> None:
    """All are serving after start and follow set_serving."""
    listener = await listeners.grpc()
    channel = channels(listener.port)
    services = ["", *(signal.grpc_service for signal in Signal)]
    assert [await health(channel, service) for service in services] == [SERVING] * 4
    await server_of(listener).set_serving(False)
    assert [await health(channel, service) for service in services] == [NOT_SERVING] * 4
    await server_of(listener).set_serving(True)
    assert await health(channel, "") == SERVING


async def test_reflection_lists_the_services(listeners: Listeners, channels: Channels) -> None:
    """Grpcurl and its like find what is served."""
    listener = await listeners.grpc()
    info = channels(listener.port).stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = info(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    listed = {service.name async for answer in call for service in answer.list_services_response.service}
    assert {signal.grpc_service for signal in Signal} <= listed
    assert "grpc.health.v1.Health" in listed


async def test_stop_lets_requests_in_hand_finish(listeners: Listeners, channels: Channels) -> None:
    """What came before the stop is answered as if nothing happened."""
    listener = await listeners.grpc()
    listener.intake.block()
    call = export_call(channels(listener.port))
    in_hand = asyncio.ensure_future(call(b"\x0a\x00"))
    await listener.intake.arrived(1)
    stopping = asyncio.create_task(listener.server.stop(30.0))
    await anyio.wait_all_tasks_blocked()
    listener.intake.release()
    assert await in_hand == b""
    await stopping


async def test_g4_requests_after_stop_are_unavailable(listeners: Listeners, channels: Channels) -> None:
    """A new call on an open connection, and one on a new connection, may be retried."""
    listener = await listeners.grpc()
    listener.intake.block()
    call = export_call(channels(listener.port))
    in_hand = asyncio.ensure_future(call(b"\x0a\x00"))
    await listener.intake.arrived(1)
    stopping = asyncio.create_task(listener.server.stop(30.0))
    await anyio.wait_all_tasks_blocked()
    for late in (call, export_call(channels(listener.port))):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late(b"\x0a\x00")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    listener.intake.release()
    await in_hand
    await stopping
    assert len(listener.intake.requests) == 1


async def test_the_end_of_the_grace_answers_unavailable_and_the_intake_goes_on(
    listeners: Listeners, channels: Channels
) -> None:
    """A request that takes too long may be retried, and its commit is not cut off."""
    listener = await listeners.grpc()
    listener.intake.block()
    in_hand = asyncio.ensure_future(export_call(channels(listener.port))(b"\x0a\x00"))
    await listener.intake.arrived(1)
    await listener.server.stop(0.05)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await in_hand
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    listener.intake.release()
    await listener.intake.done(1)


async def test_stop_does_not_wait_for_those_who_watch_the_health(
    listeners: Listeners, channels: Channels
) -> None:
    """A Watch stream never ends by itself; it hears NOT_SERVING and does not use up the grace."""
    listener = await listeners.grpc()
    watching: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
    watching = channels(listener.port).unary_stream("/grpc.health.v1.Health/Watch")
    watch = watching(b"")
    assert await watch.read() == health_pb2.HealthCheckResponse(status=SERVING).SerializeToString()
    async with asyncio.timeout(10):
        await listener.server.stop(60.0)
    assert await watch.read() == health_pb2.HealthCheckResponse(status=NOT_SERVING).SerializeToString()


async def test_stop_may_be_called_twice_and_before_start() -> None:
    """Neither does anything."""
    server = GrpcServer(IntakeDouble(), Metrics(), LimitsConfig())
    await server.stop(1.0)
    await server.start("127.0.0.1:0")
    await server.stop(1.0)
    await server.stop(1.0)
