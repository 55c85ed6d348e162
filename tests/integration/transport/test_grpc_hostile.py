"""Calls that no client library makes: the gRPC listener goes on, and honest clients with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

from receiver.signals import Signal
from tests.integration.transport.conftest import Listeners, export_call
from tests.support import raw_http2

PREFACE = raw_http2.PREFACE + raw_http2.frame(raw_http2.SETTINGS, 0, 0, b"")


def call(stream: int, path: bytes) -> bytes:
    """Return the head of a call, its message, and its end."""
    fields = {b":method": b"POST", b":scheme": b"http", b":path": path, b"te": b"trailers", b"content-type": b"application/grpc"}  # fmt: skip
    block = b"".join(
        bytes((0, len(name))) + name + bytes((len(value),)) + value for name, value in fields.items()
    )
    message = raw_http2.message(b"")
    head = raw_http2.frame(raw_http2.HEADERS, raw_http2.END_HEADERS, stream, block)
    return head + raw_http2.frame(raw_http2.DATA, raw_http2.END_STREAM, stream, message)


async def test_a_path_that_is_not_text_does_not_close_the_port(
    listeners: Listeners, channels: Callable[..., grpc.aio.Channel]
) -> None:
    """GRPC's server ends at such a call; another one listens at once, and calls in hand are answered."""
    listener = await listeners.grpc()
    export = export_call(channels(listener.port))
    listener.intake.block()
    in_hand = asyncio.ensure_future(export(b"in hand", timeout=20))
    await listener.intake.arrived(1)
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(PREFACE + call(1, b"/opentelemetry.\xee/Export"))
        await _goodbye(reader)
        writer.close()
        await _listening(listener.port)
    listener.intake.release()
    assert await in_hand == b""
    assert await export(b"afterwards", timeout=20, wait_for_ready=True) == b""


async def test_20000_streams_that_are_reset_at_once_cost_nothing(
    listeners: Listeners, channels: Callable[..., grpc.aio.Channel]
) -> None:
    """Each begins a call and takes it back; an honest client is answered meanwhile, and nothing stays reserved."""
    listener = await listeners.grpc()
    export = export_call(channels(listener.port))
    reset = b"\x00\x00\x00\x08"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    reading = asyncio.ensure_future(_all_of(reader))
    writer.write(PREFACE)
    try:
        for first in range(0, 20_000, 1000):
            for number in range(first, first + 1000):
                stream = 2 * number + 1
                head = call(stream, Signal.TRACES.grpc_method.encode())
                writer.write(head + raw_http2.frame(raw_http2.RST_STREAM, 0, stream, reset))
            await writer.drain()
            async with asyncio.timeout(10):
                assert await export(b"honest", timeout=10) == b""
    except ConnectionError:
        pass  # gRPC has had enough of this connection
    finally:
        writer.transport.abort()
        await reading
    assert await export(b"honest", timeout=10) == b""
    async with asyncio.timeout(20):
        while listener.intake.used_bytes:  # noqa: ASYNC110 - the budget has no event for it
            await asyncio.sleep(0.01)


async def _goodbye(reader: asyncio.StreamReader) -> None:
    """Return when the server that ends has given the call up."""
    kind = -1
    while kind != raw_http2.RST_STREAM:
        head = await reader.readexactly(9)
        kind = head[3]
        await reader.readexactly(int.from_bytes(head[:3], "big"))


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


async def _all_of(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(1 << 16):
            pass
    except ConnectionError:
        pass
