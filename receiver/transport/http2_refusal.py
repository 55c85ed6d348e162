"""Tells a gRPC client on an HTTP/1.1 port what is wrong: HTTP/2 frames in, gRPC refusals out.

Taking 4318 for 4317 is the most common mistake with OTLP. No header is decoded for this: every request gets the
same trailers, made of HPACK literals. Source: RFC 9113 (frames), RFC 7541 (HPACK), gRPC over HTTP/2.
"""

from __future__ import annotations

import grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HINT = b"this port speaks HTTP/1.1; OTLP/gRPC has a port of its own, 4317 by default"
_HEADERS, _SETTINGS, _PING = 1, 4, 6
_ACK, _END_STREAM_AND_HEADERS = 0x1, 0x5
_MAX_FRAME_BYTES = 16384


def _literal(name: bytes, value: bytes) -> bytes:
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


_TRAILERS_ONLY = (
    b"\x88"  # :status 200, from the static table
    + _literal(b"content-type", b"application/grpc")
    + _literal(b"grpc-status", b"%d" % grpc.StatusCode.UNIMPLEMENTED.value[0])
    + _literal(b"grpc-message", _HINT)
)


class Http2Refusal:
    """One HTTP/2 connection on which every request is refused."""

    def __init__(self) -> None:
        """Expect the client's preface first."""
        self._received = b""
        self._skip = len(PREFACE)

    def answer(self, data: bytes) -> bytes | None:
        """Return what to send for what came in, or None where the connection should end."""
        out = []
        if self._skip:
            out.append(_frame(_SETTINGS, 0, 0, b""))
        self._received += data
        if len(self._received) < self._skip:
            return None  # the first packet holds the preface whole, or it is no client worth an answer
        self._received = self._received[self._skip :]
        self._skip = 0
        while len(self._received) >= 9:
            length = int.from_bytes(self._received[:3], "big")
            if length > _MAX_FRAME_BYTES:
                return None
            if len(self._received) < 9 + length:
                break
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big") & 0x7FFFFFFF
            payload = self._received[9 : 9 + length]
            self._received = self._received[9 + length :]
            if kind == _HEADERS:
                out.append(_frame(_HEADERS, _END_STREAM_AND_HEADERS, stream, _TRAILERS_ONLY))
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                out.append(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        return b"".join(out)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
