"""Ports of all listeners that are bound and wait: who connects is in the kernel's queue until somebody accepts."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from receiver.app.protection import Protection
from receiver.config import Settings
from receiver.transport.endpoint import BACKLOG, address_of, bind_sockets, parse_endpoint
from receiver.transport.grpc_ports import BoundServer, bind_server
from receiver.transport.shared_ports import take_connections


@dataclass
class BoundPorts:
    """The ports of one receiver, from before anybody is accepted. Threads: one event loop's."""

    protection: Protection
    """Its files are read before a port is bound: a server that is bound knows its certificates."""
    grpc: BoundServer | None = None
    http: list[socket.socket] = field(default_factory=list)
    query: list[socket.socket] = field(default_factory=list)

    @classmethod
    async def beside(cls, settings: Settings) -> BoundPorts:
        """Return ports beside a receiver that shares them; every new connection comes here from now on.

        Raises:
            StartError: Nobody shares a port that is taken, or an address is not of this machine. Nothing stays
                bound, and no connection was lost.
            ConfigError: An endpoint, a certificate or the tokens cannot be read.
        """
        bound = cls(Protection(settings))
        listen = settings.listen
        try:
            # None of them listens before all are ours: a connection to a port that is given up again is lost.
            probes = _reserved(listen.grpc_endpoint)
            try:
                bound.http, bound.query = _reserved(listen.http_endpoint), _reserved(listen.query_endpoint)
            finally:
                for sock in probes:
                    sock.close()
            await bound.protection.read()
            if listen.grpc_endpoint:
                tls = bound.protection.tls("grpc")
                bound.grpc = bind_server(listen.grpc_endpoint, settings.limits, tls, beside=True)
            for sock in (*bound.http, *bound.query):
                sock.listen(BACKLOG)
            take_connections(bound.numbers)
        except BaseException:
            bound.close()
            raise
        return bound

    def take(self, settings: Settings) -> None:
        """Bind and listen on what is configured and not bound yet; the files of ``protection`` are read.

        Raises:
            StartError: A port is taken, or an address is not of this machine; :meth:`close` gives the others up.
            ConfigError: An endpoint cannot be read.
        """
        listen = settings.listen
        if listen.grpc_endpoint:
            tls = self.protection.tls("grpc")
            self.grpc = self.grpc or bind_server(listen.grpc_endpoint, settings.limits, tls)
        if listen.http_endpoint:
            self.http = self.http or bind_sockets(parse_endpoint(listen.http_endpoint))
        if listen.query_endpoint:
            self.query = self.query or bind_sockets(parse_endpoint(listen.query_endpoint))

    @property
    def numbers(self) -> set[int]:
        """Return the port numbers."""
        return {
            *(self.grpc.ports if self.grpc else ()),
            *(address_of(sock).port for sock in (*self.http, *self.query)),
        }

    def close(self) -> None:
        """Give the ports up; of those that a listener has, the listener's stop comes first."""
        self.grpc = None
        for sock in (*self.http, *self.query):
            sock.close()


def _reserved(endpoint: str) -> list[socket.socket]:
    return bind_sockets(parse_endpoint(endpoint), beside=True, listening=False) if endpoint else []
