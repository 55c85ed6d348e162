"""What is left of a refused request: nothing that only the collector of cyclic garbage would free.

Such bodies are in no budget any more, and the collector comes by the number of objects, not by their size.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from receiver.app.receiver import Receiver
from receiver.config import EmbedConfig, ListenConfig, Settings
from receiver.signals import Signal

_LARGE = 1 << 20
_NO_JSON = b'{"resourceSpans": [' + b'"span", ' * (4 * _LARGE // 8)
_NO_PROTOBUF = b"\xff" * 4 * _LARGE
_NO_MORE_PROTOBUF = b"\x0a\xff\xff\xff\x7f" + bytes(4 * _LARGE)
_CUT_GZIP = gzip.compress(bytes(range(256)) * (4 * _LARGE // 256) + _NO_PROTOBUF, 0)[:-100]


@pytest.fixture
async def addresses(tmp_path: Path) -> AsyncIterator[Mapping[str, str]]:
    """Yield where a receiver in this process listens."""
    anywhere = "127.0.0.1:0"
    receiver = Receiver(
        Settings(
            data_dir=str(tmp_path / "data"),
            listen=ListenConfig(grpc_endpoint=anywhere, http_endpoint=anywhere, query_endpoint=anywhere),
            embed=EmbedConfig(enabled=False),
        )
    )
    yield await receiver.start()
    await receiver.stop()


@pytest.fixture
def collected_at_the_end() -> Iterator[None]:
    """Keep the collector away meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collected_at_the_end")
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (_NO_JSON, {"content-type": "application/json"}),
        (_NO_PROTOBUF, {"content-type": "application/x-protobuf"}),
        (_NO_MORE_PROTOBUF, {"content-type": "application/x-protobuf"}),
        (_CUT_GZIP, {"content-type": "application/x-protobuf", "content-encoding": "gzip"}),
    ],
    ids=["JSON", "protobuf", "cut protobuf", "cut gzip"],
)
async def test_a_body_that_http_refuses_is_gone(
    addresses: Mapping[str, str], body: bytes, headers: dict[str, str]
) -> None:
    """Neither the body nor what was read from it is held by garbage."""
    request = urllib.request.Request(f"http://{addresses['OTLP/HTTP']}/v1/traces", data=body, headers=headers)
    assert await asyncio.to_thread(_status, request) == 400
    assert _large_garbage(body) == []


@pytest.mark.usefixtures("collected_at_the_end")
@pytest.mark.parametrize("body", [_NO_PROTOBUF, _NO_MORE_PROTOBUF], ids=["protobuf", "cut protobuf"])
async def test_a_body_that_grpc_refuses_is_gone(addresses: Mapping[str, str], body: bytes) -> None:
    """Neither the body nor what was read from it is held by garbage."""
    async with grpc.aio.insecure_channel(addresses["OTLP/gRPC"]) as channel:
        export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            Signal.TRACES.grpc_method
        )
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await export(body, timeout=30)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _large_garbage(body) == []


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def _large_garbage(sent: bytes) -> list[tuple[str, int]]:
    """Return what garbage holds that is large: its holder's type, and its size; the client's own copy does not count."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [
            (repr(holder)[:200], len(held))
            for holder in gc.garbage
            for held in gc.get_referents(holder)
            if isinstance(held, bytes | bytearray | str) and len(held) >= _LARGE and held is not sent
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
