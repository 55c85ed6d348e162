"""Where a listener binds: ``host:port`` in, listening sockets out. Knows nothing of OTLP.

``localhost`` means both loopback addresses on one port, because clients resolve it to either.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass

from receiver.errors import ConfigError, StartError

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted, per listening socket."""
_ATTEMPTS = 16
_NO_IPV6 = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (name or address, without brackets) and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def from_here(self) -> Endpoint:
        """Return where this machine reaches what is bound to it: all addresses are loopback's too."""
        return Endpoint({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104 - compared, not bound

    @property
    def is_loopback(self) -> bool:
        """Return True if only this machine can connect; a name other than ``localhost`` counts as remote."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint that ``host:port`` or ``[ipv6]:port`` names.

    Raises:
        ConfigError: The text is neither.
    """
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if (
        not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535)
        or (":" in host) != bracketed
    ):
        raise ConfigError(
            f"{text!r} is not an endpoint", hint="write host:port, as in localhost:4317 or [::1]:4317"
        )
    return Endpoint(host, int(port))


def bind_sockets(endpoint: Endpoint, *, beside: bool = False, listening: bool = True) -> list[socket.socket]:
    """Return non-blocking sockets, all on one port; the caller closes them.

    ``localhost`` is 127.0.0.1 first and then, where the machine has it, ::1.

    Args:
        endpoint: Where.
        beside: Listen beside a process that shares the port (:mod:`receiver.transport.shared_ports`).
        listening: False: the port is ours, and who connects is refused.

    Raises:
        StartError: A port is taken or an address is not of this machine; nothing stays bound.

    Threads: resolves a name that is not ``localhost`` and not an address, which may block.
    """
    attempts = _ATTEMPTS if endpoint.port == 0 else 1
    for attempt in range(attempts):
        try:
            return _bind_all(endpoint, beside=beside, listening=listening)
        except OSError as error:
            # A port that was free on 127.0.0.1 can be taken on ::1: with port 0 the next one is tried.
            if error.errno != errno.EADDRINUSE or attempt == attempts - 1:
                raise _start_error(endpoint, error) from error
    raise AssertionError  # pragma: no cover - the loop above returns or raises


def address_of(sock: socket.socket) -> Endpoint:
    """Return the address that a socket is bound to."""
    name = sock.getsockname()
    return Endpoint(name[0], name[1])


def _bind_all(endpoint: Endpoint, *, beside: bool, listening: bool) -> list[socket.socket]:
    bound: list[socket.socket] = []
    port = endpoint.port
    try:
        for index, (family, host) in enumerate(_addresses(endpoint)):
            try:
                bound.append(_bind(family, host, port, beside=beside))
            except OSError as error:
                if index and family == socket.AF_INET6 and error.errno in _NO_IPV6:
                    continue
                raise
            port = address_of(bound[0]).port
        if listening:
            for sock in bound:
                sock.listen(BACKLOG)
    except OSError:
        for sock in bound:
            sock.close()
        raise
    return bound


def _addresses(endpoint: Endpoint) -> list[tuple[socket.AddressFamily, str]]:
    if endpoint.host.lower() == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    pairs = [(family, str(address[0])) for family, _, _, _, address in found]
    return list(dict.fromkeys(pairs))


def _bind(family: socket.AddressFamily, host: str, port: int, *, beside: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Lets a restarted receiver have its port back while old connections are in TIME_WAIT. Two listeners
        # still exclude each other: that would take SO_REUSEPORT on both.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if beside:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _start_error(endpoint: Endpoint, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"{endpoint} is in use by another program",
            hint="stop that program (is a receiver running already?) or choose another port",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(f"no permission to listen on {endpoint}", hint="choose a port above 1023")
    reason = error.strerror or os.strerror(error.errno or 0)
    return StartError(
        f"cannot listen on {endpoint}: {reason}", hint="use an address of this machine, e.g. localhost"
    )
