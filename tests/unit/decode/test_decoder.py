"""Verdicts of the columnar decoder: what is accepted, rejected, repaired or refused, and what neighbours see."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, Sum
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.decode import decoder as decoder_module
from receiver.errors import MalformedRequestError, TooManyRecordsError
from receiver.ports import Encoding, Outcome, Verdict
from receiver.signals import Signal
from tests.support.decoding import Decoding
from tests.support.otlp_requests import T0, logs, make_gauge, make_span, metrics, text_attribute, traces
from tests.support.wire_bytes import field, nested_value

GOOD = traces(make_span(0), make_span(1))


@pytest.fixture
def decoding() -> Iterator[Decoding]:
    """Return a decoder with the default limits."""
    decoding = Decoding()
    yield decoding
    decoding.close()


def names(rows: dict[str, list[dict[str, object]]]) -> list[object]:
    """Return the names of the spans, in their order."""
    return [row["name"] for row in rows.get("spans", [])]


@pytest.mark.parametrize(
    "bad",
    [b"\xff\xff\xff", GOOD[:-3], b"\x0a\x7f", bytes([7]) * 50, random.Random(3).randbytes(200), b"\x0b"],
    ids=["noise", "truncated", "short", "repeated", "random", "open group"],
)
def test_a_malformed_request_is_refused_and_its_neighbours_are_accepted(
    decoding: Decoding, bad: bytes
) -> None:
    """One client's noise costs the others nothing (rule C10)."""
    decoded, rows = decoding.group(Signal.TRACES, GOOD, bad, traces(make_span(2)))
    first, second, third = decoded.verdicts
    assert isinstance(second, MalformedRequestError)
    assert isinstance(first, Verdict)
    assert isinstance(third, Verdict)
    assert (first.records, third.records) == (2, 1)
    assert first.outcome == third.outcome == Outcome()
    assert names(rows) == ["span 0", "span 1", "span 2"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace_id has 0 bytes instead of 16"),
        ({"trace_id": bytes(16)}, "trace_id is all zero"),
        ({"trace_id": b"1" * 15}, "trace_id has 15 bytes instead of 16"),
        ({"span_id": b""}, "span_id has 0 bytes instead of 8"),
        ({"span_id": bytes(8)}, "span_id is all zero"),
        ({"span_id": b"1" * 9}, "span_id has 9 bytes instead of 8"),
        ({"parent_span_id": b"1" * 3}, "parent_span_id has 3 bytes instead of 8"),
    ],
)
def test_d1_a_span_with_a_bad_id_is_rejected_alone(
    decoding: Decoding, fields: dict[str, bytes], reason: str
) -> None:
    """It is counted with its reason; its neighbours are stored and stay what they were."""
    verdict, rows = decoding.accepted(
        Signal.TRACES, traces(make_span(0), make_span(1, **fields), make_span(2))
    )
    assert verdict.outcome == Outcome(1, f"rejected: 1 × {reason}")
    assert verdict.records == 2
    assert names(rows) == ["span 0", "span 2"]
    kept = ExportTraceServiceRequest.FromString(verdict.payload)
    assert list(kept.resource_spans[0].scope_spans[0].spans) == [make_span(0), make_span(2)]


def test_d1_many_bad_spans_among_many_good_ones_are_counted(decoding: Decoding) -> None:
    """Every second of 400 spans is rejected; the message names the commonest reasons and stays short."""
    bad_ids = [b"x" * (n % 12) for n in range(200)]
    spans = [s for n, bad in enumerate(bad_ids) for s in (make_span(n), make_span(n, trace_id=bad))]
    verdict, rows = decoding.accepted(Signal.TRACES, traces(*spans))
    assert verdict.outcome.rejected == 200
    assert "and 7 more reasons" in verdict.outcome.message
    assert names(rows) == [f"span {n}" for n in range(200)]


def test_d2_a_log_with_an_invalid_trace_id_is_stored_without_it(decoding: Decoding) -> None:
    """The record is not rejected; a warning says what happened."""
    record = LogRecord(time_unix_nano=T0, trace_id=b"short", span_id=b"12345678")
    verdict, rows = decoding.accepted(Signal.LOGS, logs(record))
    assert verdict.outcome.rejected == 0
    assert "stored without it" in verdict.outcome.message
    assert rows["logs"][0]["trace_id"] is None
    assert rows["logs"][0]["span_id"] == int.from_bytes(b"12345678", "big")


