"""Ports that two processes listen on for a moment, while one takes over from the other. Linux.

A listener excludes every other (:mod:`receiver.transport.endpoint`) until :func:`share`. The process that comes
then binds beside it and calls :func:`take_connections`: from there on every new connection is its own, and the
old listener can be closed as soon as nothing waits to be accepted, without one reset. All of it goes by port
number, because gRPC keeps its sockets to itself. Source: socket(7), net/core/sock_reuseport.c,
net/ipv4/inet_connection_sock.c, and docs/adr/0013.
"""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN = 0x06  # BPF_RET | BPF_K
_NEWEST = 1  # the group has two sockets, in the order in which they began to listen
_TCP_INFO_BYTES = 104
_WAITING_AT = 24  # tcpi_unacked: for a listener the connections that nobody has accepted yet
_ANOTHER_LOOPBACK = "127.0.0.2"


def can_share() -> bool:
    """Return True where the functions of this module work."""
    return sys.platform == "linux"


def share(ports: Collection[int]) -> None:
    """Let another process of the same user listen on these ports of ours too. Blocks for /proc."""
    for sock in _listening(ports):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def stop_sharing(ports: Collection[int]) -> None:
    """Exclude every other listener again. Blocks for /proc.

    A port that was shared may be shared by whoever asks next, until it is bound once without: here on another
    loopback address, which is not possible beside a listener on all addresses.
    """
    for sock in _listening(ports):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    for port in ports:
        with suppress(OSError), socket.socket() as once:
            once.bind((_ANOTHER_LOOPBACK, port))


def take_connections(ports: Collection[int]) -> None:
    """Have every new connection to these ports come to our listeners, which are the second ones there.

    When the first ones are closed the rule means nothing any more. Blocks for /proc.
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, _NEWEST))
    rule = struct.pack("HP", 1, ctypes.addressof(program))
    for sock in _listening(ports):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, rule)


def waiting_connections(ports: Collection[int]) -> int:
    """Return how many connections to listeners of ours nobody has accepted yet. Blocks for /proc."""
    found = 0
    for sock in _listening(ports):
        information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        found += struct.unpack_from("I", information, _WAITING_AT)[0]
    return found


def _listening(ports: Collection[int]) -> Iterator[socket.socket]:
    """Yield a second handle of each listening socket of this process on one of the ports."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        number = int(entry.name)
        try:
            # Files are not touched: to close a second handle of a file gives up this process's POSIX locks on it,
            # and DuckDB's and SQLite's are such.
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            sock = socket.socket(fileno=os.dup(number))
        except OSError:
            continue  # closed meanwhile
        with closing(sock):
            if (
                sock.family in (socket.AF_INET, socket.AF_INET6)
                and sock.type == socket.SOCK_STREAM
                and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                and sock.getsockname()[1] in ports
            ):
                yield sock
