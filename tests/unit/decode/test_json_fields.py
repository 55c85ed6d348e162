"""The rules of the JSON mapping for everything but integers: J1-J4, J6 and J7."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.signals import Signal
from tests.support.otlp_json import (
    SPAN_HEX,
    SPAN_ID,
    TRACE_HEX,
    TRACE_ID,
    convert,
    every_signal,
    log_of,
    logs,
    metric_of,
    metrics,
    point,
    refusal,
    span_of,
    spans_of,
    traces,
    value_of,
)

# --- J1: ids are hex, other bytes are base64 ---


@pytest.mark.parametrize("change", [str.lower, str.upper, str])
def test_j1_ids_are_hex_in_either_case_in_every_message(change: Callable[[str], str]) -> None:
    """Span, link, log record and exemplar read their ids as hex digits."""
    ids = {"traceId": change(TRACE_HEX), "spanId": change(SPAN_HEX)}
    span = span_of(**ids, parentSpanId=change(SPAN_HEX), links=[ids])
    log = log_of(**ids)
    exemplar = metric_of(**point(exemplars=[ids])).gauge.data_points[0].exemplars[0]
    for message in (span, span.links[0], log, exemplar):
        assert (message.trace_id, message.span_id) == (TRACE_ID, SPAN_ID)
    assert span.parent_span_id == SPAN_ID


@pytest.mark.parametrize("text", ["+/8=", "-_8=", "-_8", "+/8"])
def test_j1_bytes_value_is_base64_of_either_alphabet_with_or_without_padding(text: str) -> None:
    """A value of type bytes is base64, as proto3 JSON defines it."""
    assert value_of({"bytesValue": text}).bytes_value == b"\xfb\xff"


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA===", "A=A", "====", "Ä", "AA AA", 3])
def test_j1_bytes_value_that_is_not_base64_is_malformed(text: Any) -> None:
    """A value of type bytes that cannot be decoded refuses the request and says where it stands."""
    message = refusal(Signal.LOGS, logs({"body": {"bytesValue": text}}))
    assert message.startswith("resourceLogs[0].scopeLogs[0].logRecords[0].body.bytesValue: ")


BAD_IDS = [
    "ABC",
    "trace-x",
    "0" * 30,
    "0" * 15,
    "0" * 48,
    base64.b64encode(TRACE_ID).decode(),
    "sixteen letters!",
    "8 letter",
    "eee19b7ec3c1b17 ",
    "ee e1 9b 7e c3 c1 b1 74",
    "ääääääää",
    "ßßßß",
    "００",
]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_j1_a_bad_id_spoils_its_span_only(bad: str) -> None:
    """An id that is not hex, or of a wrong length, goes on with a length that no id check lets pass."""
    good = {"traceId": TRACE_HEX, "spanId": SPAN_HEX}
    spoilt, neighbour = spans_of(traces({"traceId": bad, "spanId": bad, "parentSpanId": bad}, good))
    assert len(spoilt.trace_id) not in (0, 16)
    assert len(spoilt.span_id) not in (0, 8)
    assert len(spoilt.parent_span_id) not in (0, 8)
    assert (neighbour.trace_id, neighbour.span_id) == (TRACE_ID, SPAN_ID)


def test_j1_a_bad_id_keeps_what_the_client_sent() -> None:
    """Hex of a wrong length is decoded, other text kept as UTF-8, one byte longer where an id would fit."""
    span = span_of(traceId="abcd", spanId="8 letter", parentSpanId="trace-x")
    assert span.trace_id == b"\xab\xcd"
    assert span.span_id == b"8 letter\xff"
    assert span.parent_span_id == b"trace-x"


@pytest.mark.parametrize("bad", BAD_IDS)
def test_j1_a_bad_id_in_a_log_record_has_a_wrong_length(bad: str) -> None:
    """A log record with a bad id is converted; its id can be told from a real one by its length."""
    log = log_of(traceId=bad, spanId=bad)
    assert len(log.trace_id) not in (0, 16)
    assert len(log.span_id) not in (0, 8)


@pytest.mark.parametrize("bad", [7, True, [], {}])
def test_j1_an_id_that_is_no_string_is_malformed(bad: Any) -> None:
    """An id of another JSON type is a client that does not speak OTLP/JSON."""
    assert "traceId: " in refusal(Signal.TRACES, traces({"traceId": bad}))


# --- J2: enums ---


@pytest.mark.parametrize(
    ("written", "read"),
    [(3, 3), ("SPAN_KIND_CLIENT", 3), (99, 99), (-1, -1), (2.0, 2), ("5", 5), (0, 0)],
)
def test_j2_enum_is_a_number_or_a_known_name(written: Any, read: int) -> None:
    """Numbers are kept, known or not; names are read although no sender should use them."""
    assert span_of(kind=written).kind == read


def test_j2_enum_names_are_known_in_every_signal() -> None:
    """Each signal's enums are read by their names."""
    assert span_of(status={"code": "STATUS_CODE_ERROR"}).status.code == 2
    assert log_of(severityNumber="SEVERITY_NUMBER_WARN2").severity_number == 14
    metric = metric_of(sum={"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA"})
    assert metric.sum.aggregation_temporality == 1


