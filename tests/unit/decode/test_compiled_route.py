"""What the library takes, and what it leaves to the Python route: each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.config import LimitsConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.wire import VARINT, encode_varint, tag_of
from receiver.ports import Encoding, ExportRequest
from receiver.signals import Signal
from tests.support.decode_routes import NOT_BUILT, DecodeRoutes, open_route, taken_bodies
from tests.support.otlp_requests import (
    T0,
    log_request,
    logs,
    make_gauge,
    make_span,
    metric_request,
    metrics,
    span_request,
    text_attribute,
    traces,
)
from tests.support.wire_bytes import field, nested_value

pytestmark = NOT_BUILT


@pytest.fixture(scope="module")
def routes() -> Iterator[DecodeRoutes]:
    """Return both routes."""
    routes = DecodeRoutes()
    yield routes
    routes.close()


def said(value: AnyValue, key: str = "k") -> bytes:
    """Return a request of one span with one attribute."""
    return traces(make_span(0, attributes=[KeyValue(key=key, value=value)]))


def in_span(content: bytes) -> bytes:
    """Return a request of one span with more bytes behind its fields."""
    return field(1, field(2, field(2, make_span(0).SerializeToString() + content)))


def in_attribute(pair: bytes) -> bytes:
    """Return a request of one span with an attribute of these bytes."""
    return in_span(field(9, pair))


def number(tag: int, value: int) -> bytes:
    """Return a varint field."""
    return encode_varint(tag_of(tag, VARINT)) + encode_varint(value)


def prompt(text: str) -> bytes:
    """Return a request of one span with a prompt."""
    return said(AnyValue(string_value=text), "gen_ai.input.messages")


TWICE = KeyValueList(values=[text_attribute("a", "1"), text_attribute("a", "2")])
POINT = NumberDataPoint(time_unix_nano=T0, as_int=1)

TAKEN: dict[str, tuple[Signal, bytes]] = {
    "spans": (Signal.TRACES, span_request(0, 3).body),
    "logs": (Signal.LOGS, log_request(0, 3).body),
    "points": (Signal.METRICS, metric_request(0, 3).body),
    "a key twice in a record": (
        Signal.TRACES,
        traces(make_span(0, attributes=[text_attribute("a", "1"), text_attribute("a", "2")])),
    ),
    "values 30 levels deep": (Signal.TRACES, in_attribute(field(1, b"k") + field(2, nested_value(30, 5)))),
    "a field of a later OTLP beside the others": (Signal.TRACES, in_span(field(99, b"later"))),
    "a prompt that is no JSON": (Signal.TRACES, prompt("[what")),
    "a record without a body": (Signal.LOGS, logs(LogRecord(time_unix_nano=1))),
    "metadata of a metric": (
        Signal.METRICS,
        metrics(Metric(name="a", metadata=[text_attribute("k", "v")], gauge=Gauge(data_points=[POINT]))),
    ),
    "a parent id of zeros": (Signal.TRACES, traces(make_span(0, parent_span_id=bytes(8)))),
}


@pytest.mark.parametrize(("signal", "body"), TAKEN.values(), ids=TAKEN)
def test_the_usual_is_taken(routes: DecodeRoutes, signal: Signal, body: bytes) -> None:
    """And becomes the rows that the Python route makes of it."""
    assert routes.compare([ExportRequest(signal, body)]) == 1


def test_what_must_be_escaped_is_found_at_every_place(routes: DecodeRoutes) -> None:
    """Strings are looked through eight bytes at a time; only quote, backslash and what is below a space count."""
    letters = [chr(code) for code in range(0x81)] + ["\u0100", "\U00010922"]
    texts = [f"{'a' * place}{letter}{'a' * (17 - place)}" for letter in letters for place in range(18)]
    short = [f"{'a' * place}{letter}" for letter in letters for place in range(9)]
    records = [LogRecord(attributes=[text_attribute("k", text)]) for text in texts + short]
    assert routes.compare([ExportRequest(Signal.LOGS, logs(*records))]) == 1


def test_keys_in_any_order_keep_their_meaning(routes: DecodeRoutes) -> None:
    """The key that came behind another one the last time is only what is looked for first."""
    orders = ["abc", "abc", "acb", "ab", "", "c", "cab", "aab", "bca", "aaa", "session.id", "abc"]
    keys = [[order] if "." in order else list(order) for order in orders]
    records = [
        LogRecord(attributes=[text_attribute(key, f"{at}") for at, key in enumerate(each)]) for each in keys
    ]
    assert routes.compare([ExportRequest(Signal.LOGS, logs(*records))]) == 1


LEFT: dict[str, tuple[Signal, bytes]] = {
    # Needs repair, or an answer with a reason.
    "a span without an id": (Signal.TRACES, traces(make_span(0, span_id=b""))),
    "an id of zeros": (Signal.TRACES, traces(make_span(0, trace_id=bytes(16)))),
    "a log record with half an id": (Signal.LOGS, logs(LogRecord(time_unix_nano=1, trace_id=b"half"))),
    "a point without a time": (
        Signal.METRICS,
        metrics(Metric(gauge=Gauge(data_points=[NumberDataPoint(as_int=1)]))),
    ),
    "a point without a value": (
        Signal.METRICS,
        metrics(Metric(gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=T0)]))),
    ),
    "text that is no UTF-8": (Signal.TRACES, in_attribute(field(1, b"k\xff") + field(2, field(1, b"v")))),
    "a surrogate as UTF-8": (
        Signal.TRACES,
        in_attribute(field(1, b"k") + field(2, field(1, b"\xed\xa0\x80"))),
    ),
    "a request cut off": (Signal.TRACES, span_request(0).body[:-3]),
    # Tells its client something: the answer is a warning.
    "no temporality": (
        Signal.METRICS,
        metrics(Metric(name="a", histogram=Histogram(data_points=[HistogramDataPoint(time_unix_nano=T0)]))),
    ),
    # Hardly any exporter writes it; what it means stands in one place, the Python decoder.
    "a key twice in a nested value": (Signal.TRACES, said(AnyValue(kvlist_value=TWICE))),
    "values 40 levels deep": (Signal.TRACES, in_attribute(field(1, b"k") + field(2, nested_value(40, 6)))),
    "an index into a table of strings": (
        Signal.TRACES,
        in_attribute(number(4, 1) + field(2, field(1, b"v"))),
    ),
    "a value of a later OTLP": (Signal.TRACES, in_attribute(field(1, b"k") + field(2, field(99, b"later")))),
    "a value set twice": (
        Signal.TRACES,
        in_attribute(field(1, b"k") + field(2, field(1, b"a") + number(3, 1))),
    ),
    "a field in two places": (Signal.TRACES, in_span(field(5, b"another name"))),
    "a status in two places": (Signal.TRACES, in_span(field(15, field(2, b"a")) + field(15, number(3, 2)))),
    "a boolean that is 2": (Signal.TRACES, in_attribute(field(1, b"k") + field(2, number(2, 2)))),
    "an enum of more than 32 bits": (
        Signal.TRACES,
        field(1, field(2, field(2, make_span(0).SerializeToString() + number(6, 2**33)))),
    ),
    "a metric of two kinds": (
        Signal.METRICS,
        field(
            1,
            field(
                2,
                field(
                    2,
                    make_gauge(0).SerializeToString()
                    + field(7, Sum(data_points=[POINT]).SerializeToString()),
                ),
            ),
        ),
    ),
    # JSON on which parsers differ: whoever reads it must be the one whose reading is known.
    "a prompt with a name twice": (Signal.TRACES, prompt('{"a":"x","a":"y"}')),
    "a prompt with half a surrogate pair": (Signal.TRACES, prompt('["\\ud800"]')),
    "a prompt with a number beyond doubles": (Signal.TRACES, prompt("[1e400]")),
    "a prompt nested deep": (Signal.TRACES, prompt("[" * 500 + "]" * 500)),
}


@pytest.mark.parametrize(("signal", "body"), LEFT.values(), ids=LEFT)
def test_what_is_unusual_is_left_to_the_python_route(
    routes: DecodeRoutes, signal: Signal, body: bytes
) -> None:
    """Its verdict counts; a good request beside it is taken all the same."""
    assert routes.compare([ExportRequest(signal, body)]) == 0
    good = {
        Signal.TRACES: span_request(7),
        Signal.LOGS: log_request(7),
        Signal.METRICS: metric_request(7),
    }[signal]
    assert routes.compare([good, ExportRequest(signal, body), good]) == 2


def test_json_is_left_to_the_python_route(routes: DecodeRoutes) -> None:
    """The library reads protobuf only."""
    request = ExportRequest(
        Signal.LOGS, b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}', Encoding.JSON
    )
    assert routes.compare([request, log_request(1)]) == 1


def test_an_empty_request_is_accepted_without_columns(routes: DecodeRoutes) -> None:
    """Nothing is what some exporters send when they start (rule G2)."""
    for signal in Signal:
        assert routes.compare([ExportRequest(signal, b""), ExportRequest(signal, b"")]) == 0


def test_more_messages_than_the_limit_are_left_to_be_refused() -> None:
    """The same error as ever, whichever way its bytes are written."""
    routes = DecodeRoutes(LimitsConfig(request_messages=1000))
    try:
        for records in (900, 1100, 40_000):
            taken = routes.compare([log_request(0, records)])
            assert taken == (records == 900)
    finally:
        routes.close()


@pytest.mark.parametrize("levels", [1, 31, 32, 33])
@pytest.mark.parametrize("kind", [5, 6])
def test_nested_values_are_the_same_at_the_edge_of_what_is_taken(
    routes: DecodeRoutes, levels: int, kind: Any
) -> None:
    """In an attribute, in a prompt and as a body."""
    value = nested_value(levels, kind)
    for key in (b"k", b"gen_ai.input.messages"):
        routes.compare([ExportRequest(Signal.TRACES, in_attribute(field(1, key) + field(2, value)))])
    record = LogRecord(time_unix_nano=1).SerializeToString() + field(5, value)
    routes.compare([ExportRequest(Signal.LOGS, field(1, field(2, field(2, record))))])


def test_the_same_envelopes_in_many_requests_are_one_row_each(routes: DecodeRoutes) -> None:
    """Equal bytes with another schema URL are another resource, and another scope."""
    bodies = [
        ExportLogsServiceRequest(
            resource_logs=[
                ResourceLogs(
                    schema_url=url,
                    scope_logs=[ScopeLogs(schema_url=inner, log_records=[LogRecord(time_unix_nano=1)])],
                )
            ]
        ).SerializeToString()
        for url in ("", "a", "b", "a")
        for inner in ("", "a", "b")
    ]
    assert routes.compare([ExportRequest(Signal.LOGS, body) for body in bodies]) == len(bodies)


def test_columns_of_typed_attributes_hold_only_values_of_their_type(routes: DecodeRoutes) -> None:
    """Of a key that is there twice the last counts, whatever its type."""
    for values in (
        [AnyValue(int_value=200)],
        [AnyValue(string_value="200")],
        [AnyValue(int_value=200), AnyValue(string_value="x")],
        [AnyValue(string_value="x"), AnyValue(int_value=-(2**63))],
        [AnyValue(), AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)]))],
    ):
        attributes = [
            KeyValue(key=key, value=value)
            for value in values
            for key in ("http.response.status_code", "http.route", "session.id", "gen_ai.request.model")
        ]
        body = traces(make_span(0, attributes=attributes, events=[Span.Event(attributes=attributes)]))
        assert routes.compare([ExportRequest(Signal.TRACES, body)]) == 1


def test_many_records_in_few_bytes_become_rows_part_by_part() -> None:
    """What a group takes in memory as rows is bounded by its records, not by its bytes alone."""
    decoder, flattener = open_route(LimitsConfig(), NestedValues(), compiled=True)
    body = field(1, field(2, b"\x12\x00" * 100_000))
    try:
        decoded = decoder.decode([ExportRequest(Signal.LOGS, body)] * 5)
        assert len(taken_bodies(decoded.columns)) == 5
        sizes = [len(part["logs"]) for part in flattener.parts(decoded.columns)]
    finally:
        flattener.close()
    assert sum(sizes) == 500_000
    assert max(sizes) <= 200_000
