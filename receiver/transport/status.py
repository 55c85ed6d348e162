"""The one table from errors to what a client is told: gRPC code and trailers, HTTP status, headers and body.

In: an exception. Out: an :class:`ErrorAnswer`. Promised: a temporary failure is told in a way that every
exporter retries, a permanent one in a way that none does, and no text of an unexpected exception gets out.

Source: https://opentelemetry.io/docs/specs/otlp/ (1.11), "Failures" and "OTLP/HTTP Throttling".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import grpc
import orjson
from google.protobuf import any_pb2, duration_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from receiver.errors import (
    PayloadTooLargeError,
    PermanentError,
    ReceiverError,
    RetryableError,
    ShuttingDownError,
    SpoolUnavailableError,
    StoreUnavailableError,
    TooManyRecordsError,
    UnauthenticatedError,
    UnsupportedMediaError,
)
from receiver.ports import Encoding
from receiver.telemetry.metrics import Refusal
from receiver.transport.errors import (
    BodyTimeoutError,
    ForeignOriginError,
    MethodNotAllowedError,
    ResponseTooLargeError,
    UnknownEncodingError,
    UnknownPathError,
)

MESSAGE_BYTES = 1024
"""Upper bound of any text in an answer, in bytes of UTF-8 (rule C11)."""
CHALLENGE = 'Bearer realm="otlp-receiver"'
"""What ``WWW-Authenticate`` says with 401."""
SERVED_ENCODINGS = "gzip, deflate, zstd, identity"
"""The content codings of request bodies, as ``Accept-Encoding`` names them."""

_INTERNAL_TEXT = "the receiver failed while it worked on this request; it is safe to send it again"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table."""

    error: type[BaseException]
    code: grpc.StatusCode
    http_status: int
    reason: Refusal
    headers: tuple[tuple[bytes, bytes], ...] = ()


# The first row that fits counts, so a class stands above its bases. RetryInfo and Retry-After go with every
# UNAVAILABLE and with nothing else: RESOURCE_EXHAUSTED must not carry one here (rule G2), as it would be retried.
_TABLE = (
    _Row(ShuttingDownError, grpc.StatusCode.UNAVAILABLE, 503, Refusal.STOPPING),
    _Row(SpoolUnavailableError, grpc.StatusCode.UNAVAILABLE, 503, Refusal.DISK),
    _Row(StoreUnavailableError, grpc.StatusCode.UNAVAILABLE, 503, Refusal.DISK),
    _Row(RetryableError, grpc.StatusCode.UNAVAILABLE, 503, Refusal.BUSY),
    _Row(
        UnauthenticatedError,
        grpc.StatusCode.UNAUTHENTICATED,
        401,
        Refusal.UNAUTHENTICATED,
        ((b"www-authenticate", CHALLENGE.encode()),),
    ),
    _Row(ForeignOriginError, grpc.StatusCode.PERMISSION_DENIED, 403, Refusal.ORIGIN),
    _Row(PayloadTooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413, Refusal.TOO_LARGE),
    _Row(ResponseTooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 500, Refusal.TOO_LARGE),
    _Row(TooManyRecordsError, grpc.StatusCode.INVALID_ARGUMENT, 400, Refusal.TOO_MANY_RECORDS),
    _Row(
        UnknownEncodingError,
        grpc.StatusCode.INVALID_ARGUMENT,
        415,
        Refusal.UNSUPPORTED,
        ((b"accept-encoding", SERVED_ENCODINGS.encode()),),
    ),
    _Row(UnsupportedMediaError, grpc.StatusCode.INVALID_ARGUMENT, 415, Refusal.UNSUPPORTED),
    _Row(UnknownPathError, grpc.StatusCode.UNIMPLEMENTED, 404, Refusal.UNSUPPORTED),
    _Row(
        MethodNotAllowedError,
        grpc.StatusCode.UNIMPLEMENTED,
        405,
        Refusal.UNSUPPORTED,
        ((b"allow", b"POST"),),
    ),
    _Row(
        BodyTimeoutError,
        grpc.StatusCode.INVALID_ARGUMENT,
        408,
        Refusal.MALFORMED,
        ((b"connection", b"close"),),
    ),
    _Row(PermanentError, grpc.StatusCode.INVALID_ARGUMENT, 400, Refusal.MALFORMED),
)
# What nobody foresaw may be a fault of the moment: asked to retry, a client loses nothing (as in the Collector).
_UNEXPECTED = _Row(BaseException, grpc.StatusCode.UNAVAILABLE, 503, Refusal.INTERNAL)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a client is told about one refused request, for either transport."""

    code: grpc.StatusCode
    http_status: int
    reason: Refusal
    message: str
    retry_after_s: float | None
    """Seconds that the client is asked to wait; None exactly where a retry is useless."""
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()

    def status(self) -> status_pb2.Status:
        """Return the ``google.rpc.Status`` with RetryInfo or BadRequest packed into its details."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        detail = any_pb2.Any()
        if self.retry_after_s is not None:
            detail.Pack(self._retry_info(self.retry_after_s))
            status.details.append(detail)
        elif self.code is grpc.StatusCode.INVALID_ARGUMENT:
            violation = error_details_pb2.BadRequest.FieldViolation(description=self.message)
            detail.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
            status.details.append(detail)
        return status

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Return the gRPC trailers.

        RetryInfo goes out twice: Go, Rust and the Collector read the status details, the Python exporter
        reads only ``google.rpc.retryinfo-bin``.
        """
        status = ("grpc-status-details-bin", self.status().SerializeToString())
        if self.retry_after_s is None:
            return (status,)
        info = self._retry_info(self.retry_after_s).SerializeToString()
        return (status, ("google.rpc.retryinfo-bin", info))

    def http_body(self, encoding: Encoding) -> bytes:
        """Return the ``google.rpc.Status`` in the encoding of the request (rule H8)."""
        if encoding is Encoding.PROTOBUF:
            serialized: bytes = self.status().SerializeToString()
            return serialized
        fields: dict[str, Any] = json_format.MessageToDict(self.status())
        return orjson.dumps(fields)

    def http_headers(self) -> Headers:
        """Return the headers that belong to this status: Retry-After, Allow, Accept-Encoding."""
        headers = list(self.extra_headers)
        if self.retry_after_s is not None:
            # Whole seconds, and never 0: exporters take 0 as leave to burn all attempts at once (rule H11).
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
        return headers

    @staticmethod
    def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(seconds * 1000) * 1_000_000)
        return error_details_pb2.RetryInfo(retry_delay=delay)


def error_answer(error: BaseException, *, retry_after_s: float) -> ErrorAnswer:
    """Return what the client is told about ``error``.

    Args:
        error: Any exception; the text of one that is not a ``ReceiverError`` is not used.
        retry_after_s: The delay to ask for where the error names none.
    """
    row = next((row for row in _TABLE if isinstance(error, row.error)), _UNEXPECTED)
    delay = None
    if row.code is grpc.StatusCode.UNAVAILABLE:
        own = error.retry_after_s if isinstance(error, RetryableError) else None
        delay = retry_after_s if own is None else own
    known = isinstance(error, ReceiverError) and row is not _UNEXPECTED
    return ErrorAnswer(
        code=row.code,
        http_status=row.http_status,
        reason=row.reason,
        message=capped(str(error) if known else _INTERNAL_TEXT),
        retry_after_s=delay,
        extra_headers=row.headers,
    )


def capped(text: str, limit: int = MESSAGE_BYTES) -> str:
    """Return ``text``, cut at a character so that it is at most ``limit`` bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"
