"""Rules H1 to H11: OTLP/HTTP, what is accepted and what is refused; bytes on the wire."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import zstandard

from receiver.decode.wire import encode_varint
from receiver.ports import Encoding
from receiver.signals import Signal
from tests.conformance.conftest import LIMIT, Trouble, every_temporary_failure
from tests.support import raw_http
from tests.support.otlp_exchange import (
    CONTENT_TYPES,
    HTTP_PROTOBUF,
    Answer,
    Way,
    every_http_way,
    every_signal,
    http_port,
    send,
)
from tests.support.otlp_messages import one_record, written
from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import stored_counts

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}
MALFORMED = {Encoding.PROTOBUF: b"\xff\xff\xff", Encoding.JSON: b'{"resourceSpans": ['}
EMPTY = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}


def body_of(way: Way, size: int) -> bytes:
    """Return an acceptable request of exactly so many bytes."""
    if way.encoding is Encoding.JSON:
        return b"{" + b" " * (size - 2) + b"}"
    tag = encode_varint(4242 << 3 | 2)
    filling = size - len(tag) - len(encode_varint(size))
    return tag + encode_varint(filling) + bytes(filling)


@every_http_way
@every_signal
async def test_h1_each_signal_has_its_path(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """What is posted to it is stored as that signal and as no other."""
    assert (await send(receiver, way, signal, one_record(signal, service))).accepted
    receiver.flush()
    assert stored_counts(receiver, service) == {each: int(each is signal) for each in Signal}


@every_signal
async def test_h2_the_content_type_chooses_the_encoding(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """On one port and one connection; a body in the other encoding is refused."""
    bodies = (one_record(signal, service, number) for number in range(10))
    async with raw_http.connection(http_port(receiver)) as http:
        for says, is_in in [(a, b) for a in Encoding for b in Encoding]:
            body = written(next(bodies), is_in)
            answer = await http.request(signal.http_path, body, headers={"Content-Type": CONTENT_TYPES[says]})
            assert answer.status == (200 if says is is_in else 400)


@every_http_way
@every_signal
async def test_h3_the_answer_has_the_encoding_of_the_request(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """Of a success and of an error, however the content type is spelt."""
    plain = CONTENT_TYPES[way.encoding]
    spellings = [plain, plain.upper(), f"{plain}; charset=utf-8", f"{plain};charset=UTF-8;a=b", f" {plain} "]
    async with raw_http.connection(http_port(receiver)) as http:
        for spelling in spellings:
            for body, status in ((EMPTY, 200), (MALFORMED, 400)):
                headers = {"Content-Type": spelling}
                answer = await http.request(signal.http_path, body[way.encoding], headers=headers)
                assert (answer.status, answer.headers["content-type"]) == (status, plain)


@every_http_way
@every_signal
async def test_h4_compressed_bodies_mean_what_plain_ones_mean(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """The gzip that every receiver must have, and deflate and zstd."""
    for number, (coding, compress) in enumerate(CODINGS.items()):
        body = compress(written(one_record(signal, service, number), way.encoding))
        answer = await send(receiver, way, signal, body, headers={"Content-Encoding": coding})
        assert answer.partial_success(signal) is None
    receiver.flush()
    assert stored_counts(receiver, service)[signal] == len(CODINGS)


@every_http_way
@every_signal
async def test_h5_one_byte_above_the_limit_is_413(limited: ReceiverProcess, way: Way, signal: Signal) -> None:
    """Counted after inflating, whatever the coding; exactly the limit is accepted."""
    for coding, compress in CODINGS.items():
        headers = {"Content-Encoding": coding}
        accepted = await send(limited, way, signal, compress(body_of(way, LIMIT)), headers=headers)
        assert accepted.partial_success(signal) is None
        refused = await send(limited, way, signal, compress(body_of(way, LIMIT + 1)), headers=headers)
        refused.assert_permanent(code=8, http_status=413)
        assert str(LIMIT) in refused.status.message


async def test_h5_the_default_limit_is_64_mib_to_the_byte(receiver: ReceiverProcess) -> None:
    """After inflating; what a client sends is some hundred kilobytes."""
    for size, status in ((64 << 20, 200), ((64 << 20) + 1, 413)):
        answer = await send(
            receiver, HTTP_PROTOBUF, Signal.LOGS, body_of(HTTP_PROTOBUF, size), compressed=True
        )
        assert answer.http is not None
        assert answer.http.status == status


@every_http_way
@every_signal
async def test_h6_an_answer_is_plain_whatever_the_client_accepts(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """A permitted choice: answers are too short to gain anything."""
    for body in (EMPTY, MALFORMED):
        answer = await send(
            receiver, way, signal, body[way.encoding], headers={"Accept-Encoding": "gzip, deflate, br"}
        )
        assert answer.http is not None
        assert "content-encoding" not in answer.http.headers


@every_http_way
@every_signal
async def test_h7_success_is_200_with_the_empty_response(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """And with its length."""
    answer = (await send(receiver, way, signal, one_record(signal, service))).http
    assert answer is not None
    assert (answer.status, answer.body) == (200, EMPTY[way.encoding])
    assert answer.headers["content-length"] == str(len(answer.body))


REFUSALS = {
    "malformed": (400, 3, "POST", {}),
    "path": (404, 12, "POST", {}),
    "method": (405, 12, "GET", {}),
    "size": (413, 8, "POST", {}),
    "coding": (415, 3, "POST", {"Content-Encoding": "br"}),
    "page": (403, 7, "POST", {"Origin": "https://elsewhere.example"}),
}


@every_http_way
@every_signal
async def test_h8_the_body_of_a_refusal_is_a_status_in_the_requests_encoding(
    limited: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """With a code, a message, and its length; 503 is with rule H9."""
    bodies = {"malformed": MALFORMED[way.encoding], "size": body_of(way, LIMIT + 1)}
    for name, (status, code, method, headers) in REFUSALS.items():
        raw = await raw_http.request(
            http_port(limited),
            "/v1/nothing" if name == "path" else signal.http_path,
            bodies.get(name, b""),
            method=method,
            headers={"Content-Type": CONTENT_TYPES[way.encoding], **headers},
        )
        Answer(way, raw.body, http=raw).assert_permanent(code=code, http_status=status)
        assert raw.headers["content-length"] == str(len(raw.body))


@every_http_way
@every_signal
@every_temporary_failure
async def test_h9_a_temporary_failure_is_503_and_nothing_else(
    trouble: Trouble, temporary: str, way: Way, signal: Signal, service: str
) -> None:
    """A 500 would make clients drop what they have."""
    with trouble() as receiver:
        answer = await send(receiver, way, signal, one_record(signal, service))
    assert answer.http is not None
    assert answer.http.status == 503
    assert answer.http.headers["content-type"] == CONTENT_TYPES[way.encoding]
    assert answer.status.code == 14


@every_http_way
@every_signal
async def test_h10_what_cannot_be_decoded_is_400_with_bad_request_in_its_details(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """The details repeat what is wrong."""
    answer = await send(receiver, way, signal, MALFORMED[way.encoding])
    answer.assert_permanent(code=3, http_status=400)
    assert answer.bad_request is not None
    assert answer.bad_request.field_violations[0].description == answer.status.message


@every_http_way
@every_signal
@every_temporary_failure
async def test_h11_retry_after_is_two_whole_seconds(
    trouble: Trouble, temporary: str, way: Way, signal: Signal, service: str
) -> None:
    """Neither 0, which uses up all attempts at once, nor more than clients wait."""
    with trouble() as receiver:
        answer = await send(receiver, way, signal, one_record(signal, service))
    assert answer.http is not None
    assert answer.http.headers["retry-after"] == "2"


def test_h8_json_of_a_status_has_a_number_for_its_code(receiver: ReceiverProcess) -> None:
    """As google.rpc.Status is written in JSON."""
    refused = receiver.send("/v1/logs", MALFORMED[Encoding.JSON])
    assert json.loads(refused.body)["code"] == 3