def test_d3_points_without_a_time_or_a_value_are_rejected(decoding: Decoding) -> None:
    """A point that says it has no recorded value needs none."""
    points = [
        NumberDataPoint(time_unix_nano=0, as_int=1),
        NumberDataPoint(time_unix_nano=T0),
        NumberDataPoint(time_unix_nano=T0, flags=1),
        NumberDataPoint(time_unix_nano=T0 + 1, as_int=2),
    ]
    verdict, rows = decoding.accepted(
        Signal.METRICS, metrics(Metric(name="m", gauge=Gauge(data_points=points)))
    )
    assert verdict.records == 2
    assert verdict.outcome.rejected == 2
    assert "time_unix_nano of the data point is 0" in verdict.outcome.message
    assert "the data point has no value" in verdict.outcome.message
    assert [(p["time_unix_nano"], p["value_int"]) for p in rows["metric_points"]] == [(T0, None), (T0 + 1, 2)]


def test_a_sum_without_temporality_is_stored_with_a_warning(decoding: Decoding) -> None:
    """UNSPECIFIED must not be used; dropping the data would help nobody."""
    sums = Metric(name="m", sum=Sum(data_points=[NumberDataPoint(time_unix_nano=T0, as_int=1)]))
    verdict, rows = decoding.accepted(Signal.METRICS, metrics(sums))
    assert verdict.outcome.rejected == 0
    assert "no aggregation temporality" in verdict.outcome.message
    assert len(rows["metric_points"]) == 1


BAD_TEXT = b"caf\xc3"
REPAIRED = "caf\ufffd"
PLACEHOLDER = "cafX"


def _spoilt(body: bytes) -> bytes:
    assert body.count(PLACEHOLDER.encode()) == 1
    return body.replace(PLACEHOLDER.encode(), BAD_TEXT)


_SPOILT = {
    "span name": (Signal.TRACES, traces(make_span(0, name=PLACEHOLDER))),
    "attribute key": (Signal.TRACES, traces(make_span(0, attributes=[text_attribute(PLACEHOLDER, "v")]))),
    "attribute value": (Signal.TRACES, traces(make_span(0, attributes=[text_attribute("k", PLACEHOLDER)]))),
    "event name": (Signal.TRACES, traces(make_span(0, events=[Span.Event(name=PLACEHOLDER)]))),
    "resource attribute": (Signal.TRACES, traces(make_span(0), service=PLACEHOLDER)),
    "log body": (
        Signal.LOGS,
        logs(LogRecord(time_unix_nano=T0, body=AnyValue(string_value=PLACEHOLDER))),
    ),
    "metric name": (
        Signal.METRICS,
        metrics(Metric(name=PLACEHOLDER, gauge=make_gauge(0).gauge)),
    ),
    "nested value": (
        Signal.TRACES,
        traces(
            make_span(
                0,
                attributes=[
                    KeyValue(
                        key="k",
                        value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=PLACEHOLDER)])),
                    )
                ],
            )
        ),
    ),
}


@pytest.mark.parametrize("place", _SPOILT)
def test_invalid_utf8_is_repaired_with_a_warning_wherever_it_stands(decoding: Decoding, place: str) -> None:
    """A string that was cut inside a character costs one character, not the batch."""
    signal, body = _SPOILT[place]
    decoded, rows = decoding.group(signal, _spoilt(body))
    verdict = decoded.verdicts[0]
    assert isinstance(verdict, Verdict)
    assert verdict.outcome.rejected == 0
    assert "UTF-8" in verdict.outcome.message
    assert REPAIRED in str(rows).replace("\\ufffd", "\ufffd")
    again, replayed = decoding.group(signal, verdict.payload)
    assert replayed == rows
    assert isinstance(again.verdicts[0], Verdict)


def _span_with(attribute: bytes) -> bytes:
    """Return a request of one span with the serialized attribute."""
    span = make_span(0).SerializeToString() + field(9, attribute)
    return field(1, field(2, field(2, span)))


def test_of_a_oneof_set_twice_the_last_member_stands(decoding: Decoding) -> None:
    """As every protobuf parser reads it."""
    value = AnyValue(string_value="first").SerializeToString() + AnyValue(int_value=2).SerializeToString()
    verdict, rows = decoding.accepted(Signal.TRACES, _span_with(field(1, b"k") + field(2, value)))
    assert rows["spans"][0]["attributes"] == '{"k":2}'
    assert verdict.outcome == Outcome()