@pytest.mark.parametrize(
    ("signal", "body", "message"),
    [
        (
            Signal.TRACES,
            traces({"kind": "CLIENT"}),
            'resourceSpans[0].scopeSpans[0].spans[0].kind: "CLIENT" is not a value of SpanKind',
        ),
        (
            Signal.LOGS,
            logs({"severityNumber": "INFO"}),
            'resourceLogs[0].scopeLogs[0].logRecords[0].severityNumber: "INFO" is not a value of SeverityNumber',
        ),
        (
            Signal.METRICS,
            metrics({"sum": {"aggregationTemporality": "x"}}),
            'resourceMetrics[0].scopeMetrics[0].metrics[0].sum.aggregationTemporality: "x" is not a value of AggregationTemporality',
        ),
    ],
)
def test_j2_unknown_enum_name_is_malformed(signal: Signal, body: dict[str, Any], message: str) -> None:
    """A name that the enum does not have refuses the request."""
    assert refusal(signal, body) == message


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 1.5, True])
def test_j2_enum_outside_32_bits_is_malformed(number: float) -> None:
    """An enum is a 32-bit integer."""
    assert "kind: " in refusal(Signal.TRACES, traces({"kind": number}))


# --- J3: unknown names ---


@pytest.mark.parametrize("unknown", [None, 1, "x", [[[]]], {"spans": {"deep": [1, None]}}, 1e300])
def test_j3_unknown_names_are_ignored_at_every_level(unknown: Any) -> None:
    """A name that a message does not have is passed over, whatever its value is."""
    for signal, known in (
        (Signal.TRACES, traces({"name": "a", "new": unknown})),
        (Signal.LOGS, logs({"severityText": "a", "new": unknown})),
        (Signal.METRICS, metrics({"name": "a", "new": unknown})),
    ):
        without = json.loads(json.dumps(known))
        next(iter(next(iter(without.values()))[0].values()))[0]["new"] = unknown
        expected = json.loads(json.dumps(known).replace('"new"', '"newer"'))
        assert convert(signal, {"new": unknown, **without}) == convert(signal, expected)


@every_signal
def test_j3_other_signals_names_are_unknown(signal: Signal) -> None:
    """A request sent to the wrong path holds nothing that the signal knows."""
    others = {"resourceProfiles": [{}], **(traces({}) if signal is not Signal.TRACES else logs({}))}
    assert convert(signal, others).payload == b""


# --- J4: names ---


