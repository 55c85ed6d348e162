"""What one OTLP/HTTP request may cost: bytes on the wire, inflated bytes, time, and the shared budget."""

from __future__ import annotations

import asyncio
import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable

import anyio
import pytest
import zstandard
from google.rpc import status_pb2

from tests.integration.transport.conftest import Listeners
from tests.support import raw_http
from tests.support.intake_double import IntakeDouble
from tests.support.raw_http import chunk, request_bytes

PROTOBUF = {"Content-Type": "application/x-protobuf"}
GZIP = PROTOBUF | {"Content-Encoding": "gzip"}
CHUNKED = PROTOBUF | {"Transfer-Encoding": "chunked"}
PATH = "/v1/traces"
MIB = 1 << 20


def zeros(compressor: zlib._Compress | zstandard.ZstdCompressionObj, mebibytes: int) -> bytes:
    """Return that many compressed mebibytes of zeros."""
    block = bytes(MIB)
    pieces = [compressor.compress(block) for _ in range(mebibytes)]
    return b"".join(pieces) + compressor.flush()


async def flood(http: raw_http.RawConnection) -> None:
    """Send chunks for ever."""
    while True:
        await http.write(chunk(bytes(100_000)))


@pytest.mark.parametrize("size", [100_000, 100_001])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate", "zstd"])
async def test_h5_the_limit_holds_for_inflated_bytes_to_the_byte(
    listeners: Listeners, coding: str | None, size: int
) -> None:
    """At the limit a body is accepted, one byte above it is 413, whatever the coding."""
    compress: dict[str | None, Callable[[bytes], bytes]] = {
        None: bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
    }
    listener = await listeners.http(request_bytes=100_000)
    headers = PROTOBUF | ({"Content-Encoding": coding} if coding else {})
    answer = await raw_http.request(listener.port, PATH, compress[coding](bytes(size)), headers=headers)
    assert answer.status == (200 if size == 100_000 else 413)
    assert len(listener.intake.requests) == (size == 100_000)
    assert listener.intake.used_bytes == 0
    if answer.status == 413:
        status = status_pb2.Status.FromString(answer.body)
        assert status.code == 8
        assert "100000" in status.message
        assert not status.details
        assert "retry-after" not in answer.headers


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_h5_a_bomb_of_a_gigabyte_is_413_with_bounded_memory(listeners: Listeners, coding: str) -> None:
    """About a megabyte on the wire stops at the limit, in memory too."""
    compressor = (
        zstandard.ZstdCompressor(level=1).compressobj()
        if coding == "zstd"
        else zlib.compressobj(1, wbits=31 if coding == "gzip" else 15)
    )
    wire = zeros(compressor, 1024)
    listener = await listeners.http(request_bytes=8 * MIB)
    assert len(wire) < 8 * MIB
    tracemalloc.start()
    try:
        answer = await raw_http.request(
            listener.port, PATH, wire, headers=PROTOBUF | {"Content-Encoding": coding}
        )
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak_bytes < len(wire) * 3 + 16 * MIB
    assert listener.intake.used_bytes == 0


async def test_h5_incompressible_data_is_inflated_whole(listeners: Listeners) -> None:
    """A large gzip body that takes many pieces arrives as it was."""
    listener = await listeners.http()
    body = os.urandom(5 * MIB) + bytes(5 * MIB)
    answer = await raw_http.request(listener.port, PATH, gzip.compress(body, 1), headers=GZIP)
    assert answer.status == 200
    assert listener.intake.requests[0].body == body


async def test_h5_a_declared_length_over_the_limit_is_413_before_the_body(listeners: Listeners) -> None:
    """The client hears it at once."""
    listener = await listeners.http(request_bytes=1000)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=PROTOBUF | {"Content-Length": "1001"}))
        assert (await http.answer()).status == 413


async def test_h5_a_client_that_sends_first_and_reads_later_gets_its_413(listeners: Listeners) -> None:
    """The rest of the body is thrown away, so that no reset hides the answer; the connection goes on."""
    listener = await listeners.http(request_bytes=1000)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, bytes(4 * MIB), headers=PROTOBUF))
        assert (await http.answer()).status == 413
        assert (await http.request(PATH, b"", headers=PROTOBUF)).status == 200


async def test_h5_a_chunked_body_without_end_is_413(listeners: Listeners) -> None:
    """No length is needed to see that it is too much."""
    listener = await listeners.http(request_bytes=100_000)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=CHUNKED))
        for _ in range(3):
            await http.write(chunk(bytes(50_000)))
        assert (await http.answer()).status == 413
    assert listener.intake.used_bytes == 0


