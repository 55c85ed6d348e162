"""Keeps pages of other sites out of a listener, with a password or without: DNS rebinding, cross-site requests.

A page of another site can make a browser talk to loopback, but it cannot choose the Host header (its own name,
even after its DNS answer was changed to 127.0.0.1) nor hide its Origin on a POST of JSON, and browsers of today say
with ``Sec-Fetch-Site`` where even an image's request comes from. Source: https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = (80, 443)
_OWN_SITES = ("same-origin", "none")
ANY = "*"


def own_names(own_hosts: Collection[str], port: int) -> frozenset[str]:
    """Return every Host header that is this listener's own; browsers leave out a default port.

    Args:
        own_hosts: Configured names, with a port where it is another one than the listener's.
        port: Of the listener.
    """
    names: set[str] = set()
    for host in (*_LOOPBACK, *(host.lower() for host in own_hosts if host != ANY)):
        name, at = (
            (host.rpartition(":")[0], host.rpartition(":")[2]) if _has_port(host) else (host, str(port))
        )
        names.add(f"{name}:{at}")
        if int(at) in _DEFAULT_PORTS:
            names.add(name)
    return frozenset(names)


def refusal(headers: Sequence[tuple[bytes, bytes]], own_hosts: Collection[str], port: int) -> str | None:
    """Return why a request is refused, or None for one that may pass.

    Args:
        headers: Of the request, names in lower case.
        own_hosts: Configured names; ``*`` lets every Host pass (an Origin must then equal the Host).
        port: Of the listener.
    """
    hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
    if (
        len(hosts) != 1
    ):  # a program that reads one of two and a proxy that reads the other see different sites
        return f"the request has {len(hosts)} Host headers; there must be one"
    names = own_names(own_hosts, port)
    asked = hosts[0].lower()
    if ANY not in own_hosts and asked not in names:
        return f"the Host header {hosts[0][:200]!r} is not a name of this receiver"
    for origin in origins:
        allowed = {asked} if ANY in own_hosts else names
        scheme, separator, place = origin.lower().partition("://")
        if not separator or scheme not in {"http", "https"} or place not in allowed:
            return f"pages of the origin {origin[:200]!r} may not ask this receiver"
    site = "".join(_values(headers, b"sec-fetch-site"))
    # Who follows a link to this listener sees it alone, in a page that the other one cannot read.
    followed = _values(headers, b"sec-fetch-mode") == ["navigate"] and not origins
    if (
        site
        and site not in _OWN_SITES
        and not (followed and _values(headers, b"sec-fetch-dest") == ["document"])
    ):
        return "pages of other sites may not ask this receiver"
    return None


def _values(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and not host.endswith("]")