def test_j4_snake_case_names_are_read_like_camel_case_ones() -> None:
    """Both spellings of a field mean the same."""
    camel = traces({"startTimeUnixNano": "5", "droppedEventsCount": 3, "traceId": TRACE_HEX})
    snake = {
        "resource_spans": [
            {
                "scope_spans": [
                    {
                        "spans": [
                            {"start_time_unix_nano": "5", "dropped_events_count": 3, "trace_id": TRACE_HEX}
                        ]
                    }
                ]
            }
        ]
    }
    assert convert(Signal.TRACES, snake) == convert(Signal.TRACES, camel)


@pytest.mark.parametrize("names", [("traceId", "trace_id"), ("trace_id", "traceId")])
def test_j4_both_spellings_of_one_field_are_malformed(names: tuple[str, str]) -> None:
    """Which of two values counts cannot be known, unless one of them is null."""
    first, second = names
    assert "it is the same field" in refusal(Signal.TRACES, traces({first: "00", second: "01"}))
    assert span_of(**{first: None, second: TRACE_HEX}).trace_id == TRACE_ID
    assert span_of(**{first: TRACE_HEX, second: None}).trace_id == TRACE_ID


# --- J6: doubles ---


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1, 1.0),
        (1.5, 1.5),
        ("2.5", 2.5),
        ("-1e-3", -0.001),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        (2**64 - 1, 1.8446744073709552e19),
        (10**30, 1e30),
        (5e-324, 5e-324),
    ],
)
def test_j6_doubles_are_numbers_numeric_strings_or_names(written: Any, read: float) -> None:
    """A double is read in gauges, in bounds and in attribute values alike."""
    assert metric_of(**point(asDouble=written)).gauge.data_points[0].as_double == read
    bounds = metric_of(histogram={"dataPoints": [{"explicitBounds": [0, written]}]})
    assert list(bounds.histogram.data_points[0].explicit_bounds) == [0.0, read]
    assert value_of({"doubleValue": written}).double_value == read


def test_j6_nan_is_the_string_nan() -> None:
    """Not-a-number is written as a string."""
    assert math.isnan(value_of({"doubleValue": "NaN"}).double_value)


def test_j6_negative_zero_keeps_its_sign() -> None:
    """Minus zero is not the default value of a double."""
    data = metric_of(exponentialHistogram={"dataPoints": [{"zeroThreshold": -0.0}]})
    assert math.copysign(1, data.exponential_histogram.data_points[0].zero_threshold) == -1


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@every_signal
def test_j6_bare_nan_and_infinity_are_malformed(signal: Signal, literal: str) -> None:
    """They are not JSON; the refusal says how they are written."""
    message = refusal(signal, f'{{"unknown": {literal}}}'.encode())
    assert message == f'the body is not valid JSON: {literal} must be a string; write "{literal}"'


@pytest.mark.parametrize(
    "literal", ['"nan"', '"inf"', '"1_0"', '" 1"', '""', "true", "[]", "1e999", '"1e999"']
)
def test_j6_what_is_no_double_is_malformed(literal: str) -> None:
    """Other spellings, other types and numbers beyond the range are refused."""
    body = json.dumps(metrics(point(asDouble="@"))).replace('"@"', literal).encode()
    assert ".asDouble: " in refusal(Signal.METRICS, body)


# --- J7: null, presence, oneofs ---


@pytest.mark.parametrize("descriptor", [Span.DESCRIPTOR, LogRecord.DESCRIPTOR, Metric.DESCRIPTOR])
def test_j7_null_is_unset_for_every_field(descriptor: Any) -> None:
    """A record of nothing but nulls is an empty record."""
    nulls = {field.json_name: None for field in descriptor.fields}
    record = {"Span": span_of, "LogRecord": log_of, "Metric": metric_of}[descriptor.name]
    assert record(**nulls).SerializeToString() == b""


