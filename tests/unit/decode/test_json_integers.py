"""The rules of the JSON mapping for integers: J5 and J8."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.signals import Signal
from tests.support.otlp_json import (
    convert,
    logs,
    metric_of,
    metrics,
    point,
    refusal,
    span_of,
    traces,
)

# In each signal one unsigned and one signed 64-bit field: how it is written and how it is read back.
Place = tuple[Signal, Callable[[Any], dict[str, Any]], Callable[[Any], int]]
UNSIGNED: list[Place] = [
    (
        Signal.TRACES,
        lambda value: traces({"startTimeUnixNano": value}),
        lambda message: int(message.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano),
    ),
    (
        Signal.LOGS,
        lambda value: logs({"timeUnixNano": value}),
        lambda message: int(message.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano),
    ),
    (
        Signal.METRICS,
        lambda value: metrics({"histogram": {"dataPoints": [{"bucketCounts": [value]}]}}),
        lambda message: int(
            message.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0].bucket_counts[0]
        ),
    ),
]
SIGNED: list[Place] = [
    (
        Signal.TRACES,
        lambda value: traces({"attributes": [{"value": {"intValue": value}}]}),
        lambda message: int(message.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.int_value),
    ),
    (
        Signal.LOGS,
        lambda value: logs({"body": {"intValue": value}}),
        lambda message: int(message.resource_logs[0].scope_logs[0].log_records[0].body.int_value),
    ),
    (
        Signal.METRICS,
        lambda value: metrics(point(asInt=value)),
        lambda message: int(
            message.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].as_int
        ),
    ),
]
REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
unsigned = pytest.mark.parametrize("place", UNSIGNED, ids=[place[0].value for place in UNSIGNED])
signed = pytest.mark.parametrize("place", SIGNED, ids=[place[0].value for place in SIGNED])


def integer_in(place: Place, literal: str) -> int:
    """Return what a JSON literal, put at the place of an integer, is read as."""
    signal, body, read = place
    text = json.dumps(body("@")).replace('"@"', literal)
    return read(REQUESTS[signal].FromString(convert(signal, text.encode()).payload))


def integer_refusal(place: Place, literal: str) -> str:
    """Return the message with which a JSON literal at the place of an integer is refused."""
    signal, body, _ = place
    return refusal(signal, json.dumps(body("@")).replace('"@"', literal).encode())


# --- J5, J8: integers ---


@unsigned
@pytest.mark.parametrize("number", [0, 1, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_j5_unsigned_64_bit_integers_are_strings_or_numbers(place: Place, number: int) -> None:
    """Every unsigned 64-bit integer is read exactly from either form."""
    assert integer_in(place, f'"{number}"') == number
    assert integer_in(place, str(number)) == number


@signed
@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1])
def test_j5_signed_64_bit_integers_are_strings_or_numbers(place: Place, number: int) -> None:
    """Every signed 64-bit integer is read exactly from either form."""
    assert integer_in(place, f'"{number}"') == number
    assert integer_in(place, str(number)) == number


@pytest.mark.parametrize(
    "literal", ['"abc"', '""', '" 1"', '"1_0"', '"٣"', '"0x10"', '"1e"', "true", "[]", "{}"]
)
@unsigned
def test_j5_what_is_no_integer_is_malformed(place: Place, literal: str) -> None:
    """Texts that only look like numbers to Python, and other JSON types, are refused."""
    assert integer_refusal(place, literal).endswith("is not an unsigned 64-bit integer")


def test_j5_the_refusal_says_where_and_what() -> None:
    """The message names the path from the body to the value, with indices, and the value."""
    body = traces({}, {}, {}, {"startTimeUnixNano": "abc"})
    assert refusal(Signal.TRACES, body) == (
        'resourceSpans[0].scopeSpans[0].spans[3].startTimeUnixNano: "abc" is not an unsigned 64-bit integer'
    )
    body = metrics({"histogram": {"dataPoints": [{}, {"bucketCounts": ["1", 2, -3]}]}})
    assert refusal(Signal.METRICS, body) == (
        "resourceMetrics[0].scopeMetrics[0].metrics[0].histogram.dataPoints[1].bucketCounts[2]:"
        " -3 is not an unsigned 64-bit integer"
    )


@signed
@pytest.mark.parametrize(
    ("literal", "number"),
    [
        ("1.0", 1),
        ("1e3", 1000),
        ("-2.5e1", -25),
        ("1.54e18", 1_540_000_000_000_000_000),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("922337203685477580.7e1", 2**63 - 1),
        ("-9.223372036854775808e18", -(2**63)),
        ('"1.0"', 1),
        ('"1e3"', 1000),
        ('"007"', 7),
        ("-0", 0),
        ("-0.0", 0),
    ],
)
def test_j8_integers_may_have_a_fraction_of_zero_or_an_exponent(
    place: Place, literal: str, number: int
) -> None:
    """An integral number is read exactly, however it is written, also where a double would round it."""
    assert integer_in(place, literal) == number


@signed
@pytest.mark.parametrize(
    "literal",
    [
        str(2**63),
        str(-(2**63) - 1),
        f'"{2**63}"',
        "9.3e18",
        "1e400",
        "1.5",
        '"1.5"',
        "9007199254740993.5",
        '"1e999999999"',
        '"1e-99999999999999999999"',
        "9" * 5000,
        '"' + "9" * 5000 + '"',
    ],
)
def test_j8_signed_integers_out_of_range_or_with_a_fraction_are_malformed(place: Place, literal: str) -> None:
    """Nothing is rounded or wrapped around, not even where a fast parser would round it into the range."""
    assert integer_refusal(place, literal).endswith("is not a signed 64-bit integer")


@unsigned
@pytest.mark.parametrize("literal", [str(2**64), "-1", '"-1"', f'"{2**64}"', "1.9e19", "0.5"])
def test_j8_unsigned_integers_out_of_range_are_malformed(place: Place, literal: str) -> None:
    """A negative number or one above 2**64-1 is refused."""
    assert integer_refusal(place, literal).endswith("is not an unsigned 64-bit integer")


@pytest.mark.parametrize("number", [2**32, -1, "-2"])
def test_j8_32_bit_fields_have_their_own_range(number: Any) -> None:
    """A count of 32 bits does not take 33."""
    assert span_of(flags=2**32 - 1).flags == 2**32 - 1
    assert "flags: " in refusal(Signal.TRACES, traces({"flags": number}))
    assert "droppedLinksCount: " in refusal(Signal.TRACES, traces({"droppedLinksCount": number}))


@pytest.mark.parametrize("number", [0, 1, -1, 63, -64, 64, 2**31 - 1, -(2**31)])
def test_j8_signed_32_bit_scale_and_offset_are_read(number: int) -> None:
    """The zigzag fields of exponential histograms take every signed 32-bit integer."""
    data = {"dataPoints": [{"scale": number, "positive": {"offset": str(number)}}]}
    read = metric_of(exponentialHistogram=data).exponential_histogram.data_points[0]
    assert (read.scale, read.positive.offset) == (number, number)
