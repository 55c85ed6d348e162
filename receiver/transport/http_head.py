"""The head of an OTLP/HTTP request: an ASGI scope in, what the listener must know of it out (rules H1 to H3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import UnsupportedMediaError
from receiver.ports import Encoding
from receiver.signals import Signal
from receiver.transport.errors import MethodNotAllowedError, UnknownEncodingError, UnknownPathError
from receiver.transport.status import SERVED_ENCODINGS

MEDIA_TYPES = {
    Encoding.PROTOBUF: b"application/x-protobuf",
    Encoding.JSON: b"application/json",
}
_ENCODINGS = {media.decode(): encoding for encoding, media in MEDIA_TYPES.items()}
_SIGNALS = {signal.http_path: signal for signal in Signal}
# x-gzip is gzip to every recipient (RFC 9110, 8.4.1.3).
_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "zstd": "zstd"}
_PATHS = ", ".join(_SIGNALS)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, path and the headers that count; nothing is judged yet."""

    method: str
    path: str
    content_type: str
    content_encoding: str
    content_length: int | None
    origin: str | None
    requested_headers: str | None
    authorization: tuple[str, ...]
    expects_continue: bool

    @property
    def signal(self) -> Signal | None:
        """Return the signal that the path names, or None."""
        return _SIGNALS.get(self.path)

    @property
    def answer_encoding(self) -> Encoding:
        """Return the encoding of the answer: the request's, and JSON where it has none of ours (rule H3)."""
        return _ENCODINGS.get(self.content_type, Encoding.JSON)


def request_head(scope: Mapping[str, Any]) -> RequestHead:
    """Return the head of a request; repeated ``Content-Encoding`` lines are one list."""
    values: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        values[name] = values[name] + b"," + value if name in values else value
    length = values.get(b"content-length", b"")
    origin = values.get(b"origin")
    requested = values.get(b"access-control-request-headers")
    return RequestHead(
        method=scope["method"],
        path=scope["path"],
        content_type=values.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1"),
        content_encoding=values.get(b"content-encoding", b"").decode("latin-1"),
        content_length=int(length) if length.isdigit() else None,
        origin=None if origin is None else origin.decode("latin-1"),
        requested_headers=None if requested is None else requested.decode("latin-1"),
        authorization=tuple(v.decode("latin-1") for n, v in scope["headers"] if n == b"authorization"),
        expects_continue=values.get(b"expect", b"").lower() == b"100-continue",
    )


def served_signal(head: RequestHead) -> Signal:
    """Return the signal to export.

    Raises:
        UnknownPathError: Nothing is served on the path.
        MethodNotAllowedError: The method is not POST.
    """
    signal = head.signal
    if signal is None:
        raise UnknownPathError(
            f"nothing is served on {head.path[:200]}", hint=f"this is OTLP/HTTP: POST to {_PATHS}"
        )
    if head.method != "POST":
        raise MethodNotAllowedError(f"{head.method} is not served here", hint=f"POST to {signal.http_path}")
    return signal


def body_encoding(head: RequestHead) -> Encoding:
    """Return how the body is written.

    Raises:
        UnsupportedMediaError: The content type is missing or not one of OTLP/HTTP.
    """
    encoding = _ENCODINGS.get(head.content_type)
    if encoding is not None:
        return encoding
    if head.content_type.startswith("application/grpc"):
        raise UnsupportedMediaError(
            "this is the OTLP/HTTP port and the request is OTLP/gRPC",
            hint="send it to the gRPC port, 4317 by default, or set the protocol to http/protobuf",
        )
    raise UnsupportedMediaError(
        f"the content type {head.content_type[:100]!r} is not served"
        if head.content_type
        else "the request has no Content-Type",
        hint="send application/x-protobuf or application/json",
    )


def content_coding(head: RequestHead) -> str | None:
    """Return the coding to undo (gzip, deflate, zstd), or None for a plain body.

    Raises:
        UnknownEncodingError: The coding is not served, or there is more than one.
    """
    if not head.content_encoding:
        return None
    listed = [coding.strip().lower() for coding in head.content_encoding.split(",")]
    codings = [coding for coding in listed if coding not in ("", "identity")]
    if not codings:
        return None
    coding = _CODINGS.get(codings[0])
    if coding is None or len(codings) > 1:
        raise UnknownEncodingError(
            f"the content encoding {head.content_encoding[:100]!r} is not served",
            hint=f"send one of {SERVED_ENCODINGS}",
        )
    return coding
