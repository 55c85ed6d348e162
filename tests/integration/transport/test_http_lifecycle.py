"""Start and stop of the OTLP/HTTP listener."""

from __future__ import annotations

import asyncio
import signal

import anyio
import pytest
from google.rpc import status_pb2

from receiver.config import LimitsConfig
from receiver.errors import StartError
from receiver.telemetry.metrics import Metrics
from receiver.transport.http_server import HttpServer
from tests.integration.transport.conftest import Listeners
from tests.support import raw_http
from tests.support.intake_double import IntakeDouble
from tests.support.raw_http import request_bytes

PROTOBUF = {"Content-Type": "application/x-protobuf"}
PATH = "/v1/traces"


async def test_localhost_is_both_loopback_addresses_on_one_port(listeners: Listeners) -> None:
    """A client may resolve localhost to either."""
    listener = await listeners.http()
    for host in ("127.0.0.1", "::1"):
        reader, writer = await asyncio.open_connection(host, listener.port)
        writer.write(request_bytes(PATH, headers=PROTOBUF | {"Connection": "close"}))
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()


async def test_a_taken_port_is_one_line_that_says_what_to_do(listeners: Listeners) -> None:
    """A second receiver must not start beside the first."""
    listener = await listeners.http()
    second = HttpServer(IntakeDouble(), Metrics(), LimitsConfig(), ())
    with pytest.raises(StartError, match=rf"localhost:{listener.port} is in use .*choose another") as caught:
        await second.start(f"localhost:{listener.port}")
    assert "\n" not in str(caught.value)
    await second.stop(1.0)


async def test_signal_handlers_are_left_alone(listeners: Listeners) -> None:
    """They belong to the program, not to a listener."""
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    await listeners.http()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_stop_lets_requests_in_hand_finish(listeners: Listeners) -> None:
    """A body that still comes in and an answer that is not out yet, both."""
    listener = await listeners.http()
    listener.intake.block()
    async with raw_http.connection(listener.port) as first, raw_http.connection(listener.port) as second:
        await first.write(request_bytes(PATH, b"abc", headers=PROTOBUF))
        await listener.intake.arrived(1)
        await second.write(request_bytes(PATH, b"a", headers=PROTOBUF | {"Content-Length": "2"}))
        while listener.intake.used_bytes < 4:  # noqa: ASYNC110 - the budget has no event for it
            await asyncio.sleep(0.001)
        stopping = asyncio.create_task(listener.server.stop(30.0))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ConnectionRefusedError):
            await raw_http.request(listener.port, PATH)
        await second.write(b"b")
        listener.intake.release()
        for http in (first, second):
            answer = await http.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await http.closed() == b""
        await stopping


async def test_h9_a_request_that_comes_after_stop_is_503(listeners: Listeners) -> None:
    """The one that waits behind another on its connection is told to come again."""
    listener = await listeners.http()
    listener.intake.block()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, b"abc", headers=PROTOBUF) * 2)
        await listener.intake.arrived(1)
        stopping = asyncio.create_task(listener.server.stop(30.0))
        await anyio.wait_all_tasks_blocked()
        listener.intake.release()
        answers = await http.closed()
        await stopping
    assert [line for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 503 Service Unavailable",
    ]
    assert len(listener.intake.requests) == 1


async def test_an_idle_connection_does_not_hold_up_a_stop(listeners: Listeners) -> None:
    """It is closed at once."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        assert (await http.request(PATH, headers=PROTOBUF)).status == 200
        async with asyncio.timeout(10):
            await listener.server.stop(60.0)
        assert await http.closed() == b""


async def test_h9_the_end_of_the_grace_is_503_and_the_intake_goes_on(listeners: Listeners) -> None:
    """Never the 500 that a cancelled application means to uvicorn: the client would drop its data."""
    listener = await listeners.http()
    listener.intake.block()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, b"abc", headers=PROTOBUF))
        await listener.intake.arrived(1)
        await listener.server.stop(0.05)
        answer = await http.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert status_pb2.Status.FromString(answer.body).code == 14
    listener.intake.release()
    await listener.intake.done(1)


async def test_stop_may_be_called_twice_and_before_start() -> None:
    """Neither does anything."""
    server = HttpServer(IntakeDouble(), Metrics(), LimitsConfig(), ())
    await server.stop(1.0)
    await server.start("127.0.0.1:0")
    await server.stop(1.0)
    await server.stop(1.0)
