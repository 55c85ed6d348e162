"""What OTLP/HTTP refuses, and how it says so; the numbers are those of the server rules."""

from __future__ import annotations

import gzip
import zlib

import orjson
import pytest
import zstandard
from google.rpc import error_details_pb2, status_pb2

from receiver.errors import (
    BusyError,
    MalformedRequestError,
    PayloadTooLargeError,
    ReceiverError,
    ShuttingDownError,
    SpoolUnavailableError,
    StoreUnavailableError,
    TooManyRecordsError,
)
from receiver.ports import Encoding
from tests.integration.transport.conftest import Listeners
from tests.support import raw_http

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TYPES = {Encoding.PROTOBUF: PROTOBUF, Encoding.JSON: JSON}
every_encoding = pytest.mark.parametrize("encoding", list(Encoding), ids=lambda e: e.value)


def status_of(answer: raw_http.RawAnswer) -> tuple[int, str]:
    """Return code and message of the Status in a body, by the answer's own content type."""
    if answer.headers["content-type"] == "application/x-protobuf":
        status = status_pb2.Status.FromString(answer.body)
        return status.code, status.message
    assert answer.headers["content-type"] == "application/json"
    fields = orjson.loads(answer.body)
    return fields["code"], fields["message"]


@every_encoding
@pytest.mark.parametrize(
    ("error", "http_status", "code"),
    [
        (MalformedRequestError("m"), 400, 3),
        (TooManyRecordsError("m"), 400, 3),
        (PayloadTooLargeError("m"), 413, 8),
        (BusyError("m"), 503, 14),
        (ShuttingDownError("m"), 503, 14),
        (SpoolUnavailableError("m"), 503, 14),
        (StoreUnavailableError("m"), 503, 14),
    ],
)
async def test_c7_h3_h8_h9_every_error_has_its_status_in_the_requests_encoding(
    listeners: Listeners, encoding: Encoding, error: ReceiverError, http_status: int, code: int
) -> None:
    """Temporary failures are 503 and nothing else; permanent ones are no retryable status."""
    listener = await listeners.http()
    listener.intake.error = error
    answer = await raw_http.request(listener.port, "/v1/traces", b"{}", headers=TYPES[encoding])
    assert answer.status == http_status
    assert answer.headers["content-type"] == TYPES[encoding]["Content-Type"]
    assert status_of(answer) == (code, "m")
    assert answer.headers.get("retry-after") == ("2" if http_status == 503 else None)
    assert listener.intake.used_bytes == 0


