"""Any ASGI application on an endpoint: uvicorn's protocol in the caller's loop, with a start and stop of ours.

``uvicorn.Server`` is not used: it takes over SIGINT and SIGTERM, polls ten times a second, and cancels what
exceeds the grace in a way that answers 500. Promised: the sockets accept when ``start`` returns, and when
``stop`` returns no connection and no task is left.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from receiver.transport.endpoint import BACKLOG, address_of, bind_sockets, parse_endpoint
from receiver.transport.http_protocol import BoundedHttpProtocol
from receiver.transport.tls_acceptor import TlsAcceptor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)
# How long answers may take to get out when the grace is over, in seconds.
_FLUSH_S = 1.0
# A connection that was used this long ago may be closed for a new one where there are too many.
_QUIET_S = 5.0
# Connections that are looked at for that, each time.
_LOOKS = 16


class AsgiServer:
    """One application on one endpoint, without lifespan, WebSocket, access log or signal handlers.

    Threads: the event loop's thread only.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str,
        connections: int,
        keep_alive_s: float,
        overloaded: App | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Prepare a listener; nothing is bound yet.

        Args:
            app: Is cancelled at the end of ``stop``'s grace; one that ends silently then is answered with 503.
            name: For the log.
            connections: Open connections. One above it takes the place of one that never sent a request, or not
                for some seconds; where there is none, its request goes to ``overloaded``.
            keep_alive_s: How long a connection may be idle between two requests.
            overloaded: Answers requests there is no room for; by default a bare 503.
            tls: Gives the context of the next handshake; None: connections are plain.
        """
        self._app = app
        self._name = name
        self._connections = connections
        self._overloaded = overloaded or _unavailable
        self._tls = tls
        self._state = ServerState()
        # In the order of their coming; some of them may be gone, or used since.
        self._unused: deque[BoundedHttpProtocol] = deque()
        self._used: deque[BoundedHttpProtocol] = deque()
        self._none_left = asyncio.Event()
        self._leaving = False
        self._servers: list[asyncio.Server | TlsAcceptor] = []
        self._config = Config(
            self._limited,
            http=BoundedHttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what clients do wrong is answered and counted, not logged
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=round(keep_alive_s),
        )
        self._config.load()

    async def start(self, endpoint: str, sockets: Sequence[socket.socket] | None = None) -> list[int]:
        """Accept connections on ``endpoint`` from here on; return the bound ports.

        Args:
            endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.
            sockets: What listens there already; closed by :meth:`stop`.

        Raises:
            ConfigError: The endpoint cannot be read.
            StartError: The port is taken or the address is not of this machine.
        """
        loop = asyncio.get_running_loop()
        sockets = sockets or bind_sockets(parse_endpoint(endpoint))
        ports = [address_of(sock).port for sock in sockets]
        if self._tls is not None:
            entering = self._connections
            acceptor = TlsAcceptor(sockets, self._protocol, self._tls, name=self._name, entering=entering)
            self._servers.append(acceptor)
            return ports
        for sock in sockets:
            self._servers.append(await loop.create_server(self._protocol, sock=sock, backlog=BACKLOG))
        return ports

    def leave(self) -> None:
        """Close each connection with its next answer from here on: another process listens on the same ports."""
        self._leaving = True

    async def stop(self, grace_s: float) -> None:
        """Stop listening and return once every request is answered, or after ``grace_s`` seconds.

        What is in hand then is cancelled. Does nothing before ``start``; a second call does nothing.
        """
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()  # closes it if it is idle, else after the answer
        deadline = time.monotonic() + grace_s
        # A loop, because a pipelined request becomes a task when the one before it is answered.
        while self._state.tasks and (left_s := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._state.tasks, timeout=left_s)
        late = set(self._state.tasks)
        if late:
            _log.warning("%s: %d requests did not end within %g s", self._name, len(late), grace_s)
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_FLUSH_S)
        await self._close_connections()
        for server in servers:
            await server.wait_closed()

    async def _close_connections(self) -> None:
        if not self._state.connections:
            return
        self._none_left.clear()
        # Answers may still be in buffers: close() sends them first. Who does not read is cut off after a while.
        for connection in list(self._state.connections):
            connection.transport.close()
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._none_left.wait()
        except TimeoutError:
            for connection in list(self._state.connections):
                connection.transport.abort()
            await self._none_left.wait()

    def _connection_lost(self) -> None:
        if len(self._unused) + len(self._used) > 2 * len(self._state.connections) + _LOOKS:
            alive = self._state.connections
            self._unused = deque(each for each in self._unused if each in alive)
            self._used = deque(each for each in self._used if each in alive)
        if not self._state.connections:
            self._none_left.set()

    def _make_room(self, newest: BoundedHttpProtocol) -> None:
        """Close an idle connection where there are too many: who holds many open must not keep others out."""
        self._unused.append(newest)
        if len(self._state.connections) <= self._connections:
            return
        while len(self._unused) > 1:
            oldest = self._unused.popleft()
            if oldest.was_used:
                self._used.append(oldest)
            elif oldest.is_idle():
                oldest.transport.close()
                return
        quiet_before = asyncio.get_running_loop().time() - _QUIET_S
        for _ in range(min(_LOOKS, len(self._used))):
            oldest = self._used.popleft()
            if oldest not in self._state.connections:
                continue
            if oldest.is_idle() and oldest.quiet_since < quiet_before:
                oldest.transport.close()
                return
            self._used.append(oldest)

    def _protocol(self) -> BoundedHttpProtocol:
        protocol = BoundedHttpProtocol(config=self._config, server_state=self._state, app_state={})
        protocol.on_lost = self._connection_lost
        protocol.on_made = self._make_room
        return protocol

    async def _limited(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            if self._leaving and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        crowded = len(self._state.connections) > self._connections
        app = self._overloaded if crowded else self._app
        if self._tls is not None and scope["scheme"] != "https":
            app = _tls_wanted
        try:
            await app(scope, receive, watched)
        except asyncio.CancelledError:
            # Only stop() cancels, and nothing comes after this: uvicorn would answer 500, which loses data.
            if not started:
                await _unavailable(scope, receive, send)


async def _tls_wanted(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
    body = b"this port speaks TLS: use https://\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _unavailable(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
    headers = [(b"retry-after", b"2"), (b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
