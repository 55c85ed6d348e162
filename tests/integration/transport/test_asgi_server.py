"""The server that runs any ASGI application, and the sockets that it binds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from receiver.errors import StartError
from receiver.transport.asgi_server import AsgiServer, Receive, Send
from receiver.transport.endpoint import Endpoint, address_of, bind_sockets
from tests.support import raw_http


class Greeter:
    """Answers 200 when it is let go."""

    def __init__(self) -> None:
        """Answer at once until told otherwise."""
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, _scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.entered.set()
        await self.go_on.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hi"})


@asynccontextmanager
async def served(app: Greeter, *, connections: int = 10) -> AsyncIterator[tuple[AsgiServer, int]]:
    """Serve an application for the length of the block."""
    server = AsgiServer(app, name="test", connections=connections, keep_alive_s=60)
    ports = await server.start("127.0.0.1:0")
    try:
        yield server, ports[0]
    finally:
        await server.stop(5.0)


async def test_sockets_accept_when_start_returns() -> None:
    """No client has to try twice."""
    async with served(Greeter()) as (_, port):
        assert (await raw_http.request(port, "/any", method="GET")).body == b"hi"


async def test_a_cancelled_application_is_a_bare_503() -> None:
    """What exceeds the grace is told to come again, not that it failed."""
    app = Greeter()
    app.go_on.clear()
    async with served(app) as (server, port), raw_http.connection(port) as http:
        await http.write(raw_http.request_bytes("/", method="GET"))
        await app.entered.wait()
        await server.stop(0.05)
        answer = await http.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert await http.closed() == b""


async def test_a_connection_too_many_is_a_bare_503() -> None:
    """Without an application for it the server answers itself."""
    async with served(Greeter(), connections=1) as (_, port), raw_http.connection(port) as first:
        assert (await first.request("/", method="GET")).status == 200
        assert (await raw_http.request(port, "/", method="GET")).status == 503


async def test_a_stopped_server_can_be_started_again() -> None:
    """Nothing of the first run is left."""
    server = AsgiServer(Greeter(), name="test", connections=10, keep_alive_s=60)
    for _ in range(2):
        port = (await server.start("127.0.0.1:0"))[0]
        assert (await raw_http.request(port, "/", method="GET")).status == 200
        await server.stop(5.0)


def test_localhost_binds_ipv4_first_and_ipv6_on_the_same_port() -> None:
    """Both accept; the second listener of the same kind does not come up."""
    sockets = bind_sockets(Endpoint("localhost", 0))
    try:
        addresses = [address_of(sock) for sock in sockets]
        assert [address.host for address in addresses] == ["127.0.0.1", "::1"]
        assert len({address.port for address in addresses}) == 1
        for address in addresses:
            with pytest.raises(StartError, match="in use"):
                bind_sockets(address)
    finally:
        for sock in sockets:
            sock.close()


def test_a_port_taken_on_ipv6_alone_is_taken_for_localhost() -> None:
    """Half a listener would serve some clients and not others; nothing stays bound."""
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"localhost:{port} is in use"):
            bind_sockets(Endpoint("localhost", port))
        for sock in bind_sockets(Endpoint("127.0.0.1", port)):
            sock.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_a_start_error(host: str) -> None:
    """One line says what to use instead."""
    with pytest.raises(StartError, match=r"cannot listen on .*use an address of this machine"):
        bind_sockets(Endpoint(host, 0))


async def test_a_client_that_does_not_read_is_cut_off_at_stop() -> None:
    """When stop returns no connection is left, whatever its buffers hold."""

    async def endless(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        body = bytes(32 << 20)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = AsgiServer(endless, name="test", connections=10, keep_alive_s=60)
    port = (await server.start("127.0.0.1:0"))[0]
    async with raw_http.connection(port) as http:
        await http.write(raw_http.request_bytes("/", method="GET"))
        await http.reader.readexactly(10)
        async with asyncio.timeout(10):
            await server.stop(0.05)
        assert not server._state.connections
