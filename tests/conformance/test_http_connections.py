"""Rules H12 to H16: what HTTP itself asks for, connections, and web pages."""

from __future__ import annotations

import gzip

import pytest

from receiver.ports import Encoding
from receiver.signals import Signal
from tests.conformance.conftest import LIMIT, Trouble, every_temporary_failure
from tests.support import raw_http, raw_http2
from tests.support.otlp_exchange import (
    CONTENT_TYPES,
    HTTP_JSON,
    HTTP_PROTOBUF,
    Answer,
    Way,
    every_http_way,
    every_signal,
    http_port,
    send,
)
from tests.support.otlp_messages import full_request, one_record, written
from tests.support.raw_http import chunk, request_bytes
from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import stored_counts

_PAGE = "http://localhost:3000"
_EMPTY = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}


def stored_count(receiver: ReceiverProcess, signal: Signal, service: str) -> int:
    """Return how many records of a service are stored."""
    receiver.flush()
    return stored_counts(receiver, service)[signal]


@every_http_way
@every_signal
async def test_h12_a_wrong_method_is_405_that_names_the_right_one(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """In Allow, with a Status in the request's encoding."""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        headers = {"Content-Type": CONTENT_TYPES[way.encoding]}
        raw = await raw_http.request(
            http_port(receiver), signal.http_path, b"", method=method, headers=headers
        )
        Answer(way, raw.body, http=raw).assert_permanent(code=12, http_status=405)
        assert raw.headers["allow"] == "POST"


@every_http_way
@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1/traces/", "/v1/TRACES", "/v1development/profiles"])
async def test_g9_h12_a_path_that_is_not_served_is_404(
    receiver: ReceiverProcess, way: Way, path: str
) -> None:
    """Profiles among them; the message names those that are."""
    raw = await raw_http.request(
        http_port(receiver), path, b"", headers={"Content-Type": CONTENT_TYPES[way.encoding]}
    )
    answer = Answer(way, raw.body, http=raw)
    answer.assert_permanent(code=12, http_status=404)
    assert "/v1/traces, /v1/metrics, /v1/logs" in answer.status.message


@every_signal
async def test_h12_a_content_type_that_is_not_served_is_415_in_json(
    receiver: ReceiverProcess, signal: Signal
) -> None:
    """The message says which are."""
    for content_type in [None, "", "text/plain", "application/protobuf", "application/x-ndjson"]:
        headers = {} if content_type is None else {"Content-Type": content_type}
        raw = await raw_http.request(http_port(receiver), signal.http_path, b"{}", headers=headers)
        answer = Answer(HTTP_JSON, raw.body, http=raw)
        answer.assert_permanent(code=3, http_status=415)
        assert "application/x-protobuf or application/json" in answer.status.message


@every_http_way
@every_signal
async def test_h12_a_coding_that_is_not_served_is_415_that_names_those_that_are(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """In Accept-Encoding."""
    for coding in ("br", "snappy", "gzip, br"):
        answer = await send(receiver, way, signal, b"", headers={"Content-Encoding": coding})
        answer.assert_permanent(code=3, http_status=415)
        assert answer.http is not None
        assert answer.http.headers["accept-encoding"] == "gzip, deflate, zstd, identity"


@every_http_way
@every_signal
async def test_h13_an_answer_comes_before_the_connection_is_closed(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """To a client that asks for the end, after a success and after an error."""
    for body, status in ((_EMPTY[way.encoding], 200), (b"\xff", 400)):
        headers = {"Content-Type": CONTENT_TYPES[way.encoding], "Connection": "close"}
        async with raw_http.connection(http_port(receiver)) as http:
            assert (await http.request(signal.http_path, body, headers=headers)).status == status
            assert await http.closed() == b""


@every_http_way
@every_signal
async def test_h13_who_hears_no_answer_and_sends_again_is_stored_once(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """The connection is cut when the request is complete; the retry comes on another one."""
    body = written(one_record(signal, service), way.encoding)
    headers = {"Content-Type": CONTENT_TYPES[way.encoding]}
    async with raw_http.connection(http_port(receiver)) as http:
        await http.write(request_bytes(signal.http_path, body, headers=headers))
    assert (await send(receiver, way, signal, body)).accepted
    assert stored_count(receiver, signal, service) == 1


@every_http_way
async def test_h14_one_connection_serves_all_signals_one_after_another(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Errors in between change nothing."""
    headers = {"Content-Type": CONTENT_TYPES[way.encoding]}
    async with raw_http.connection(http_port(receiver)) as http:
        for number, signal in enumerate([*Signal, *Signal]):
            body = written(one_record(signal, service, number), way.encoding)
            for path, status in ((signal.http_path, 200), ("/nowhere", 404)):
                answer = await http.request(path, body, headers=headers)
                assert (answer.status, answer.headers.get("connection")) == (status, None)


@every_http_way
@every_signal
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_h14_chunked_bodies_are_put_together(
    receiver: ReceiverProcess, way: Way, signal: Signal, compressed: bool, service: str
) -> None:
    """Cut anywhere, with and without gzip."""
    body = written(full_request(signal, service), way.encoding)
    headers = {"Content-Type": CONTENT_TYPES[way.encoding], "Transfer-Encoding": "chunked"}
    wire = gzip.compress(body) if compressed else body
    async with raw_http.connection(http_port(receiver)) as http:
        await http.write(
            request_bytes(
                signal.http_path, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {})
            )
        )
        for at in range(0, len(wire), 97):
            await http.write(chunk(wire[at : at + 97]))
        await http.write(chunk(b""))
        answer = await http.answer()
    assert (answer.status, answer.body) == (200, _EMPTY[way.encoding])


@every_http_way
@every_signal
async def test_h14_expect_100_continue_is_answered_before_the_body_comes(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """As curl asks for it with large bodies."""
    body = written(one_record(signal, service), way.encoding)
    headers = {
        "Content-Type": CONTENT_TYPES[way.encoding],
        "Expect": "100-continue",
        "Content-Length": str(len(body)),
    }
    async with raw_http.connection(http_port(receiver)) as http:
        await http.write(request_bytes(signal.http_path, headers=headers))
        assert (await http.answer()).status == 100
        await http.write(body)
        assert (await http.answer()).status == 200


async def test_h14_pipelined_requests_are_answered_in_their_order(
    receiver: ReceiverProcess, service: str
) -> None:
    """Of all signals, in both encodings, good and bad; each answer is the one to its request."""
    wire, expected = b"", []
    for number, signal in enumerate([*Signal, *Signal]):
        way = (HTTP_PROTOBUF, HTTP_JSON)[number % 2]
        headers = {"Content-Type": CONTENT_TYPES[way.encoding]}
        good = written(one_record(signal, service, number), way.encoding)
        wire += request_bytes(signal.http_path, good, headers=headers)
        wire += request_bytes(signal.http_path, b"\xff", headers=headers)
        wire += request_bytes("/nowhere", b"", headers=headers)
        expected += [(status, headers["Content-Type"]) for status in (200, 400, 404)]
    async with raw_http.connection(http_port(receiver)) as http:
        await http.write(wire)
        answers = [await http.answer() for _ in expected]
    assert [(answer.status, answer.headers["content-type"]) for answer in answers] == expected


@every_signal
async def test_h15_a_port_serves_its_own_transport_and_says_so(
    receiver: ReceiverProcess, signal: Signal
) -> None:
    """A gRPC client on the HTTP port reads the hint as its status; both on one port is not offered."""
    answer = await raw_http2.call(receiver.http, signal.grpc_method, b"")
    assert (answer.code, answer.is_trailers_only) == (12, True)
    assert b"4317" in answer.trailers["grpc-message"]


@every_signal
async def test_h16_a_preflight_is_204_with_all_that_a_browser_asks(
    receiver: ReceiverProcess, signal: Signal
) -> None:
    """Origin, method, headers of the page's own, and for how long it holds."""
    asked = {
        "Origin": _PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-tenant",
    }
    answer = await raw_http.request(http_port(receiver), signal.http_path, method="OPTIONS", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == _PAGE
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-tenant"
    assert int(answer.headers["access-control-max-age"]) > 0
    assert answer.headers["vary"] == "Origin"


def assert_readable(answer: raw_http.RawAnswer) -> None:
    """Check that the page may read the answer, and Retry-After with it."""
    assert answer.headers["access-control-allow-origin"] == _PAGE
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert answer.headers["vary"] == "Origin"


@every_http_way
@every_signal
async def test_h16_a_page_can_read_every_answer(limited: ReceiverProcess, way: Way, signal: Signal) -> None:
    """A success, and each kind of refusal."""
    content_type = {"Content-Type": CONTENT_TYPES[way.encoding], "Origin": _PAGE}
    requests = [
        (200, "POST", signal.http_path, _EMPTY[way.encoding], {}),
        (400, "POST", signal.http_path, b"\xff", {}),
        (404, "POST", "/v1/nothing", b"", {}),
        (405, "PUT", signal.http_path, b"", {}),
        (413, "POST", signal.http_path, bytes(LIMIT + 1), {}),
        (415, "POST", signal.http_path, b"", {"Content-Encoding": "br"}),
        (415, "POST", signal.http_path, b"", {"Content-Type": "text/plain"}),
    ]
    for status, method, path, body, headers in requests:
        answer = await raw_http.request(
            http_port(limited), path, body, method=method, headers=content_type | headers
        )
        assert answer.status == status
        assert_readable(answer)


@every_http_way
@every_signal
@every_temporary_failure
async def test_h16_a_page_can_read_that_it_may_send_again(
    trouble: Trouble, temporary: str, way: Way, signal: Signal, service: str
) -> None:
    """503 and its Retry-After."""
    with trouble() as receiver:
        answer = await send(receiver, way, signal, one_record(signal, service), headers={"Origin": _PAGE})
    answer.assert_retryable()
    assert answer.http is not None
    assert_readable(answer.http)


@every_http_way
@every_signal
async def test_h16_a_page_of_another_origin_is_told_nothing(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """Neither its preflight nor its request gets a header that would let it read."""
    for method in ("OPTIONS", "POST"):
        answer = await raw_http.request(
            http_port(receiver),
            signal.http_path,
            _EMPTY[way.encoding],
            method=method,
            headers={"Content-Type": CONTENT_TYPES[way.encoding], "Origin": "https://elsewhere.example"},
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["vary"] == "Origin"
