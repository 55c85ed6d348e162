"""MCP over streamable HTTP: an ASGI application for the path ``/mcp`` of the query listener.

The libraries of MCP are imported by the first request, in a worker thread: a receiver that no agent asks starts
as quickly and is as small as without them. Host and Origin were checked before a request gets here.

Requests are stateless: no session is kept between two of them, so a client goes on after the receiver was
restarted, where a session id of before would be answered 404. What is lost by that are messages that the
server sends on its own accord, and no tool needs any. An answer is one JSON document and no stream of events:
the library that would write the stream leaves a task behind that polls for ever (sse_starlette, _shutdown_watcher).
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import orjson

from receiver.access import Access
from receiver.config import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from receiver.sources.collector.otlp_file import RequestReader

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]

PATH = "/mcp"
INSTALL = "pip install 'otlp-receiver[mcp]'"

_log = logging.getLogger(__name__)


class McpApp:
    """Serves MCP at :data:`PATH`. Threads: one event loop."""

    def __init__(
        self, access: Access, settings: Settings, *, requests_of: Callable[[], RequestReader]
    ) -> None:
        """Keep what the tools need (``receiver.mcp.server``); nothing is imported and nothing runs yet."""
        self._access = access
        self._settings = settings
        self._requests_of = requests_of
        self._starting: asyncio.Task[Starlette] | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 501 where the extra is not installed, 503 while it is closed."""
        if self._closing.is_set():
            await _refuse(send, 503, "the receiver stops", "ask again when it runs")
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="start of MCP")
        try:
            app = await asyncio.shield(self._starting)
        except ImportError as error:
            self._starting = None
            _log.info("MCP is not served: %s", error)
            await _refuse(send, 501, "MCP is not installed here", INSTALL)
            return
        except Exception:  # noqa: BLE001 - the boundary of a request: the next one tries again
            self._starting = None
            _log.exception("MCP could not be started")
            await _refuse(send, 500, "MCP could not be started", "the receiver's log has the details")
            return
        await app(scope, receive, send)

    async def close(self) -> None:
        """End what the first request started; a second call changes nothing. Requests in hand are cut off."""
        self._closing.set()
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._running is not None:
            await self._running

    async def _start(self) -> Starlette:
        app, lifespan = await asyncio.to_thread(self._built)
        started = asyncio.Event()
        self._running = asyncio.create_task(self._live(lifespan, started), name="MCP")
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not started.is_set():
            await self._running  # raises what kept it from starting
        return app

    def _built(self) -> tuple[Starlette, AbstractAsyncContextManager[Any]]:
        if importlib.util.find_spec("fastmcp") is None:
            raise ImportError("the extra mcp is missing")
        from receiver.mcp.server import build_server  # noqa: PLC0415 - the first request brings the libraries

        server = build_server(self._access, self._settings, requests_of=self._requests_of)
        app = server.http_app(
            path=PATH, stateless_http=True, json_response=True, host_origin_protection=False
        )
        return app, app.lifespan(app)

    async def _live(self, lifespan: AbstractAsyncContextManager[Any], started: asyncio.Event) -> None:
        """Hold the application's lifespan in one task, as its task group demands."""
        async with lifespan:
            started.set()
            await self._closing.wait()


async def _refuse(send: Send, status: int, message: str, hint: str) -> None:
    body = orjson.dumps({"error": {"message": message, "hint": hint}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
