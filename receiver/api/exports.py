"""GET /api/v1/exports/{table}: every record of a table, as one Arrow IPC stream.

One export at a time: each holds a reader and a read transaction for as long as its client takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence

from receiver.access import RecordAccess
from receiver.api import parameters
from receiver.api.routes import PREFIX
from receiver.api.wire import SECURITY_HEADERS, Receive, Send, disconnected
from receiver.errors import BusyError, NotFoundError, ReceiverError
from receiver.ports import Clock
from receiver.questions import RecordTable

_log = logging.getLogger(__name__)

PATH = f"{PREFIX}/exports/"
CONTENT_TYPE = "application/vnd.apache.arrow.stream"
_STALLED_S = 60.0
"""Who takes nothing for so long keeps others from exporting no longer."""


class Exports:
    """Gives away tables, one at a time. Threads: one event loop."""

    def __init__(self, access: RecordAccess, clock: Clock) -> None:
        """Read from ``access``; relative times are before ``clock``'s."""
        self._access = access
        self._clock = clock
        self._running = False

    async def send(self, path: str, given: Mapping[str, Sequence[str]], receive: Receive, send: Send) -> None:
        """Answer one request. What breaks it off after its first byte shows as an incomplete body.

        Raises:
            NotFoundError: There is no such table.
            InvalidFilterError: A parameter is wrong.
            BusyError: Another export runs.
            ReceiverError: The store cannot be read; nothing was sent.
        """
        try:
            table = RecordTable(path.removeprefix(PATH))
        except ValueError:
            raise NotFoundError(
                "there is no such table", hint=f"there are: {', '.join(RecordTable)}"
            ) from None
        values = parameters.parsed((parameters.SINCE, parameters.UNTIL), given, now_ns=self._clock())
        if self._running:
            raise BusyError("another export runs", hint="ask again when it has ended")
        self._running = True
        try:
            stream = self._access.record_stream(table, since_ns=values["since"], until_ns=values["until"])
            await _streamed(stream, receive, send)
        finally:
            self._running = False


async def _streamed(stream: AsyncGenerator[bytes], receive: Receive, send: Send) -> None:
    try:
        chunk = await anext(stream)  # errors until here are answers of their own
        headers = [(b"content-type", CONTENT_TYPE.encode()), *SECURITY_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            while chunk and not gone.done():
                async with asyncio.timeout(_STALLED_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await anext(stream, b"")
        except (ReceiverError, TimeoutError) as error:
            _log.warning("an export broke off: %s", str(error) or "its client reads nothing")
            return  # without the last chunk, so that nobody takes it for the whole
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})
    finally:
        await stream.aclose()
