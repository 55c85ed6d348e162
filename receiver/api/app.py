"""The query listener's ASGI application: /api/v1/…, /metrics, /healthz, /readyz, and what is mounted beside them.

Every request passes the guard first (:mod:`receiver.api.guard`). The HTTP layer is thin: parameters, one call of
the query service, JSON. Uncaught errors become 500 with a log line; their texts stay inside.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, unquote

from receiver.access import RecordAccess
from receiver.api import backups, exports, guard, imports
from receiver.api.openapi import document
from receiver.api.routes import PREFIX, ROUTES, Route, ask, texts_of_body
from receiver.api.wire import (
    ASGIApp,
    Receive,
    Reply,
    Scope,
    Send,
    disconnected,
    error_reply,
    json_body,
    json_reply,
    reply_to_error,
    send_reply,
)
from receiver.errors import InvalidFilterError, ReceiverError, UnauthenticatedError
from receiver.ports import Clock
from receiver.query.service import QueryService
from receiver.questions import Health
from receiver.telemetry.metrics import CONTENT_TYPE, Refusal

if TYPE_CHECKING:
    from receiver.transport.token_check import Verify

_log = logging.getLogger(__name__)
_MOST_FIELDS = 100
_FOR_EVERYBODY = frozenset({"/healthz", "/readyz"})
_ASK_WITH_TOKEN = "whoever asks with a token learns the reasons"  # noqa: S105 - not a secret
OPENAPI_PATH = f"{PREFIX}/openapi.json"


class RenderedMetrics(Protocol):
    """**Protocol:** the receiver's own metrics (:class:`receiver.telemetry.metrics.Metrics`)."""

    async def render(self) -> bytes:
        """Return them in Prometheus' text format, as they are now."""
        ...

    def queried(self, question: str, seconds: float) -> None:
        """Record how long a question took; ``question`` is a route's name."""
        ...

    def question_refused(self, reason: Refusal) -> None:
        """Count one request that did not get through to its question."""
        ...


