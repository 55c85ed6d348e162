"""Keeps pages of other sites out of a listener that has no password: DNS rebinding and cross-site requests.

A page of another site can make a browser talk to loopback, but it cannot choose the Host header (its own name,
even after its DNS answer was changed to 127.0.0.1) nor hide its Origin on a POST of JSON.
"""

from __future__ import annotations

from collections.abc import Collection

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORT = 80
ANY = "*"


def own_names(own_hosts: Collection[str], port: int) -> frozenset[str]:
    """Return every Host header that is this listener's own.

    Args:
        own_hosts: Configured names, with a port where it is another one than the listener's.
        port: Of the listener.
    """
    names: set[str] = set()
    for host in (*_LOOPBACK, *(host.lower() for host in own_hosts if host != ANY)):
        if _has_port(host):
            names.add(host)
            continue
        names.add(f"{host}:{port}")
        if port == _DEFAULT_PORT:
            names.add(host)
    return frozenset(names)


def refusal(host: str | None, origin: str | None, own_hosts: Collection[str], port: int) -> str | None:
    """Return why a request is refused, or None for one that may pass.

    Args:
        host: The Host header.
        origin: The Origin header; browsers send it, programs do not.
        own_hosts: Configured names; ``*`` lets every Host pass (an Origin must then equal the Host).
        port: Of the listener.
    """
    names = own_names(own_hosts, port)
    asked = (host or "").lower()
    if ANY not in own_hosts and asked not in names:
        return f"the Host header {host!r} is not a name of this receiver"
    if origin is not None:
        allowed = {asked} if ANY in own_hosts else names
        scheme, separator, place = origin.lower().partition("://")
        if not separator or scheme not in {"http", "https"} or place not in allowed:
            return f"pages of the origin {origin!r} may not ask this receiver"
    return None


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and not host.endswith("]")
