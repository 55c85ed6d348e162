"""Sends one OTLP request over gRPC."""

from __future__ import annotations

from urllib.parse import urlsplit

import grpc

from receiver.client.credentials import Credentials
from receiver.client.otlp_answer import ExportAnswer, Outcome, answer_of
from receiver.signals import Signal

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # no state of an earlier failure
)
_OTHER_LANGUAGE = ("http/2", "settings frame", "socket closed", "connection reset", "http1.x")
"""In what gRPC says of a connection that was made, and on which nobody answered in HTTP/2."""
_NOT_SERVED = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)


def export_over_grpc(
    url: str, signal: Signal, body: bytes, *, timeout_s: float, credentials: Credentials | None = None
) -> ExportAnswer:
    """Return what the endpoint said to one serialized export request; never retries.

    Args:
        url: ``http://host:port``, or ``https://…`` for TLS.
        signal: Which service is called.
        body: The request.
        timeout_s: Longest time until the answer, connecting included.
        credentials: What to show there; None: what the environment says.

    Raises:
        ConfigError: A file of the credentials cannot be read.
    """
    shown = Credentials.from_environment() if credentials is None else credentials
    parts = urlsplit(url)
    channel = (
        grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(*shown.pem_files()), options=_OPTIONS)
        if parts.scheme == "https"
        else grpc.insecure_channel(parts.netloc, options=_OPTIONS)
    )
    with channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            signal.grpc_method, request_serializer=None, response_deserializer=None
        )
        try:
            return answer_of(signal, export(body, timeout=timeout_s, metadata=tuple(shown.headers().items())))
        except grpc.RpcError as error:
            return _failure(error)


def _failure(error: grpc.RpcError) -> ExportAnswer:
    code, detail = error.code(), str(error.details())
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ExportAnswer(Outcome.TIMEOUT, detail)
    if code is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():  # said on this side
        spoken = any(each in detail.lower() for each in _OTHER_LANGUAGE)
        return ExportAnswer(Outcome.NOT_OTLP if spoken else Outcome.UNREACHABLE, detail)
    if code in _NOT_SERVED:
        return ExportAnswer(Outcome.NOT_OTLP, f"{code.name}: {detail}")
    return ExportAnswer(Outcome.REFUSED, f"{code.name}: {detail}")