async def test_h5_after_the_answer_only_so_much_is_thrown_away(
    listeners: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that never ends loses its connection."""
    monkeypatch.setattr("receiver.transport.http_protocol.DISCARD_BYTES", MIB)
    listener = await listeners.http(request_bytes=1000)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=CHUNKED))
        with pytest.raises(ConnectionError):
            await flood(http)


async def test_h13_a_length_that_lies_hands_in_nothing(listeners: Listeners) -> None:
    """A client that declares more than it sends and leaves is a client that left."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, b"abc", headers=PROTOBUF | {"Content-Length": "10"}))
        await anyio.wait_all_tasks_blocked()
    await anyio.wait_all_tasks_blocked()
    await listener.server.stop(5.0)
    assert listener.intake.requests == []
    assert listener.intake.used_bytes == 0


async def test_h5_a_length_that_is_too_small_ends_the_body_there(listeners: Listeners) -> None:
    """What follows is no request and is refused as such; it is not taken for a part of the body."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, b"abcdef", headers=PROTOBUF | {"Content-Length": "3"}))
        answers = await http.closed()
    assert [request.body for request in listener.intake.requests] in ([b"abc"], [])
    assert b"HTTP/1.1 400 Bad Request" in answers


@pytest.mark.parametrize("sent", [b"", b"ab"], ids=["silent", "slow"])
async def test_h9_a_body_that_takes_too_long_is_408_and_the_end(listeners: Listeners, sent: bytes) -> None:
    """Silence and slowness have one deadline; no OTLP client repeats a 408."""
    listener = await listeners.http(body_timeout_s=0.2)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, sent, headers=PROTOBUF | {"Content-Length": "10"}))
        answer = await http.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "0.2 s" in status_pb2.Status.FromString(answer.body).message
        assert await http.closed() == b""
    assert listener.intake.used_bytes == 0


async def test_h9_dripping_bytes_do_not_move_the_deadline(listeners: Listeners) -> None:
    """One byte now and then keeps nothing alive."""
    listener = await listeners.http(body_timeout_s=0.3)
    async with raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=PROTOBUF | {"Content-Length": "1000000"}))

        async def drip() -> None:
            while True:
                await http.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await http.answer()).status == 408
        dripping.cancel()


async def test_h11_a_used_up_budget_is_503_while_the_body_grows(listeners: Listeners) -> None:
    """A body that finds no room is given up on, and what it held is given back."""
    listener = await listeners.http(IntakeDouble(budget_bytes=100_000), wait_s=0.05)
    async with listener.intake.budget.held(50_000, wait_s=1), raw_http.connection(listener.port) as http:
        await http.write(request_bytes(PATH, headers=CHUNKED))
        for _ in range(4):
            await http.write(chunk(bytes(20_000)))
        answer = await http.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert listener.intake.used_bytes == 50_000
    assert listener.intake.requests == []
    labels = {"signal": "traces", "transport": "http", "reason": "busy"}
    assert listener.sample("otlp_receiver_refused_requests_total", **labels) == 1


async def test_h11_inflated_bytes_are_counted_in_the_budget(listeners: Listeners) -> None:
    """What a body inflates to needs room as well."""
    listener = await listeners.http(IntakeDouble(budget_bytes=100_000), wait_s=0.05)
    async with listener.intake.budget.held(50_000, wait_s=1):
        answer = await raw_http.request(listener.port, PATH, gzip.compress(bytes(60_000)), headers=GZIP)
    assert answer.status == 503


async def test_a_body_waits_for_room_and_the_client_is_not_blamed(listeners: Listeners) -> None:
    """A request that waits longer than the body may take is accepted when there is room."""
    listener = await listeners.http(IntakeDouble(budget_bytes=100_000), wait_s=30, body_timeout_s=0.5)
    async with raw_http.connection(listener.port) as http:
        async with listener.intake.budget.held(100_000, wait_s=1):
            await http.write(request_bytes(PATH, b"a", headers=PROTOBUF | {"Content-Length": "2"}))
            await asyncio.sleep(0.7)  # longer than body_timeout_s: what this test is about
        await http.write(b"b")
        assert (await http.answer()).status == 200
    assert listener.intake.waits_s[0] < 29.9


async def test_the_body_stays_reserved_while_the_intake_works(listeners: Listeners) -> None:
    """Bytes are given back when the work is done, also when the answer had to be given before."""
    listener = await listeners.http(wait_s=0.05)
    listener.intake.block()
    answer = await raw_http.request(listener.port, PATH, bytes(1000), headers=PROTOBUF)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert listener.intake.used_bytes == 1000
    listener.intake.release()
    await listener.intake.done(1)
    await anyio.wait_all_tasks_blocked()
    assert listener.intake.used_bytes == 0
