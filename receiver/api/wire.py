"""Between ASGI messages and plain values: bodies in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from receiver.errors import (
    EmbeddingOffError,
    InvalidFilterError,
    NotFoundError,
    PayloadTooLargeError,
    ReceiverError,
    RetryableError,
    UnauthenticatedError,
    UnsupportedMediaError,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1 << 20
JSON = "application/json"
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=())


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a value as JSON; integers of any size stay integers."""
    try:
        body = orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):  # an integer beyond 64 bits (SQL's HUGEINT)
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Reply(status, body, headers=headers)


def error_reply(
    status: int, message: str, hint: str | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """Return an error in the one shape that all errors have."""
    return json_reply({"error": {"message": message, "hint": hint}}, status, headers)


def reply_to_error(error: ReceiverError) -> Reply:
    """Return the answer for an error that was raised on purpose."""
    if isinstance(error, EmbeddingOffError):
        return error_reply(501, error.message, error.hint)
    if isinstance(error, RetryableError):
        after = str(max(1, round(error.retry_after_s or 1)))
        return error_reply(503, error.message, error.hint, (("retry-after", after),))
    if isinstance(error, UnauthenticatedError):
        challenge = (("www-authenticate", 'Bearer realm="otlp-receiver"'),)
        return error_reply(401, error.message, error.hint, challenge)
    status = 400
    for kind, code in ((NotFoundError, 404), (PayloadTooLargeError, 413), (UnsupportedMediaError, 415)):
        if isinstance(error, kind):
            status = code
    return error_reply(status, error.message, error.hint)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send an answer with the headers that every answer has."""
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *SECURITY_HEADERS,
        *((name.encode(), value.encode()) for name, value in reply.headers),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def header(scope: Scope, name: str) -> str | None:
    """Return a header's value; None if it is absent, and if it stands there twice a value that fits nothing."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]
    return found[0] if len(found) == 1 else None if not found else ", ".join(found)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone; the rest of its body is passed over."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def json_body(scope: Scope, receive: Receive, *, largest: int = LARGEST_BODY) -> Any:
    """Return what the JSON body of a POST says; an empty one is an empty object.

    Raises:
        UnsupportedMediaError: The content type is not application/json.
        PayloadTooLargeError: It is over ``largest`` bytes.
        InvalidFilterError: It is not JSON.
    """
    kind = (header(scope, "content-type") or "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise UnsupportedMediaError(
            f"the content type {kind or 'that is missing'} is not served",
            hint=f"send Content-Type: {JSON}",
        )
    if header(scope, "content-encoding") not in (None, "identity"):
        raise UnsupportedMediaError("a compressed body is not served here", hint="send it as it is")
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidFilterError("the client went away")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > largest:
            raise PayloadTooLargeError(f"the body is larger than {largest} bytes", hint="send less")
    if not body.strip():
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidFilterError(f"the body is not JSON: {error}") from error
