"""OTLP/HTTP as a plain ASGI application: a request in, an export response or a ``google.rpc.Status`` out.

Promised: every answer, errors too, has the encoding of its request (rules H3, H8), and a temporary failure
is never a 500 (rule H9). The body is not looked into: JSON goes to the intake as it is. A page of an origin that
CORS does not allow and a client without a token, where tokens are wanted, are refused before their body is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from receiver.config import LimitsConfig
from receiver.errors import BusyError, ShuttingDownError
from receiver.ports import ExportRequest, Transport
from receiver.transport.asgi_server import Receive, Send
from receiver.transport.cors import OriginRules
from receiver.transport.errors import ClientGoneError, ForeignOriginError
from receiver.transport.handover import Handover
from receiver.transport.http_body import HttpBody
from receiver.transport.http_head import (
    MEDIA_TYPES,
    RequestHead,
    body_encoding,
    content_coding,
    request_head,
    served_signal,
)
from receiver.transport.responses import export_response
from receiver.transport.status import Headers
from receiver.transport.token_check import Verify

_CLOSE = (b"connection", b"close")


class OtlpHttpApp:
    """The application on the OTLP/HTTP port."""

    def __init__(
        self, handover: Handover, limits: LimitsConfig, origins: OriginRules, verify: Verify | None = None
    ) -> None:
        """Hand requests in through ``handover``; pages of ``origins`` may send, with a token if ``verify`` is there."""
        self._handover = handover
        self._limits = limits
        self._origins = origins
        self._verify = verify

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, unless its client is gone."""
        head = request_head(scope)
        if head.method == "OPTIONS" and head.signal is not None:
            headers = self._origins.preflight_headers(head.origin, head.requested_headers)
            await _send(send, 204, [(b"allow", b"POST, OPTIONS"), *headers], b"")
            return
        try:
            self._admit(head, scope)
            body = await self._export(head, receive)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            # The end of stop()'s grace; this task ends here. The client must hear that it may send again.
            await self._refuse(head, send, _stopping())
        except Exception as error:  # noqa: BLE001 - boundary: uvicorn would answer 500, which loses data
            await self._refuse(head, send, error)
        else:
            await self._answer(head, send, 200, [], body)

    async def overloaded(self, scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        """Answer one request that came on a connection too many, and end that connection."""
        busy = BusyError(
            f"there are more than {self._limits.http_connections} connections",
            hint="send again; close idle connections, or raise limits.http_connections",
        )
        await self._refuse(request_head(scope), send, busy, close=True)

    def _admit(self, head: RequestHead, scope: MutableMapping[str, Any]) -> None:
        """Refuse, by the head alone, whom this listener does not serve.

        Raises:
            ForeignOriginError: A page sent it that CORS does not allow. Browsers do not ask before a "simple"
                request, and always say where a POST is from; programs do not.
            UnauthenticatedError: A token is wanted and is not there.
        """
        if head.origin is not None and not self._origins.allows(head.origin):
            raise ForeignOriginError(
                f"pages of the origin {head.origin[:200]!r} may not send telemetry here",
                hint="add it to listen.cors_origins",
            )
        if self._verify is not None:
            client = scope.get("client")
            self._verify(head.authorization, client[0] if client else "an unknown client")

    async def _export(self, head: RequestHead, receive: Receive) -> bytes:
        signal = served_signal(head)
        encoding = body_encoding(head)
        coding = content_coding(head)
        with self._handover.in_hand() as reservation:
            incoming = HttpBody(receive, reservation, self._limits)
            body = await incoming.read(coding, head.content_length)
            complete_at = time.perf_counter()
            request = ExportRequest(signal, body, encoding, Transport.HTTP)
            outcome = await self._handover.accept(request, reservation, wait_s=incoming.left_wait_s)
        answer = export_response(signal, outcome, encoding, max_bytes=self._limits.response_bytes)
        self._handover.answered(signal, complete_at)
        return answer

    async def _refuse(self, head: RequestHead, send: Send, error: Exception, *, close: bool = False) -> None:
        refusal = self._handover.refuse(error, head.signal)
        headers = refusal.http_headers()
        # Without its 100 Continue a client may or may not send the body: the connection is of no more use.
        if (close or head.expects_continue) and _CLOSE not in headers:
            headers.append(_CLOSE)
        body = refusal.http_body(head.answer_encoding)
        await self._answer(head, send, refusal.http_status, headers, body)

    async def _answer(
        self, head: RequestHead, send: Send, status: int, headers: Headers, body: bytes
    ) -> None:
        media = MEDIA_TYPES[head.answer_encoding]
        cors = self._origins.answer_headers(head.origin)
        own = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
        await _send(send, status, own + headers + cors, body)


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _stopping() -> ShuttingDownError:
    return ShuttingDownError(
        "the receiver stopped before this request was on disk", hint="send the request again"
    )