def _array(*numbers: int) -> bytes:
    values = [AnyValue(int_value=n) for n in numbers]
    return AnyValue(array_value=ArrayValue(values=values)).SerializeToString()


def _twice() -> dict[str, tuple[bytes, bytes]]:
    """Return requests in which a message field stands twice, and the same joined, as protobuf reads them."""
    a, b = text_attribute("a", "1").SerializeToString(), text_attribute("b", "2").SerializeToString()
    span = make_span(0).SerializeToString()
    spans = field(2, field(2, span))
    status_1, status_2 = field(15, field(2, b"why")), field(15, b"\x18\x02")
    return {
        "array": (
            _span_with(field(1, b"k") + field(2, _array(1) + _array(2))),
            _span_with(field(1, b"k") + field(2, _array(1, 2))),
        ),
        "value": (
            _span_with(field(1, b"k") + field(2, _array(1)) + field(2, _array(2))),
            _span_with(field(1, b"k") + field(2, _array(1, 2))),
        ),
        "resource": (
            field(1, field(1, field(1, a)) + field(1, field(1, b)) + spans),
            field(1, field(1, field(1, a) + field(1, b)) + spans),
        ),
        "scope": (
            field(1, field(2, field(1, field(1, b"n")) + field(1, field(2, b"v")) + field(2, span))),
            field(1, field(2, field(1, field(1, b"n") + field(2, b"v")) + field(2, span))),
        ),
        "status": (
            field(1, field(2, field(2, span + status_1 + status_2))),
            field(1, field(2, field(2, span + field(15, field(2, b"why") + b"\x18\x02")))),
        ),
    }


def test_a_status_that_stands_twice_is_joined_as_protobuf_joins_it(decoding: Decoding) -> None:
    """No writer does so, but the bytes mean something and that is what is stored."""
    twice, once = _twice()["status"]
    assert decoding.accepted(Signal.TRACES, twice)[1] == decoding.accepted(Signal.TRACES, once)[1]


@pytest.mark.parametrize("what", ["array", "value", "resource", "scope"])
def test_of_a_part_kept_as_bytes_that_stands_twice_the_last_one_stands(decoding: Decoding, what: str) -> None:
    """Protobuf would join them; the record is stored all the same, and a replay gives the same rows."""
    twice, _ = _twice()[what]
    verdict, rows = decoding.accepted(Signal.TRACES, twice)
    assert verdict.outcome == Outcome()
    assert names(rows) == ["span 0"]


def test_a_value_nested_100_deep_is_kept_as_bytes_with_a_warning(decoding: Decoding) -> None:
    """Its record is stored."""
    verdict, rows = decoding.accepted(
        Signal.TRACES, _span_with(field(1, b"k") + field(2, nested_value(100, 5)))
    )
    assert "nested deeper than 64 levels" in verdict.outcome.message
    assert '{"@bytes":"' in rows["spans"][0]["attributes"]


def test_malformed_bytes_inside_a_nested_value_refuse_the_request(decoding: Decoding) -> None:
    """The columnar decoder does not look inside; the inspection does."""
    bad = _span_with(field(1, b"k") + field(2, field(5, b"\xff\xff")))
    decoded, rows = decoding.group(Signal.TRACES, GOOD, bad)
    assert isinstance(decoded.verdicts[1], MalformedRequestError)
    assert names(rows) == ["span 0", "span 1"]


def test_a_span_with_100000_attributes_is_stored(decoding: Decoding) -> None:
    """Nothing of it is lost."""
    attributes = [text_attribute(f"k{n}", "v") for n in range(100_000)]
    verdict, rows = decoding.accepted(Signal.TRACES, traces(make_span(0, attributes=attributes)))
    assert verdict.outcome == Outcome()
    assert len(json.loads(rows["spans"][0]["attributes"])) == 100_000


def test_c11_a_message_stays_within_1_kib(decoding: Decoding) -> None:
    """Whatever stands in a request, the answer stays short and is valid UTF-8."""
    spans = [make_span(n, trace_id=b"x" * n) for n in range(1, 15)]
    deep = KeyValue.FromString(field(1, "é".encode()))
    verdict, _ = decoding.accepted(Signal.TRACES, traces(*spans, make_span(99, attributes=[deep])))
    assert 0 < len(verdict.outcome.message.encode()) <= 1024


