"""Exports over HTTP/1.1: connections that stay open, one request at a time on each; as many as are needed at once."""

from __future__ import annotations

import asyncio
from typing import cast

from receiver.signals import Signal
from tests.benchmarks.answers import ACCEPTED, Answer

_RETRYABLE = {"429", "502", "503", "504"}
"""OTLP 1.10, "Retryable Response Codes"."""


class HttpSender:
    """Implements ``Sender``."""

    def __init__(self, endpoint: str, signal: Signal, *, timeout_s: float) -> None:
        """Connect with the first call; needs a running event loop."""
        self._host, _, self._port = endpoint.rpartition(":")
        self._head = (
            f"POST /v1/{signal.value} HTTP/1.1\r\nHost: {endpoint}\r\nContent-Type: application/x-protobuf\r\n"
            "User-Agent: otlp-bench\r\nContent-Length: "
        ).encode()
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []

    async def send(self, body: bytes) -> Answer:
        """Export one request."""
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = self._idle.pop() if self._idle else await self._connected()
                answer = await connection.exchange(self._head + b"%d\r\n\r\n" % len(body), body)
        except (OSError, TimeoutError) as error:
            return Answer(type(error).__name__, accepted=False, retryable=True)
        if not connection.is_closing:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.close()

    async def _connected(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._host, int(self._port)
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection; reads answers that have a Content-Length, as the receiver's have."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._got = b""
        self.is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def exchange(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future has its answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines((head, body))
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got = self._got + data if self._got else data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._got[:end].lower()
        length = int(_header(head, b"content-length") or 0)
        if len(self._got) < end + 4 + length:
            return
        answer, self._answer = self._answer, None
        status = self._got[9:12].decode()
        after = _header(head, b"retry-after")
        self.is_closing = self.is_closing or (_header(head, b"connection") or b"") == b"close"
        self._got = b""
        if answer is None or answer.done():  # nobody waits for it any more
            self.close()
        elif status == "200":
            answer.set_result(ACCEPTED if not length else Answer("200", accepted=True, rejected=True))
        else:
            answer.set_result(
                Answer(
                    status,
                    accepted=False,
                    retryable=status in _RETRYABLE,
                    retry_after_s=float(after) if after else None,
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before it answered"))

    def close(self) -> None:
        """Close it."""
        self.is_closing = True
        if self._transport is not None:
            self._transport.close()


def _header(head: bytes, name: bytes) -> bytes | None:
    start = head.find(b"\r\n" + name + b":")
    return head[start + len(name) + 3 :].partition(b"\r\n")[0].strip() if start >= 0 else None
