"""OTLP/HTTP requests that are accepted, and partially; the numbers are those of the server rules."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable

import orjson
import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from receiver.config import ListenConfig
from receiver.ports import Encoding, ExportRequest, Outcome, Transport
from receiver.signals import Signal
from receiver.transport.endpoint import parse_endpoint
from tests.integration.transport.conftest import Listeners
from tests.support import raw_http

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
BODIES = {
    Encoding.PROTOBUF: b"\x0a\x00\x92\x84\x02\x03new" * 300,
    Encoding.JSON: b'{"nope":{},"resourceSpans":[]}',
}
TYPES = {Encoding.PROTOBUF: PROTOBUF, Encoding.JSON: JSON}


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib header, as some clients send it."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def split_gzip(data: bytes) -> bytes:
    """Gzip in three members, one of them empty."""
    return gzip.compress(data[:5]) + gzip.compress(b"") + gzip.compress(data[5:])


def two_zstd_frames(data: bytes) -> bytes:
    """Zstd in two frames."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    return compressor.compress(data[:5]) + compressor.compress(data[5:])


CODINGS: dict[str, tuple[str | None, Callable[[bytes], bytes]]] = {
    "plain": (None, bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "GZIP": ("GZIP", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip-members": ("gzip", split_gzip),
    "deflate-zlib": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", raw_deflate),
    "zstd": ("zstd", zstandard.compress),
    "zstd-frames": ("zstd", two_zstd_frames),
}

every_signal = pytest.mark.parametrize("signal", list(Signal), ids=lambda s: s.value)
every_encoding = pytest.mark.parametrize("encoding", list(Encoding), ids=lambda e: e.value)


@every_signal
@every_encoding
@pytest.mark.parametrize("name", CODINGS)
async def test_c1_h2_h4_bodies_arrive_inflated_and_byte_for_byte(
    listeners: Listeners, signal: Signal, encoding: Encoding, name: str
) -> None:
    """Both encodings on one port, plain and compressed, reach the intake as they were."""
    listener = await listeners.http()
    coding, compress = CODINGS[name]
    headers = TYPES[encoding] | ({"Content-Encoding": coding} if coding else {})
    body = BODIES[encoding]
    answer = await raw_http.request(listener.port, signal.http_path, compress(body), headers=headers)
    assert answer.status == 200
    assert listener.intake.requests == [ExportRequest(signal, body, encoding, Transport.HTTP)]
    assert listener.intake.used_bytes == 0
    labels = {"signal": signal.value, "transport": "http"}
    assert listener.sample("otlp_receiver_answer_seconds_count", **labels) == 1


@every_signal
@every_encoding
async def test_c3_h3_h7_full_success_is_200_with_the_empty_message(
    listeners: Listeners, signal: Signal, encoding: Encoding
) -> None:
    """No bytes in protobuf, an empty object in JSON, and the request's content type."""
    listener = await listeners.http()
    answer = await raw_http.request(
        listener.port, signal.http_path, BODIES[encoding], headers=TYPES[encoding]
    )
    assert answer.status == 200
    assert answer.body == (b"" if encoding is Encoding.PROTOBUF else b"{}")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["content-type"] == TYPES[encoding]["Content-Type"]
    assert "date" in answer.headers


@every_signal
async def test_c2_an_empty_protobuf_body_is_an_empty_request(listeners: Listeners, signal: Signal) -> None:
    """Nothing sent is success."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, signal.http_path, headers=PROTOBUF)
    assert (answer.status, answer.body) == (200, b"")
    assert [request.body for request in listener.intake.requests] == [b""]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", " application/json;a=b"]
)
async def test_h3_parameters_and_case_of_the_content_type_do_not_matter(
    listeners: Listeners, content_type: str
) -> None:
    """RFC 9110 says so, and clients rely on it."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, "/v1/logs", b"{}", headers={"Content-Type": content_type})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


@every_signal
@pytest.mark.parametrize(
    ("rejected", "message"), [(3, "no trace_id"), (0, "2 strings were repaired"), (2**40, "")]
)
async def test_c4_c5_c6_partial_success_in_json_has_the_count_as_text(
    listeners: Listeners, signal: Signal, rejected: int, message: str
) -> None:
    """The name of the count is the signal's; what is unset is left out."""
    listener = await listeners.http()
    listener.intake.outcome = Outcome(rejected, message)
    answer = await raw_http.request(listener.port, signal.http_path, b"{}", headers=JSON)
    name = {"traces": "rejectedSpans", "metrics": "rejectedDataPoints", "logs": "rejectedLogRecords"}
    expected = {}
    if rejected:
        expected[name[signal.value]] = str(rejected)
    if message:
        expected["errorMessage"] = message
    assert (answer.status, orjson.loads(answer.body)) == (200, {"partialSuccess": expected})


async def test_c4_partial_success_in_protobuf_counts_spans_points_and_log_records(
    listeners: Listeners,
) -> None:
    """Each signal's message has its own count."""
    listener = await listeners.http()
    listener.intake.outcome = Outcome(7, "bad")
    bodies = [
        (await raw_http.request(listener.port, signal.http_path, b"", headers=PROTOBUF)).body
        for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
    ]
    traces = trace_service_pb2.ExportTraceServiceResponse.FromString(bodies[0])
    metrics = metrics_service_pb2.ExportMetricsServiceResponse.FromString(bodies[1])
    logs = logs_service_pb2.ExportLogsServiceResponse.FromString(bodies[2])
    assert traces.partial_success.rejected_spans == 7
    assert metrics.partial_success.rejected_data_points == 7
    assert logs.partial_success.rejected_log_records == 7


async def test_c11_the_answer_leaves_out_its_text_before_it_breaks_its_limit(listeners: Listeners) -> None:
    """A small limit costs the text first, and then is a 500, which no client retries."""
    listener = await listeners.http(response_bytes=60)
    listener.intake.outcome = Outcome(7, "x" * 500)
    answer = await raw_http.request(listener.port, "/v1/traces", b"{}", headers=JSON)
    assert orjson.loads(answer.body) == {"partialSuccess": {"rejectedSpans": "7"}}
    tiny = await listeners.http(listener.intake, response_bytes=10)
    answer = await raw_http.request(tiny.port, "/v1/traces", b"{}", headers=JSON)
    assert answer.status == 500
    assert orjson.loads(answer.body)["code"] == 8


async def test_h6_answers_are_not_compressed(listeners: Listeners) -> None:
    """They are too small to gain from it, and a client's Accept-Encoding allows plain bytes."""
    listener = await listeners.http()
    answer = await raw_http.request(
        listener.port, "/v1/traces", b"{}", headers=JSON | {"Accept-Encoding": "gzip"}
    )
    assert (answer.body, "content-encoding" in answer.headers) == (b"{}", False)


def test_h1_the_default_port_is_4318() -> None:
    """What exporters try when nobody tells them anything is what is bound."""
    assert parse_endpoint(ListenConfig().http_endpoint).port == 4318


async def test_h1_a_query_string_is_no_part_of_the_path(listeners: Listeners) -> None:
    """Users put their keys there for other receivers."""
    listener = await listeners.http()
    assert (await raw_http.request(listener.port, "/v1/logs?key=1", b"", headers=PROTOBUF)).status == 200


async def test_requests_on_many_connections_are_in_hand_together(listeners: Listeners) -> None:
    """They do not wait for each other, and every one is answered."""
    listener = await listeners.http()
    listener.intake.block()
    async with asyncio.TaskGroup() as group:
        sent = [
            group.create_task(raw_http.request(listener.port, "/v1/metrics", b"", headers=PROTOBUF))
            for _ in range(50)
        ]
        await listener.intake.arrived(50)
        listener.intake.release()
    assert {task.result().status for task in sent} == {200}
