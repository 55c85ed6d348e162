"""Requests with invalid UTF-8 are rescued, whatever else is in them (rule 4.3)."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from receiver.decode.anyvalue import decode_any_value
from receiver.decode.utf8 import repair_utf8
from receiver.errors import MalformedRequestError
from receiver.signals import Signal
from tests.support.wire_bytes import field, nested_value

MARK = "«bad»"  # as long as its damaged form, so that lengths on the wire stay right
DAMAGED = b"\xff" + MARK.encode()[1:]
REPAIRED = DAMAGED.decode(errors="replace")


def request_of(signal: Signal, text: str) -> Message:
    """Return a request that holds ``text`` in every kind of string, and bytes that are no text."""
    inner = KeyValue(key=text, value=AnyValue(string_value=text))
    attribute = KeyValue(
        key=text,
        value=AnyValue(
            array_value=ArrayValue(
                values=[
                    AnyValue(string_value=text),
                    AnyValue(kvlist_value=KeyValueList(values=[inner])),
                    AnyValue(bytes_value=b"\xff\xfe"),
                ]
            )
        ),
    )
    resource = Resource(
        attributes=[attribute], entity_refs=[EntityRef(type=text, id_keys=["ok", text, text])]
    )
    scope = InstrumentationScope(name=text, version=text)
    if signal is Signal.TRACES:
        span = Span(
            trace_id=b"\xff" * 16,
            name=text,
            trace_state=text,
            events=[Span.Event(name=text, attributes=[attribute])],
            links=[Span.Link(trace_state=text)],
            status=Status(message=text),
            end_time_unix_nano=2**64 - 1,
        )
        spans = ScopeSpans(scope=scope, spans=[span, Span(name="untouched")], schema_url=text)
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=resource, scope_spans=[spans], schema_url=text)]
        )
    if signal is Signal.LOGS:
        record = LogRecord(body=AnyValue(string_value=text), severity_text=text, event_name=text)
        logs = ScopeLogs(scope=scope, log_records=[record])
        return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[logs])])
    point = NumberDataPoint(
        as_int=0, attributes=[attribute], exemplars=[Exemplar(filtered_attributes=[inner])]
    )
    metric = Metric(name=text, unit=text, description=text, metadata=[inner], sum=Sum(data_points=[point]))
    metrics = ScopeMetrics(scope=scope, metrics=[metric])
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[metrics])]
    )


@pytest.mark.parametrize("signal", Signal)
def test_every_string_of_every_message_is_repaired_and_nothing_else_is_touched(signal: Signal) -> None:
    """The repaired request parses strictly and differs from the undamaged one in the bad strings alone."""
    body = request_of(signal, MARK).SerializeToString()
    damaged = body.replace(MARK.encode(), DAMAGED)
    repaired = repair_utf8(signal, damaged)
    expected = request_of(signal, REPAIRED)
    parsed = type(expected)()
    parsed.ParseFromString(repaired.body)
    assert parsed == expected
    assert repaired.strings == body.count(MARK.encode())


def test_a_character_cut_in_the_middle_becomes_one_replacement() -> None:
    """Truncation inside a character is the usual cause; what stood before it stays."""
    body = field(1, field(2, field(2, field(5, "naïve café".encode()[:-1]))))
    parsed = ExportTraceServiceRequest.FromString(repair_utf8(Signal.TRACES, body).body)
    assert parsed.resource_spans[0].scope_spans[0].spans[0].name == "naïve caf\ufffd"


def test_a_valid_request_says_what_it_said() -> None:
    """Without a bad string nothing is counted and nothing changes."""
    request = request_of(Signal.LOGS, "fine")
    repaired = repair_utf8(Signal.LOGS, request.SerializeToString())
    assert repaired.strings == 0
    assert ExportLogsServiceRequest.FromString(repaired.body) == request


def test_unknown_fields_survive_the_repair() -> None:
    """Fields of a later OTLP are kept byte for byte, even if they hold bad UTF-8."""
    unknown = field(100, b"\xff later")
    span = field(5, b"\xff") + unknown
    repaired = repair_utf8(Signal.TRACES, field(1, field(2, field(2, span)) + unknown)).body
    assert repaired.count(unknown) == 2


@pytest.mark.parametrize(
    "body", [b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0f"]
)
def test_bytes_that_are_wrong_in_another_way_are_refused(body: bytes) -> None:
    """Truncated bytes and bytes that are no protobuf cannot be rescued; the parser's word is passed on."""
    with pytest.raises(MalformedRequestError, match="not valid protobuf"):
        repair_utf8(Signal.TRACES, body)


def _log(body: bytes, severity_text: bytes) -> bytes:
    return field(1, field(2, field(2, field(3, severity_text) + field(5, body))))


def test_a_request_nested_too_deep_for_the_parser_is_repaired_outside_its_values() -> None:
    """The value stays as it is for the decoder of values, which repairs it again; the rest is repaired."""
    deep = nested_value(60, 6).replace(b"k", b"\xff")
    repaired = repair_utf8(Signal.LOGS, _log(deep, b"WARN\xff"))
    assert repaired.strings == 1
    assert "WARN\ufffd".encode() in repaired.body
    assert deep in repaired.body
    assert "\ufffd" in decode_any_value(deep, kind="any").json


def test_malformed_bytes_inside_a_value_are_refused() -> None:
    """That nested values are not parsed with the request does not let bad ones through."""
    with pytest.raises(MalformedRequestError, match="malformed protobuf"):
        repair_utf8(Signal.LOGS, _log(field(5, b"\x0a\x7f"), b"WARN"))
