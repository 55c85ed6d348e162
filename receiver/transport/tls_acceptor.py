"""Accepts connections on sockets that speak TLS, and lets plaintext in only to be told so.

``loop.create_server(ssl=…)`` would keep one context for ever and drop a plaintext client without a word. Here each
handshake gets the newest context, a failed one is told in the log, and what does not begin like TLS goes on without
it: the protocol's application sees ``http`` as its scheme and answers that ``https`` is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from receiver.transport.endpoint import Endpoint

HANDSHAKE_S = 20.0
"""How long a client may take until its handshake is over, its first byte included."""
_TLS_HANDSHAKE = 0x16  # the first byte of every TLS connection: RFC 8446, 5.1
_ACCEPTS = 64
_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


class TlsAcceptor:
    """Listens from its making until :meth:`close`. Threads: the event loop's thread only."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.BaseProtocol],
        context: Callable[[], ssl.SSLContext],
        *,
        name: str,
        entering: int,
    ) -> None:
        """Accept from here on.

        Args:
            sockets: Listening and non-blocking; closed by :meth:`close`.
            protocol: Makes the protocol of a connection.
            context: Gives the context of the next handshake.
            name: For the log.
            entering: Most connections whose handshake is not over; those above it are closed.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        self._protocol = protocol
        self._context = context
        self._name = name
        self._most = entering
        self._entering: set[asyncio.Task[None]] = set()
        self._again: dict[socket.socket, asyncio.TimerHandle] = {}
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Stop listening and end every handshake; connections that are through stay. A second call does nothing."""
        sockets, self._sockets = self._sockets, []
        for timer in self._again.values():
            timer.cancel()
        for sock in sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        for task in self._entering:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return when no handshake is left."""
        if self._entering:
            await asyncio.wait(self._entering)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS):
            try:
                connection, _peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file handles, no memory: the backlog keeps who comes
                _log.error("%s cannot accept a connection: %s", self._name, error)
                self._loop.remove_reader(listening.fileno())
                self._again[listening] = self._loop.call_later(_AGAIN_S, self._listen_again, listening)
                return
            if len(self._entering) >= self._most:
                connection.close()
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._enter(connection), name=f"{self._name} handshake")
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    def _listen_again(self, listening: socket.socket) -> None:
        del self._again[listening]
        self._loop.add_reader(listening.fileno(), self._accept, listening)

    async def _enter(self, connection: socket.socket) -> None:
        peer, ours = "a client that is gone", True
        try:
            peer = str(Endpoint(*connection.getpeername()[:2]))
            async with asyncio.timeout(HANDSHAKE_S):
                first = await self._first_byte(connection)
                if first is not None:
                    context = self._context() if first == _TLS_HANDSHAKE else None
                    ours = False  # the transport closes it from here on, whatever happens
                    await self._loop.connect_accepted_socket(self._protocol, connection, ssl=context)
        except ssl.SSLError as error:
            _log.warning("%s: no TLS with %s: %s", self._name, peer, error.reason or error)
        except (OSError, TimeoutError) as error:
            _log.debug("%s: %s left during the handshake: %s", self._name, peer, error)
        finally:
            if ours:
                connection.close()

    async def _first_byte(self, connection: socket.socket) -> int | None:
        """Return the first byte without taking it; None if the client closes instead."""
        readable = asyncio.Event()
        self._loop.add_reader(connection.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection.fileno())
        found = connection.recv(1, socket.MSG_PEEK)
        return found[0] if found else None
