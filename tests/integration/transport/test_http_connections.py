"""OTLP/HTTP connections: kept alive, chunked, pipelined, cut, and taken for something else."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress

import anyio
import grpc
import pytest

from receiver.transport.http_protocol import HEAD_TIMEOUT_S
from receiver.transport.http_server import KEEP_ALIVE_S
from tests.integration.transport.conftest import Listeners, export_call
from tests.support import raw_http
from tests.support.raw_http import chunk, request_bytes

PROTOBUF = {"Content-Type": "application/x-protobuf"}
CHUNKED = PROTOBUF | {"Transfer-Encoding": "chunked"}
PATH = "/v1/traces"


async def test_h14_a_connection_serves_many_requests(listeners: Listeners) -> None:
    """After a success and after an error alike."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        for path, status in [(PATH, 200), ("/nowhere", 404), ("/v1/logs", 200), ("/v1/metrics", 200)]:
            answer = await http.request(path, b"abc", headers=PROTOBUF)
            assert answer.status == status
            assert "connection" not in answer.headers


def test_h14_an_idle_connection_outlives_the_export_interval() -> None:
    """SDKs export metrics every 60 s; a connection that closes under an export costs an attempt."""
    assert KEEP_ALIVE_S > 60


@pytest.mark.parametrize("coding", [None, "gzip"])
async def test_h14_chunked_bodies_are_put_together(listeners: Listeners, coding: str | None) -> None:
    """Go and Node send compressed bodies without a length."""
    listener = await listeners.http()
    body = bytes(range(256)) * 100
    wire = gzip.compress(body) if coding else body
    headers = CHUNKED | ({"Content-Encoding": coding} if coding else {})
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=headers))
        for at in range(0, len(wire), 7000):
            await http.write(chunk(wire[at : at + 7000]))
        await http.write(chunk(b""))
        assert (await http.answer()).status == 200
    assert listener.intake.requests[0].body == body


async def test_h14_pipelined_requests_are_answered_in_order(listeners: Listeners) -> None:
    """The second waits for the first."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        first = request_bytes(PATH, b"one", headers=PROTOBUF)
        await http.write(first + request_bytes("/v1/logs", b"two", headers=PROTOBUF))
        assert [(await http.answer()).status for _ in range(2)] == [200, 200]
    assert [request.body for request in listener.intake.requests] == [b"one", b"two"]


async def test_h14_expect_100_continue_is_answered_before_the_body(listeners: Listeners) -> None:
    """Curl asks for it with large bodies."""
    listener = await listeners.http()
    headers = PROTOBUF | {"Expect": "100-continue", "Content-Length": "3"}
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=headers))
        assert (await http.answer()).status == 100
        await http.write(b"abc")
        assert (await http.answer()).status == 200


async def test_h14_a_refused_expectation_ends_the_connection(listeners: Listeners) -> None:
    """The client is told before it sends the body, which nobody knows whether it will."""
    listener = await listeners.http(request_bytes=1000)
    headers = PROTOBUF | {"Expect": "100-continue", "Content-Length": "5000"}
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=headers))
        answer = await http.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await http.closed() == b""


async def test_h14_http_1_0_is_answered_and_closed(listeners: Listeners) -> None:
    """As that version wants it."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        wire = request_bytes(PATH, b"abc", headers=PROTOBUF).replace(b"HTTP/1.1", b"HTTP/1.0")
        await http.write(wire)
        assert (await http.answer()).status == 200
        assert await http.closed() == b""


async def test_h13_a_client_that_leaves_in_the_body_hands_in_nothing(listeners: Listeners) -> None:
    """What it sent so far is given back."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=CHUNKED) + chunk(bytes(50_000)))
        while not listener.intake.used_bytes:  # noqa: ASYNC110 - the budget has no event for it
            await asyncio.sleep(0.001)
    while listener.intake.used_bytes:  # noqa: ASYNC110 - the budget has no event for it
        await asyncio.sleep(0.001)
    assert listener.intake.requests == []


async def test_h13_a_client_that_leaves_after_the_body_does_not_stop_the_commit(listeners: Listeners) -> None:
    """The intake finishes, and only then the bytes are given back."""
    listener = await listeners.http()
    listener.intake.block()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, b"abc", headers=PROTOBUF))
        await listener.intake.arrived(1)
    await anyio.wait_all_tasks_blocked()
    assert listener.intake.used_bytes == 3
    listener.intake.release()
    await listener.intake.done(1)
    await anyio.wait_all_tasks_blocked()
    assert listener.intake.used_bytes == 0


async def test_h15_grpc_on_the_http_port_is_told_where_to_go(listeners: Listeners) -> None:
    """A real gRPC client reads the hint as the details of its call, not a timeout."""
    listener = await listeners.http()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        call = export_call(channel)
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\x0a\x00", timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "4317" in (caught.value.details() or "")
    assert listener.intake.requests == []


@pytest.mark.parametrize(
    "wire",
    [
        b"A" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"name: value\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nname: " + b"A" * 400_000,
        request_bytes(PATH, headers=CHUNKED) + b"3;" + b"A" * 400_000,
        request_bytes(PATH, headers=CHUNKED) + b"0\r\n" + b"name: value\r\n" * 20_000,
    ],
    ids=["no-line", "many-fields", "long-field", "chunk-extension", "trailers"],
)
async def test_a_head_without_end_ends_the_connection(listeners: Listeners, wire: bytes) -> None:
    """Neither the parser nor the header list grows without bound: it ends long before the head's deadline."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http, asyncio.timeout(HEAD_TIMEOUT_S / 2):
        with suppress(ConnectionError):
            await http.write(wire)
        await http.closed()  # the answer may be lost: the client had not stopped writing
    assert listener.intake.requests == []


async def test_h14_a_head_of_sixty_kilobytes_is_served(listeners: Listeners) -> None:
    """The bound leaves room for any honest client."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, PATH, headers=PROTOBUF | {"Baggage": "a" * 60_000})
    assert answer.status == 200


@pytest.mark.parametrize("sent", [b"", b"POST /v1/tr", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(
    listeners: Listeners, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Silent connections do not add up."""
    monkeypatch.setattr("receiver.transport.http_protocol.HEAD_TIMEOUT_S", 0.1)
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(sent)
        await http.closed()


async def test_h11_a_connection_too_many_gets_503_and_is_closed(listeners: Listeners) -> None:
    """Those within the limit are served all the while."""
    listener = await listeners.http(http_connections=2)
    async with raw_http.connection(listener.port) as first, raw_http.connection(listener.port) as second:
        assert (await first.request(PATH, b"", headers=PROTOBUF)).status == 200
        assert (await second.request(PATH, b"", headers=PROTOBUF)).status == 200
        async with raw_http.connection(listener.port) as third:
            answer = await third.request(PATH, b"", headers=PROTOBUF)
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert answer.headers["content-type"] == "application/x-protobuf"
            assert await third.closed() == b""
        assert (await first.request(PATH, b"", headers=PROTOBUF)).status == 200