class QueryApp:
    """Serves questions over HTTP. Threads: one event loop; one instance may serve several listeners."""

    def __init__(
        self,
        service: QueryService,
        metrics: RenderedMetrics,
        health: Health,
        *,
        access: RecordAccess | None = None,
        own_hosts: Collection[str] = (),
        version: str = "0",
        mounts: Mapping[str, ASGIApp] | None = None,
        holds: backups.Holds | None = None,
        verify: Verify | None = None,
        clock: Clock = time.time_ns,
    ) -> None:
        """Keep what requests are answered from.

        Args:
            service: Answers the questions.
            metrics: For /metrics.
            health: For /readyz.
            access: Takes what is posted to /api/v1/imports and gives /api/v1/exports; None: neither is there.
            own_hosts: Host headers that are this listener's own besides the loopback names; ``*``: any.
            version: Of the receiver, for the OpenAPI description.
            mounts: Further applications by path, behind the same guard: ``/mcp``, or ``/`` for all the rest.
            holds: For /api/v1/backups; None: there is no such path.
            verify: Tells who may ask; None: whoever can connect. /healthz and /readyz are for everybody.
            clock: Now, for relative times.
        """
        self._service = service
        self._metrics = metrics
        self._health = health
        self._imports = None if access is None else imports.Imports(access)
        self._exports = None if access is None else exports.Exports(access, clock)
        self._backups = None if holds is None else backups.Backups(holds)
        self._own_hosts = tuple(own_hosts)
        self._verify = verify
        self._mounts = dict(mounts or {})
        self._clock = clock
        self._openapi = document(version)
        self._plain: dict[str, Callable[[], Reply]] = {
            OPENAPI_PATH: lambda: json_reply(self._openapi),
            "/healthz": lambda: json_reply({"status": "alive"}),
            "/readyz": self._readiness,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the lifespan protocol."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        server = scope.get("server") or ("", 0)
        refused = guard.refusal(scope["headers"], self._own_hosts, int(server[1] or 0))
        if refused is not None:
            self._metrics.question_refused(Refusal.ORIGIN)
            hint = "use localhost and the listener's port, or put the name into listen.names"
            await send_reply(send, error_reply(403, refused, hint))
            return
        path = str(scope["path"])
        unknown = self._unverified(scope)
        if unknown is not None and path not in _FOR_EVERYBODY:
            self._metrics.question_refused(Refusal.UNAUTHENTICATED)
            await send_reply(send, reply_to_error(unknown))
            return
        if unknown is not None and path == "/readyz":
            await send_reply(send, self._readiness(with_reasons=False))
            return
        mounted = None if self._is_ours(path) else self._mounted(path)
        if mounted is not None:
            await mounted(scope, receive, send)
            return
        reply = await self._reply(scope, receive, send, path)
        if reply is not None:
            await send_reply(send, reply)

    def _is_ours(self, path: str) -> bool:
        return path in self._plain or path in {"/metrics", PREFIX} or path.startswith(f"{PREFIX}/")

    def _mounted(self, path: str) -> ASGIApp | None:
        for prefix, app in self._mounts.items():
            if prefix in {"/", path} or path.startswith(f"{prefix}/"):
                return app
        return None

    async def _reply(self, scope: Scope, receive: Receive, send: Send, path: str) -> Reply | None:
        method = "GET" if scope["method"] == "HEAD" else str(scope["method"])
        try:
            if path in self._plain or path == "/metrics":
                if method != "GET":
                    return _wrong_method(("GET",))
                if path == "/metrics":
                    return Reply(200, await self._metrics.render(), CONTENT_TYPE)
                return self._plain[path]()
            if path == imports.PATH and self._imports is not None:
                if method != "POST":
                    return _wrong_method(("POST",))
                return await self._imports.reply(scope, receive)
            if path.startswith(exports.PATH) and self._exports is not None:
                if method != "GET" or scope["method"] == "HEAD":
                    return _wrong_method(("GET",))
                await self._exports.send(path, _query(scope), receive, send)
                return None
            if self._backups is not None and (path == backups.PATH or path.startswith(f"{backups.PATH}/")):
                if method != "POST":
                    return _wrong_method(("POST",))
                return await self._backups.reply(scope, receive, path)
            found = [(route, value) for route in ROUTES if (value := _match(route, scope)) is not None]
            if not found:
                return error_reply(404, f"there is no {path}", f"{OPENAPI_PATH} lists what there is")
            chosen = next(((route, value) for route, value in found if route.method == method), None)
            if chosen is None:
                return _wrong_method(tuple(route.method for route, _ in found))
            return await self._answer(scope, receive, *chosen)
        except ReceiverError as error:
            return reply_to_error(error)
        except Exception:  # noqa: BLE001 - the boundary of a request: one failure must not end the listener
            _log.exception("a question failed", extra={"path": path})
            return error_reply(500, "the question failed inside the receiver", "its log has the details")

    async def _answer(self, scope: Scope, receive: Receive, route: Route, value: str) -> Reply | None:
        given = _query(scope)
        if route.in_path is not None:
            if route.in_path.name in given:
                raise InvalidFilterError(f"{route.in_path.name} stands in the path already")
            given[route.in_path.name] = [value]
        if route.method == "POST":
            for name, texts in texts_of_body(route, await json_body(scope, receive)).items():
                given.setdefault(name, []).extend(texts)
        started = time.perf_counter()
        question = asyncio.ensure_future(ask(route, self._service, given, now_ns=self._clock()))
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait({question, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not question.done():
                return None  # nobody waits for the answer: the question is stopped in the store
            answer = question.result()
            self._metrics.queried(route.name, time.perf_counter() - started)
        finally:
            for task in (question, gone):
                task.cancel()
            await asyncio.gather(question, gone, return_exceptions=True)
        return await asyncio.to_thread(json_reply, answer)

    def _unverified(self, scope: Scope) -> UnauthenticatedError | None:
        if self._verify is None:
            return None
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        path, client = scope["path"], scope.get("client")
        if not values and path in _FOR_EVERYBODY:
            return UnauthenticatedError("")  # nobody was turned away: not for the log
        try:
            self._verify(values, client[0] if client else "an unknown client")
        except UnauthenticatedError as error:
            return error
        return None

    def _readiness(self, *, with_reasons: bool = True) -> Reply:
        problems = self._health.problems()
        if problems and not with_reasons:  # reasons name folders of this machine
            problems = [_ASK_WITH_TOKEN]
        if problems:
            return json_reply({"status": "not ready", "problems": problems}, 503)
        return json_reply({"status": "ready", "problems": []})


def _match(route: Route, scope: Scope) -> str | None:
    """Return the value of the path's parameter, empty where it has none; None if the path is another's."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else str(scope["path"])
    template = PREFIX + route.path
    if route.in_path is None:
        return "" if path == template else None
    before, _, rest = template.partition("{")
    after = rest.partition("}")[2]
    value = path[len(before) : len(path) - len(after)]
    if not value or "/" in value or path != before + value + after:
        return None
    return unquote(value)


def _query(scope: Scope) -> dict[str, list[str]]:
    try:
        return parse_qs(
            scope.get("query_string", b"").decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(scope.get("query_string")),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise InvalidFilterError(
            "the query string cannot be read", hint="write name=value&name=value, percent-encoded UTF-8"
        ) from error


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def _wrong_method(allowed: tuple[str, ...]) -> Reply:
    methods = ", ".join((*allowed, "HEAD") if "GET" in allowed else allowed)
    return error_reply(405, f"only {methods} is served here", headers=(("allow", methods),))
