"""The body of an OTLP/HTTP request: ASGI messages in, one inflated ``bytes`` out (rules H4, H5, H14).

Promised: no more memory than the byte limit and the reserved budget allow, whatever ``Content-Length`` or the
compression ratio say; a client that is silent or slow is given up on; the loop is never held by inflating.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any

from receiver.config import LimitsConfig
from receiver.errors import PayloadTooLargeError
from receiver.transport.errors import BodyTimeoutError, ClientGoneError
from receiver.transport.handover import LEAST_WAIT_S, Reservation
from receiver.transport.inflate import InflatedStream, open_inflated

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_FIRST_PIECE_BYTES = 256 << 10
_PIECE_BYTES = 1 << 20
# Up to here the first piece is inflated on the loop: that takes less time than the way to a thread and back.
_ON_LOOP_WIRE_BYTES = 16 << 10


class HttpBody:
    """One request's body while it comes in.

    The reservation covers the larger of wire and inflated bytes: wire chunks are let go as they are inflated.
    """

    def __init__(self, receive: Receive, reservation: Reservation, limits: LimitsConfig) -> None:
        """Read nothing yet; the client's time starts now."""
        self._receive = receive
        self._reservation = reservation
        self._limits = limits
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._deadline = loop.time() + limits.body_timeout_s
        self._waited_s = 0.0

    @property
    def left_wait_s(self) -> float:
        """Return what is left of the wait that a client is held for, after waits for room."""
        return max(LEAST_WAIT_S, self._limits.wait_s - self._waited_s)

    async def read(self, coding: str | None, declared: int | None) -> bytes:
        """Return the whole body, inflated and covered by the reservation.

        Args:
            coding: gzip, deflate, zstd, or None for a plain body.
            declared: ``Content-Length``.

        Raises:
            PayloadTooLargeError: Declared, sent or inflated bytes are over ``limits.request_bytes``.
            MalformedRequestError: The compressed body is corrupt or ends too early.
            BodyTimeoutError: The client was silent, or took in all, longer than ``limits.body_timeout_s``.
            BusyError: The budget had no room for it in time.
            ClientGoneError: The connection closed before the body was complete.

        Cancellation: nothing was handed in.
        """
        if declared is not None and declared > self._limits.request_bytes:
            raise self._too_large(f"it says it has {declared} bytes")
        if coding is None:
            # BytesIO grows in place and gives its bytes away without a copy.
            plain = BytesIO()
            await self._wire(plain.write)
            return plain.getvalue()
        chunks: deque[bytes] = deque()
        size = await self._wire(chunks.append)
        return await self._inflated(open_inflated(coding, chunks), size)

    async def _wire(self, keep: Callable[[bytes], object]) -> int:
        size = 0
        more = True
        while more:
            message = await self._next()
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if not chunk:
                continue
            size += len(chunk)
            if size > self._limits.request_bytes:
                raise self._too_large("it went on behind that")
            await self._cover(size)
            keep(chunk)
        return size

    async def _next(self) -> MutableMapping[str, Any]:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTimeoutError(
                f"the body was not complete after {self._limits.body_timeout_s:g} s",
                hint="send smaller batches, or raise limits.body_timeout_s",
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        return message

    async def _inflated(self, stream: InflatedStream, wire_bytes: int) -> bytes:
        inflated = BytesIO()
        size = 0
        limit = self._limits.request_bytes
        on_loop = wire_bytes <= _ON_LOOP_WIRE_BYTES
        while True:
            step = min(_FIRST_PIECE_BYTES if on_loop else _PIECE_BYTES, limit + 1 - size)
            piece = stream.read(step) if on_loop else await asyncio.to_thread(stream.read, step)
            if not piece:
                return inflated.getvalue()
            size += len(piece)
            if size > limit:
                raise self._too_large(f"its {wire_bytes} bytes inflate to more")
            await self._cover(size)
            inflated.write(piece)
            on_loop = on_loop and size < _FIRST_PIECE_BYTES

    async def _cover(self, size: int) -> None:
        before = self._now()
        await self._reservation.cover(size, wait_s=self.left_wait_s)
        waited_s = self._now() - before
        self._waited_s += waited_s
        self._deadline += waited_s  # the client is not to blame for our wait

    def _too_large(self, reason: str) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"the request is over the limit of {self._limits.request_bytes} bytes: {reason}",
            hint="send smaller batches, or raise limits.request_bytes",
        )
