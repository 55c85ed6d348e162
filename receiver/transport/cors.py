"""Which web pages may send OTLP/HTTP: an ``Origin`` header in, CORS headers out (rule H16).

An origin that is not on the list gets no CORS headers at all, so that its browser refuses.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Headers = list[tuple[bytes, bytes]]

_ANY_PORT = re.compile(r":\*$")
_HEADER_LIST = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]{1,1024}")
_DEFAULT_HEADERS = "content-type, content-encoding, authorization"
_MAX_AGE_S = 7200  # the most that Chromium honours


class OriginRules:
    """The allow-list of origins; ``*`` as the port stands for any port, and for none."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Read patterns such as ``http://localhost:*``; no patterns switch CORS off."""
        self._exact = {origin.lower() for origin in origins if not _ANY_PORT.search(origin)}
        self._any_port = {_ANY_PORT.sub("", o).lower() for o in origins if _ANY_PORT.search(o)}

    def allows(self, origin: str) -> bool:
        """Return True if pages of this origin may send."""
        origin = origin.lower()
        if origin in self._exact or origin in self._any_port:
            return True
        base, _, port = origin.rpartition(":")
        return port.isascii() and port.isdigit() and base in self._any_port

    def answer_headers(self, origin: str | None) -> Headers:
        """Return the headers for any answer, errors included; browsers hide an answer without them."""
        if not self._exact and not self._any_port:
            return []
        headers: Headers = [(b"vary", b"Origin")]
        if origin is not None and self.allows(origin):
            headers += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                # sendBeacon always sends in credentials mode. Cookies mean nothing here, and a token is the page's own.
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"Retry-After"),
            ]
        return headers

    def preflight_headers(self, origin: str | None, requested_headers: str | None) -> Headers:
        """Return the headers for the answer to an OPTIONS request.

        Args:
            origin: The page's origin.
            requested_headers: ``Access-Control-Request-Headers``; exporters add headers of their users' own.
        """
        headers = self.answer_headers(origin)
        if origin is None or not self.allows(origin):
            return headers
        allowed = requested_headers or _DEFAULT_HEADERS
        if not _HEADER_LIST.fullmatch(allowed):
            allowed = _DEFAULT_HEADERS
        headers += [
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", allowed.encode("latin-1")),
            (b"access-control-max-age", b"%d" % _MAX_AGE_S),
        ]
        return headers
