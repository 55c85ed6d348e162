"""The table from errors to answers, row by row."""

from __future__ import annotations

import grpc
import pytest

from receiver.errors import (
    BusyError,
    MalformedRequestError,
    PayloadTooLargeError,
    PermanentError,
    ReceiverError,
    RetryableError,
    ShuttingDownError,
    SpoolUnavailableError,
    StoreUnavailableError,
    TooManyRecordsError,
    UnsupportedMediaError,
)
from receiver.telemetry.metrics import Refusal
from receiver.transport.errors import (
    BodyTimeoutError,
    MethodNotAllowedError,
    ResponseTooLargeError,
    UnknownEncodingError,
    UnknownPathError,
)
from receiver.transport.status import capped, error_answer

Code = grpc.StatusCode
RETRYABLE_HTTP = {429, 502, 503, 504}
RETRYABLE_GRPC = {
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.ABORTED,
    Code.OUT_OF_RANGE,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
TABLE = [
    (BusyError("m"), Code.UNAVAILABLE, 503, Refusal.BUSY),
    (RetryableError("m"), Code.UNAVAILABLE, 503, Refusal.BUSY),
    (ShuttingDownError("m"), Code.UNAVAILABLE, 503, Refusal.STOPPING),
    (SpoolUnavailableError("m"), Code.UNAVAILABLE, 503, Refusal.DISK),
    (StoreUnavailableError("m"), Code.UNAVAILABLE, 503, Refusal.DISK),
    (ValueError("m"), Code.UNAVAILABLE, 503, Refusal.INTERNAL),
    (TimeoutError("m"), Code.UNAVAILABLE, 503, Refusal.INTERNAL),
    (ReceiverError("m"), Code.UNAVAILABLE, 503, Refusal.INTERNAL),
    (PermanentError("m"), Code.INVALID_ARGUMENT, 400, Refusal.MALFORMED),
    (MalformedRequestError("m"), Code.INVALID_ARGUMENT, 400, Refusal.MALFORMED),
    (TooManyRecordsError("m"), Code.INVALID_ARGUMENT, 400, Refusal.TOO_MANY_RECORDS),
    (PayloadTooLargeError("m"), Code.RESOURCE_EXHAUSTED, 413, Refusal.TOO_LARGE),
    (ResponseTooLargeError("m"), Code.RESOURCE_EXHAUSTED, 500, Refusal.TOO_LARGE),
    (UnsupportedMediaError("m"), Code.INVALID_ARGUMENT, 415, Refusal.UNSUPPORTED),
    (UnknownEncodingError("m"), Code.INVALID_ARGUMENT, 415, Refusal.UNSUPPORTED),
    (UnknownPathError("m"), Code.UNIMPLEMENTED, 404, Refusal.UNSUPPORTED),
    (MethodNotAllowedError("m"), Code.UNIMPLEMENTED, 405, Refusal.UNSUPPORTED),
    (BodyTimeoutError("m"), Code.INVALID_ARGUMENT, 408, Refusal.MALFORMED),
]


@pytest.mark.parametrize(("error", "code", "http_status", "reason"), TABLE)
def test_g4_g5_h9_each_error_has_its_row(
    error: Exception, code: grpc.StatusCode, http_status: int, reason: Refusal
) -> None:
    """Code, status and counted reason, and a retry is asked for exactly where one helps."""
    answer = error_answer(error, retry_after_s=1.9)
    assert (answer.code, answer.http_status, answer.reason) == (code, http_status, reason)
    asked = answer.retry_after_s is not None
    assert asked == (code in RETRYABLE_GRPC) == (http_status in RETRYABLE_HTTP)
    assert asked == ("google.rpc.retryinfo-bin" in dict(answer.trailing_metadata()))
    assert asked == (b"retry-after" in dict(answer.http_headers()))


def test_g4_the_errors_own_delay_comes_before_the_configured_one() -> None:
    """Whoever knows better says so."""
    assert error_answer(BusyError("m", retry_after_s=0.5), retry_after_s=1.9).retry_after_s == 0.5
    assert error_answer(BusyError("m"), retry_after_s=1.9).retry_after_s == 1.9


def test_h12_headers_go_with_their_rows() -> None:
    """Allow with 405, Accept-Encoding with an unknown coding, and a closed connection with 408."""
    assert dict(error_answer(MethodNotAllowedError("m"), retry_after_s=1).http_headers()) == {
        b"allow": b"POST"
    }
    assert b"accept-encoding" in dict(error_answer(UnknownEncodingError("m"), retry_after_s=1).http_headers())
    assert dict(error_answer(BodyTimeoutError("m"), retry_after_s=1).http_headers()) == {
        b"connection": b"close"
    }


def test_the_hint_stands_behind_the_message_and_unexpected_text_nowhere() -> None:
    """A client learns what to do, and nothing of the inside."""
    assert error_answer(BusyError("full", hint="wait"), retry_after_s=1).message == "full; wait"
    assert "secret" not in error_answer(ValueError("secret"), retry_after_s=1).message


@pytest.mark.parametrize(
    ("text", "length"), [("a" * 1024, 1024), ("a" * 1025, 1024), ("é" * 600, 1024), ("\ud800", 1)]
)
def test_c11_texts_are_cut_between_characters(text: str, length: int) -> None:
    """The result is at most 1 KiB of valid UTF-8."""
    assert length - 1 <= len(capped(text).encode()) <= length