@pytest.mark.parametrize(
    ("signal", "body", "path"),
    [
        (Signal.TRACES, traces({}, None), "resourceSpans[0].scopeSpans[0].spans[1]"),
        (Signal.LOGS, {"resourceLogs": [None]}, "resourceLogs[0]"),
        (
            Signal.METRICS,
            metrics({"histogram": {"dataPoints": [{"bucketCounts": [1, None]}]}}),
            "resourceMetrics[0].scopeMetrics[0].metrics[0].histogram.dataPoints[0].bucketCounts[1]",
        ),
        (
            Signal.LOGS,
            {"resourceLogs": [{"resource": {"entityRefs": [{"idKeys": [None]}]}}]},
            "resourceLogs[0].resource.entityRefs[0].idKeys[0]",
        ),
    ],
)
def test_j7_null_in_a_list_is_malformed(signal: Signal, body: dict[str, Any], path: str) -> None:
    """A list has no unset elements."""
    assert refusal(signal, body).startswith(f"{path}: null is not ")


def test_j7_missing_enum_is_zero() -> None:
    """A span without a kind has the kind 0 and is not dropped."""
    span = span_of(name="x")
    assert (span.name, span.kind) == ("x", 0)


def test_j7_optional_fields_keep_presence() -> None:
    """A sum, min or max of zero is not the same as none."""
    points = [{"sum": 0, "min": 0.0, "max": "0"}, {"sum": None}, {}]
    for name in ("histogram", "exponentialHistogram"):
        metric = metric_of(**{name: {"dataPoints": points}})
        given, null, absent = getattr(metric, metric.WhichOneof("data") or "").data_points
        assert [given.HasField(field) for field in ("sum", "min", "max")] == [True] * 3
        assert not any(read.HasField(field) for field in ("sum", "min", "max") for read in (null, absent))


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ({"stringValue": ""}, "string_value"),
        ({"boolValue": False}, "bool_value"),
        ({"intValue": "0"}, "int_value"),
        ({"doubleValue": 0}, "double_value"),
        ({"bytesValue": ""}, "bytes_value"),
        ({"arrayValue": {}}, "array_value"),
        ({"arrayValue": {"values": []}}, "array_value"),
        ({"kvlistValue": {}}, "kvlist_value"),
        ({"stringValue": None, "intValue": 0}, "int_value"),
        ({"stringValue": None}, None),
        ({}, None),
    ],
)
def test_j7_oneof_members_keep_presence_when_zero_or_empty(value: Any, member: str | None) -> None:
    """A value of zero is that value, null is none of it, and an empty object is the empty value."""
    record = log_of(body=value)
    assert record.HasField("body")
    assert record.body.WhichOneof("value") == member


@pytest.mark.parametrize(
    ("signal", "body", "message"),
    [
        (
            Signal.LOGS,
            logs({"body": {"stringValue": "1", "intValue": 1}}),
            "resourceLogs[0].scopeLogs[0].logRecords[0].body.intValue: stringValue is set too; only one of them may be",
        ),
        (
            Signal.METRICS,
            metrics({"sum": {}, "gauge": {}}),
            "resourceMetrics[0].scopeMetrics[0].metrics[0].gauge: sum is set too; only one of them may be",
        ),
    ],
)
def test_j7_two_members_of_one_oneof_are_malformed(
    signal: Signal, body: dict[str, Any], message: str
) -> None:
    """Which of two values was meant cannot be known."""
    assert refusal(signal, body) == message


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"name": 1}, "name: 1 is not a string"),
        ({"name": "x" * 10, "attributes": {}}, "attributes: an object is not an array"),
        ({"attributes": [1]}, "attributes[0]: 1 is not an object"),
        ({"status": []}, "status: an array is not an object"),
        ({"status": "x" * 99}, 'status: "' + "x" * 40 + '..." is not an object'),
        (
            {"attributes": [{"value": {"boolValue": 1}}]},
            "attributes[0].value.boolValue: 1 is not true or false",
        ),
        ({"attributes": [{"value": "x"}]}, 'attributes[0].value: "x" is not an object'),
    ],
)
def test_j7_a_value_of_another_type_is_malformed(record: dict[str, Any], message: str) -> None:
    """The refusal names the place and what stands there, a long text cut."""
    assert refusal(Signal.TRACES, traces(record)) == f"resourceSpans[0].scopeSpans[0].spans[0].{message}"