def test_a_large_request_in_pieces_is_judged_like_a_small_one(
    decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, rejections, order and rows are the same, and so is a replay."""
    bad = {7: {"trace_id": b"short"}, 123: {"span_id": b""}, 299: {"parent_span_id": b"1"}}
    body = _spoilt(traces(*(make_span(n, **bad.get(n, {})) for n in range(300)), make_span(300, name="cafX")))
    whole, rows = decoding.group(Signal.TRACES, body)
    monkeypatch.setattr(decoder_module, "_PIECE_BYTES", 2000)
    monkeypatch.setattr(decoder_module, "_CHUNK_BYTES", 5000)
    pieces, rows_of_pieces = decoding.group(Signal.TRACES, body)
    assert rows_of_pieces == rows
    assert len(rows["spans"]) == 298
    first, second = whole.verdicts[0], pieces.verdicts[0]
    assert isinstance(first, Verdict)
    assert isinstance(second, Verdict)
    assert (second.records, second.outcome, second.identifiable) == (298, first.outcome, True)
    assert decoding.group(Signal.TRACES, second.payload)[1] == rows


def test_large_and_small_and_bad_requests_share_a_group(
    decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts stand in the order of the requests, rows in the order of the records."""
    monkeypatch.setattr(decoder_module, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(decoder_module, "_CHUNK_BYTES", 3000)
    large = traces(*(make_span(n) for n in range(100)))
    broken = large[:-2]
    decoded, rows = decoding.group(
        Signal.TRACES, traces(make_span(900)), broken, large, traces(make_span(901))
    )
    assert [v.records if isinstance(v, Verdict) else None for v in decoded.verdicts] == [1, None, 100, 1]
    assert names(rows) == ["span 900", *(f"span {n}" for n in range(100)), "span 901"]


def test_neighbours_do_not_count_towards_a_large_requests_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request in pieces is refused for what it holds itself, never for what was decoded beside it."""
    monkeypatch.setattr(decoder_module, "_PIECE_BYTES", 2000)
    decoding = Decoding(request_messages=60)
    large = traces(*(make_span(n) for n in range(50)))
    small = [traces(*(make_span(n) for n in range(k * 100, k * 100 + 20))) for k in range(3)]
    decoded, _ = decoding.group(Signal.TRACES, *small, large, *small)
    assert [v.records for v in decoded.verdicts if isinstance(v, Verdict)] == [20, 20, 20, 50, 20, 20, 20]
    decoding.close()


def test_more_messages_than_the_limit_are_refused() -> None:
    """The limit counts records and attributes of one request; its neighbours are accepted."""
    decoding = Decoding(request_messages=50_000)
    body = traces(make_span(0, attributes=[KeyValue()] * 600_000))
    decoded, rows = decoding.group(Signal.TRACES, GOOD, body)
    assert isinstance(decoded.verdicts[1], TooManyRecordsError)
    assert names(rows) == ["span 0", "span 1"]
    decoding.close()


def test_a_json_request_becomes_protobuf_that_says_the_same(decoding: Decoding) -> None:
    """What is spooled is protobuf, whatever the client sent."""
    ids = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{**ids, "name": "n"}]}]}]}).encode()
    decoded, rows = decoding.group(Signal.TRACES, body, b"[]", encoding=Encoding.JSON)
    verdict = decoded.verdicts[0]
    assert isinstance(verdict, Verdict)
    assert isinstance(decoded.verdicts[1], MalformedRequestError)
    assert decoding.group(Signal.TRACES, verdict.payload)[1] == rows
    assert names(rows) == ["n"]


def test_only_a_request_with_an_id_or_a_time_is_identifiable(decoding: Decoding) -> None:
    """Equal bytes without either may be two events; they are never taken for a retry."""
    bare = logs(LogRecord(severity_text="x"))
    timed = logs(LogRecord(observed_time_unix_nano=1))
    decoded, _ = decoding.group(Signal.LOGS, bare, timed, b"")
    assert [v.identifiable for v in decoded.verdicts if isinstance(v, Verdict)] == [False, True, False]
    decoded, _ = decoding.group(Signal.METRICS, metrics(Metric(name="no points")), metrics(make_gauge(1)))
    assert [v.identifiable for v in decoded.verdicts if isinstance(v, Verdict)] == [False, True]