async def test_h10_bad_data_names_a_bad_request_in_its_details(listeners: Listeners) -> None:
    """400 with google.rpc.BadRequest, in protobuf and in JSON."""
    listener = await listeners.http()
    listener.intake.error = MalformedRequestError("not protobuf")
    answer = await raw_http.request(listener.port, "/v1/traces", b"x", headers=PROTOBUF)
    detail = error_details_pb2.BadRequest()
    assert status_pb2.Status.FromString(answer.body).details[0].Unpack(detail)
    assert detail.field_violations[0].description == "not protobuf"
    answer = await raw_http.request(listener.port, "/v1/traces", b"x", headers=JSON)
    assert orjson.loads(answer.body)["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


@pytest.mark.parametrize(
    ("asked_s", "header"), [(None, "2"), (0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2")]
)
async def test_h11_retry_after_is_whole_seconds_and_never_zero(
    listeners: Listeners, asked_s: float | None, header: str
) -> None:
    """The configured 1.9 s become 2, and 0 becomes 1: a client would use up its attempts at once."""
    listener = await listeners.http()
    listener.intake.error = BusyError("full", retry_after_s=asked_s)
    answer = await raw_http.request(listener.port, "/v1/logs", b"{}", headers=JSON)
    assert (answer.status, answer.headers["retry-after"]) == (503, header)


async def test_h9_an_unexpected_exception_is_503_and_its_text_stays_inside(
    listeners: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    """Never a 500; the log has the traceback; a counter counts."""
    listener = await listeners.http()
    listener.intake.error = ValueError("secret of the inside")
    answer = await raw_http.request(listener.port, "/v1/logs", b"{}", headers=JSON)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert b"secret" not in answer.body
    assert "secret of the inside" in caplog.text
    labels = {"signal": "logs", "transport": "http", "reason": "internal"}
    assert listener.sample("otlp_receiver_refused_requests_total", **labels) == 1


@every_encoding
@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1/traces/", "/v1development/profiles"])
async def test_h12_another_path_is_404(listeners: Listeners, path: str, encoding: Encoding) -> None:
    """The answer names the paths that are served."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, path, b"{}", headers=TYPES[encoding])
    assert answer.status == 404
    code, message = status_of(answer)
    assert code == 12
    assert "/v1/traces, /v1/metrics, /v1/logs" in message


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/v1/logs"])
async def test_h12_another_method_is_405_with_allow(listeners: Listeners, method: str, path: str) -> None:
    """The answer says which one is served."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, path, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert status_of(answer) == (12, f"{method} is not served here; POST to {path}")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/protobuf", "1234"])
async def test_h12_a_missing_or_wrong_content_type_is_415(
    listeners: Listeners, content_type: str | None
) -> None:
    """Nothing is guessed."""
    listener = await listeners.http()
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await raw_http.request(listener.port, "/v1/traces", b"{}", headers=headers)
    assert answer.status == 415
    assert "accept-encoding" not in answer.headers
    assert "application/x-protobuf or application/json" in status_of(answer)[1]
    assert listener.intake.requests == []


@every_encoding
@pytest.mark.parametrize("coding", ["br", "snappy", "gzip, gzip", "gzip, br"])
async def test_h12_an_unknown_content_encoding_is_415_with_accept_encoding(
    listeners: Listeners, coding: str, encoding: Encoding
) -> None:
    """The header lists what may be sent; so does the text."""
    listener = await listeners.http()
    headers = TYPES[encoding] | {"Content-Encoding": coding}
    answer = await raw_http.request(listener.port, "/v1/traces", b"{}", headers=headers)
    assert answer.status == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, identity"
    assert answer.headers["content-type"] == TYPES[encoding]["Content-Type"]
    assert status_of(answer)[0] == 3


async def test_h12_grpc_over_http_1_is_told_the_port(listeners: Listeners) -> None:
    """An exporter with the wrong protocol set reads what to change."""
    listener = await listeners.http()
    answer = await raw_http.request(
        listener.port, "/v1/traces", b"", headers={"Content-Type": "application/grpc+proto"}
    )
    assert answer.status == 415
    assert "4317" in status_of(answer)[1]


GZIP = gzip.compress(b"hello" * 100, mtime=0)
ZLIB = zlib.compress(b"hello" * 100)
ZSTD = zstandard.compress(b"hello" * 100)


@pytest.mark.parametrize(
    ("coding", "wire"),
    [
        ("gzip", b"{}"),
        ("gzip", b""),
        ("gzip", GZIP[:-1]),
        ("gzip", GZIP[:-9]),
        ("gzip", GZIP[:5]),
        ("gzip", GZIP + b"garbage"),
        ("gzip", GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:]),
        ("deflate", b"\x78\x9c{}"),
        ("deflate", ZLIB[:-1]),
        ("deflate", ZLIB + b"x"),
        ("zstd", b"{}"),
        ("zstd", b""),
        ("zstd", b"plain text, long enough"),
        ("zstd", ZSTD[:-1]),
        ("zstd", ZSTD[:6]),
        ("zstd", ZSTD + b"x"),
        ("zstd", ZSTD + ZSTD[:-2]),
    ],
)
async def test_h4_h10_a_corrupt_or_truncated_compressed_body_is_400(
    listeners: Listeners, coding: str, wire: bytes
) -> None:
    """Never an export of what could be inflated so far."""
    listener = await listeners.http()
    headers = JSON | {"Content-Encoding": coding}
    answer = await raw_http.request(listener.port, "/v1/traces", wire, headers=headers)
    assert answer.status == 400
    assert coding in status_of(answer)[1]
    assert listener.intake.requests == []
    assert listener.intake.used_bytes == 0
    labels = {"signal": "traces", "transport": "http", "reason": "malformed"}
    assert listener.sample("otlp_receiver_refused_requests_total", **labels) == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"garbage\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["garbage", "two-lengths", "negative-length", "tls"],
)
async def test_h8_what_is_not_http_is_400_with_a_status_and_a_closed_connection(
    listeners: Listeners, wire: bytes
) -> None:
    """Even below the application the body is a Status, in JSON."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(wire)
        answer = await http.answer()
        assert answer.status == 400
        assert status_of(answer) == (3, "Invalid HTTP request received.")
        assert await http.closed() == b""


async def test_h8_head_has_no_body(listeners: Listeners) -> None:
    """HEAD is a method that is not served, and its answer is a head."""
    listener = await listeners.http()
    async with raw_http.connection(listener.port) as http:
        await http.write(raw_http.request_bytes("/v1/traces", method="HEAD", headers={"Connection": "close"}))
        head = await http.closed()
    assert head.startswith(b"HTTP/1.1 405 ")
    assert head.endswith(b"\r\n\r\n")
