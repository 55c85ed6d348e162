"""Rules C1 to C11: what holds for each signal, over both transports and in both encodings."""

from __future__ import annotations

import itertools
import json
import os
import signal as signal_numbers
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.decode.wire import encode_varint
from receiver.ports import Encoding, Transport
from receiver.signals import Signal
from tests.conformance.conftest import Trouble, every_temporary_failure
from tests.support import raw_http
from tests.support.otlp_exchange import (
    CONTENT_TYPES,
    HTTP_JSON,
    HTTP_PROTOBUF,
    Answer,
    Way,
    every_signal,
    every_way,
    http_port,
    send,
)
from tests.support.otlp_messages import (
    full_request,
    json_fields,
    messages_within,
    objects_within,
    one_record,
    request_of,
    written,
)
from tests.support.otlp_requests import T0, make_span
from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import (
    stored_counts,
    stored_logs,
    stored_numbers,
    stored_points,
    stored_spans,
    texts,
)
from tests.support.wire_bytes import field

_TABLES = ("spans", "logs", "metric_points")
_ENVELOPES = {
    Signal.TRACES: ("resourceSpans", "scopeSpans"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics"),
    Signal.LOGS: ("resourceLogs", "scopeLogs"),
}
# Fields of a later OTLP in every wire type: varint, fixed64, bytes, a group with a varint in it, fixed32.
_LATER = b"".join(
    encode_varint(4242 << 3 | wire_type) + content
    for wire_type, content in [
        (0, encode_varint(150)),
        (1, bytes(range(8))),
        (2, encode_varint(3) + b"new"),
        (3, b"\x08\x01"),
        (4, b""),
        (5, bytes(range(4))),
    ]
)


def stored_count(receiver: ReceiverProcess, signal: Signal, service: str) -> int:
    """Return how many records of a service are stored."""
    receiver.flush()
    return stored_counts(receiver, service)[signal]


@every_way
@every_signal
async def test_c1_plain_and_gzip_requests_are_stored(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Both mean the same, and both are answered plainly."""
    for number, compressed in enumerate([False, True]):
        body = one_record(signal, service, number)
        answer = await send(receiver, way, signal, body, compressed=compressed)
        assert answer.partial_success(signal) is None
    assert stored_count(receiver, signal, service) == 2


def empty_bodies(way: Way, signal: Signal) -> list[bytes]:
    """Return every way to send nothing."""
    outer, inner = _ENVELOPES[signal]
    if way.encoding is Encoding.PROTOBUF:
        return [b"", field(1, b""), field(1, field(1, b"") + field(2, b"")), field(1, b"") * 3]
    shapes = [{}, {outer: []}, {outer: [{}]}, {outer: [{"resource": {}, inner: [{"scope": {}}]}]}]
    return [json.dumps(shape).encode() for shape in shapes]


@every_way
@every_signal
async def test_c2_an_empty_request_is_a_success_that_stores_nothing(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """Nothing at all, an empty list, and envelopes without a record in them."""
    count = f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in _TABLES)}"
    before = receiver.sql(count)
    for body in empty_bodies(way, signal):
        answer = await send(receiver, way, signal, body)
        assert answer.partial_success(signal) is None
    receiver.flush()
    assert receiver.sql(count) == before


@every_way
@every_signal
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_c3_full_success_is_the_empty_message_to_the_byte(
    receiver: ReceiverProcess, way: Way, signal: Signal, compressed: bool, service: str
) -> None:
    """No bytes in protobuf, two in JSON; over gRPC five of framing, and nothing is compressed."""
    answer = await send(receiver, way, signal, one_record(signal, service), compressed=compressed)
    assert answer.accepted
    assert answer.body == (b"{}" if way.encoding is Encoding.JSON else b"")
    if answer.grpc:
        assert answer.grpc.data == bytes(5)
        assert "grpc-encoding" not in answer.grpc.blocks[0]


def with_faults(signal: Signal) -> list[Metric] | list[Span]:
    """Return three good records and four that are rejected: points of one metric, not metrics."""
    if signal is Signal.TRACES:
        ids = [b"", bytes(16), b"1" * 15, b"1" * 17]
        return [make_span(n) for n in range(3)] + [make_span(n, trace_id=bad) for n, bad in enumerate(ids)]
    points = [NumberDataPoint(time_unix_nano=T0 + n, as_int=n) for n in range(3)]
    points += [NumberDataPoint(as_int=1)] * 3 + [NumberDataPoint(time_unix_nano=T0)]
    return [Metric(name="m", gauge=Gauge(data_points=points))]


@every_way
@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS], ids=lambda signal: signal.value)
async def test_c4_rejected_records_are_counted_one_by_one(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Spans and data points, not envelopes and not metrics; the others are stored."""
    answer = await send(receiver, way, signal, request_of(signal, *with_faults(signal), service=service))
    partial = answer.partial_success(signal)
    assert partial is not None
    assert partial[0] == 4
    assert stored_count(receiver, signal, service) == 3


@every_way
@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS], ids=lambda signal: signal.value)
async def test_c5_the_message_says_what_was_wrong_and_what_is_right(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Each reason with its count."""
    answer = await send(receiver, way, signal, request_of(signal, *with_faults(signal), service=service))
    partial = answer.partial_success(signal)
    assert partial is not None
    reasons = {
        Signal.TRACES: ["1 × trace_id has 15 bytes instead of 16", "1 × trace_id is all zero"],
        Signal.METRICS: ["3 × time_unix_nano of the data point is 0", "1 × the data point has no value"],
    }
    for reason in reasons[signal]:
        assert reason in partial[1]


@every_way
@every_signal
async def test_c6_a_repair_is_a_warning_with_the_count_zero(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """A string that was cut inside a character costs one character; the answer has a text and no count."""
    name = {Signal.TRACES: "name", Signal.METRICS: "name", Signal.LOGS: "severity_text"}[signal]
    fields: dict[str, Any] = {name: "caf@@"}
    body = written(one_record(signal, service, **fields), way.encoding)
    answer = await send(receiver, way, signal, body.replace(b"caf@@", b"caf\xe2\x82"))
    partial = answer.partial_success(signal)
    assert partial is not None
    assert partial[0] == 0
    assert "invalid UTF-8" in partial[1]
    receiver.flush()
    reads = {Signal.TRACES: stored_spans, Signal.METRICS: stored_numbers, Signal.LOGS: stored_logs}
    assert [row[name] for row in reads[signal](receiver, service)] == ["caf\ufffd"]


@every_way
@every_signal
@every_temporary_failure
async def test_c7_what_passes_is_never_a_partial_success(
    trouble: Trouble, temporary: str, way: Way, signal: Signal, service: str
) -> None:
    """No room in memory, a disk that cannot be written, a full spool: retryable as a whole, then accepted."""
    body = one_record(signal, service)
    with trouble() as receiver:
        (await send(receiver, way, signal, body)).assert_retryable()
    if temporary == "disk":  # the others last
        assert (await send(receiver, way, signal, body)).partial_success(signal) is None


async def test_c7_a_request_in_hand_at_the_end_of_a_stop_is_retryable(tmp_path: Path) -> None:
    """Who sends slowly while the receiver stops hears that it may send again."""
    impatient = {"OTLP_RECEIVER_STOP_TIMEOUT_S": "0.2"}
    with ReceiverProcess(tmp_path / "data", environment=impatient) as receiver:
        async with AsyncExitStack() as stack:
            in_hand = []
            for way in (HTTP_PROTOBUF, HTTP_JSON):
                http = await stack.enter_async_context(raw_http.connection(http_port(receiver)))
                head = {
                    "Content-Type": CONTENT_TYPES[way.encoding],
                    "Content-Length": "10",
                    "Expect": "100-continue",
                }
                await http.write(raw_http.request_bytes("/v1/traces", headers=head))
                assert (await http.answer()).status == 100  # its body is waited for
                in_hand.append((way, http))
            os.kill(receiver.pid, signal_numbers.SIGTERM)
            for way, http in in_hand:
                answer = await http.answer()
                Answer(way, answer.body, http=answer).assert_retryable()
        receiver.wait()


@every_way
@every_signal
async def test_c8_fields_of_a_later_otlp_change_nothing(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """They stand in every message of a request, in every wire type, and as every JSON type."""
    plain, extended = (full_request(signal, f"{service}-{which}") for which in ("now", "later"))
    if way.encoding is Encoding.PROTOBUF:
        for message in list(messages_within(extended)):
            message.MergeFromString(_LATER)
        body = extended.SerializeToString()
    else:
        document = json_fields(extended)
        for level in list(objects_within(document)):
            level["nope"] = {"spans": [{}], "key": [1, None, 1.5, "x", True]}
        body = json.dumps(document).encode()
    assert (await send(receiver, way, signal, plain)).partial_success(signal) is None
    assert (await send(receiver, way, signal, body)).partial_success(signal) is None
    receiver.flush()
    reads = {Signal.TRACES: stored_spans, Signal.METRICS: stored_points, Signal.LOGS: stored_logs}
    sides = [reads[signal](receiver, f"{service}-{which}") for which in ("now", "later")]
    for row in itertools.chain(*sides):
        del row["resource"]["service.name"]
    assert texts(sides[0]) == texts(sides[1])
    assert len(sides[0]) == (5 if signal is Signal.METRICS else 1)


@every_way
@every_signal
async def test_c9_empty_envelopes_among_full_ones_are_passed_over(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Before, between and after records."""
    outer, inner = _ENVELOPES[signal]
    requests = [one_record(signal, service, number) for number in range(2)]
    if way.encoding is Encoding.PROTOBUF:
        empty = field(1, b"") + field(1, field(2, b""))
        body = empty + requests[0].SerializeToString() + empty + requests[1].SerializeToString() + empty
    else:
        first, second = (json_fields(request)[outer] for request in requests)
        blank: list[object] = [{}, {inner: [{}]}]
        body = json.dumps({outer: [*blank, *first, *blank, *second, *blank]}).encode()
    assert (await send(receiver, way, signal, body)).partial_success(signal) is None
    assert stored_count(receiver, signal, service) == 2


@every_way
@every_signal
async def test_c10_the_same_bytes_again_are_accepted_and_not_stored_again(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """A retry is told so in a warning."""
    for attempt in range(3):
        partial = (await send(receiver, way, signal, one_record(signal, service))).partial_success(signal)
        if not attempt:
            assert partial is None
        else:
            assert partial is not None
            assert partial[0] == 0
            assert "identical to a request" in partial[1]
    assert stored_count(receiver, signal, service) == 1


@every_way
async def test_c11_a_hundred_thousand_rejections_make_a_short_answer(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """The text has the commonest reasons and at most 1 KiB, however many there are."""
    count = 100_000 if way.transport is Transport.GRPC else 10_000
    bad = [Span(trace_id=b"x" * (number % 200 + 20)) for number in range(count)]
    answer = await send(receiver, way, Signal.TRACES, request_of(Signal.TRACES, *bad, service=service))
    partial = answer.partial_success(Signal.TRACES)
    assert partial is not None
    assert partial[0] == count
    assert "and 195 more reasons" in partial[1]
    assert len(partial[1].encode()) <= 1024
    assert len(answer.body) < 2048


@every_way
@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS], ids=lambda signal: signal.value)
async def test_c11_the_text_is_left_out_before_the_answer_is_too_large(
    failing: ReceiverProcess, limited: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """The count alone fits into 60 bytes; where not even that fits, the refusal is one that nobody retries."""
    body = request_of(signal, *with_faults(signal), service=service)
    assert (await send(failing, way, signal, body)).partial_success(signal) == (4, "")
    refusal = await send(limited, way, signal, body)
    refusal.assert_permanent(code=8, http_status=500)
    assert "limits.response_bytes" in refusal.status.message
