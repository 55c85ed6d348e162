"""A gRPC server that has its ports and accepts nobody yet: clients wait in the kernel's queue until it starts."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from receiver.config import LimitsConfig
from receiver.errors import StartError
from receiver.transport.endpoint import address_of, bind_sockets, parse_endpoint
from receiver.transport.grpc_admission import server_credentials
from receiver.transport.tls import ListenerTls

STREAMS = 1_000
"""Calls of one connection at a time. What is above it waits in the client, which lets later calls go first: with 256 under way
and room for 128, one call in a hundred took half a second and the slowest eight."""
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class BoundServer:
    """A server without handlers, not started; dropping it closes its ports."""

    server: grpc.aio.Server
    ports: list[int]


def bind_server(
    endpoint: str, limits: LimitsConfig, tls: ListenerTls | None = None, *, beside: bool = False
) -> BoundServer:
    """Return a server that holds the ports of ``endpoint``.

    gRPC binds by itself and says little when it fails, so that sockets of our own look first.

    Args:
        endpoint: ``host:port``; ``localhost`` binds 127.0.0.1 and, where present, ::1 on one port.
        limits: Of requests and answers.
        tls: The certificates; None: connections are plain.
        beside: Listen beside a process that shares the ports (:mod:`receiver.transport.shared_ports`).

    Raises:
        ConfigError: The endpoint cannot be read.
        StartError: The port is taken or the address is not of this machine.

    Threads: that of a running event loop.
    """
    where = parse_endpoint(endpoint)
    for attempt in range(_ATTEMPTS):
        sockets = bind_sockets(where, beside=beside, listening=False)
        addresses = [str(address_of(sock)) for sock in sockets]
        for sock in sockets:
            sock.close()
        server = grpc.aio.server(options=_options(limits, beside=beside))
        try:
            return BoundServer(server, [_add_port(server, address, tls) for address in addresses])
        except RuntimeError as error:
            # Another program was quicker between our look and gRPC's own bind.
            if where.port or attempt == _ATTEMPTS - 1:
                raise StartError(
                    f"gRPC cannot listen on {where}",
                    hint="another program took the port just now; start again",
                ) from error
    raise AssertionError  # pragma: no cover - the loop above returns or raises


def _add_port(server: grpc.aio.Server, address: str, tls: ListenerTls | None) -> int:
    if tls is None:
        return server.add_insecure_port(address)
    # Credentials of its own for each port: gRPC asks once for each whether there is something new.
    return server.add_secure_port(address, server_credentials(tls))


def _options(limits: LimitsConfig, *, beside: bool) -> list[tuple[str, int]]:
    return [
        # Also bounds what a compressed message inflates to (rules G1, G2), from grpcio 1.84 on.
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", limits.response_bytes),
        # Else a second receiver binds silently and gets half of the connections.
        ("grpc.so_reuseport", int(beside)),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.server_handshake_timeout_ms", 20_000),  # who has not even greeted by then is no client
        # A dead peer is noticed after 80 s; a client's own pings, however eager, are never punished.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
