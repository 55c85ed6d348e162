"""uvicorn's HTTP/1.1 protocol with the bounds that it leaves to a proxy in front.

In: bytes of one connection. Out: ASGI requests. Promised beyond uvicorn: a head that comes too slowly or is
too large ends the connection, so does the rest of a body whose answer is out already, a malformed request is
answered in JSON, and a gRPC client that took the wrong port reads why in its own error message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from receiver.transport.http2_refusal import PREFACE, Http2Refusal

HEAD_TIMEOUT_S = 20.0
"""How long a client may take for a request's head, from the connection or the head's first byte."""
HEAD_BYTES = 64 << 10
"""Upper bound of bytes that lead to nothing: a head, trailer or chunk extension without end (checked per read)."""
DISCARD_BYTES = 256 << 20
"""How much of a body is read and thrown away after its answer, so that the client gets to read the answer."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection; see the module."""

    on_lost: Callable[[], None] | None = None
    """Called when the connection is gone and no longer counted."""
    on_made: Callable[[BoundedHttpProtocol], None] | None = None
    """Called when the connection is there and counted."""
    quiet_since = 0.0
    """The loop's time of the connection, or of its last request's head."""
    _head_timer: asyncio.TimerHandle | None = None
    _http2: Http2Refusal | None = None
    _fresh = True
    _idle_bytes = 0
    _discarded_bytes = 0
    _unanswered: tuple[RequestResponseCycle, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Start the clock for the first head."""
        super().connection_made(transport)
        self._start_head_timer()
        self.quiet_since = self.loop.time()
        if self.on_made is not None:
            self.on_made(self)

    @property
    def was_used(self) -> bool:
        """Return True if a request has come on it."""
        return bool(self._unanswered)

    def is_idle(self) -> bool:
        """Return True if no request is in hand: half a head is none."""
        return self._answered() and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock and tell the server, and the application of every request, not of the last one only."""
        self._stop_head_timer()
        self.pipeline.clear()
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Parse; look first for HTTP/2 and afterwards for bytes that led to nothing."""
        if self._fresh and data.startswith(PREFACE):
            self._http2 = Http2Refusal()
        self._fresh = False
        if self._http2 is not None:
            self._refuse_http2(self._http2, data)
            return
        if self._answered():
            self._start_head_timer()
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's head is too large.")

    def on_headers_complete(self) -> None:
        """Hand the request to the application; its own deadlines count from here."""
        self._stop_head_timer()
        self._idle_bytes = 0
        self._discarded_bytes = 0
        self._go_by_absolute_form()
        self.server_state.default_headers = [(b"date", _http_date(int(time.time())))]
        super().on_headers_complete()
        waiting = (cycle for cycle in self._unanswered if not cycle.response_complete)
        self._unanswered = (*waiting, self.cycle)

    def on_body(self, body: bytes) -> None:
        """Give a piece to the application, or throw it away when the answer is out."""
        self._idle_bytes = 0
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > DISCARD_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; what follows is the next head."""
        self._stop_head_timer()
        self._idle_bytes = 0
        super().on_message_complete()

    def _go_by_absolute_form(self) -> None:
        """Let the host of ``GET http://host/path`` be the Host header, whatever that says: RFC 9112, 3.2.2."""
        scheme, separator, rest = self.url.partition(b"://")
        if separator and scheme.isalpha():
            self.headers[:] = [(name, value) for name, value in self.headers if name != b"host"]
            self.headers.append((b"host", rest.partition(b"/")[0].partition(b"?")[0]))

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or too much of it, with a ``google.rpc.Status`` in JSON, and close."""
        if self.transport.is_closing():
            return
        body = b'{"code":3,"message":"%b"}' % msg.encode("ascii", "replace")
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self.transport.close()

    def _answered(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _refuse_http2(self, refusal: Http2Refusal, data: bytes) -> None:
        # The head's timer still runs and ends the connection; a client that goes on simply connects again.
        answer = refusal.answer(data)
        if answer is None:
            self.transport.close()
        elif answer:
            self.transport.write(answer)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        self.transport.close()


_date: tuple[int, bytes] = (0, b"")


def _http_date(second: int) -> bytes:
    """Return the Date header's value; made once a second."""
    global _date  # noqa: PLW0603 - a cache of one pure value
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True).encode("ascii"))
    return _date[1]
