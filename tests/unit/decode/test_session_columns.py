"""The session of a record and the mark of an agent come from known attributes and names, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from receiver.signals import Signal
from tests.support.decoding import Decoding
from tests.support.otlp_requests import T0, logs, make_span, metrics, text_attribute, traces

SESSION_KEYS = (
    "session.id",
    "gen_ai.conversation.id",
    "conversation.id",
    "conversation_id",
    "copilot_chat.session_id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.thread_id",
)


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    """Give a decoder and a flattener."""
    opened = Decoding()
    yield opened
    opened.close()


def flat_spans(decoding: Decoding, *spans: Span) -> list[dict[str, Any]]:
    """Return the rows of spans of one resource that names no session."""
    _, rows = decoding.accepted(Signal.TRACES, traces(*spans))
    return rows["spans"]


def span_with(*attributes: KeyValue, **fields: Any) -> Span:
    """Return a span with these attributes."""
    return make_span(1, attributes=attributes, **fields)


@pytest.mark.parametrize("key", SESSION_KEYS)
def test_each_key_names_the_session(decoding: Decoding, key: str) -> None:
    """Of a span, a log record and a number point alike."""
    said = text_attribute(key, "s1")
    (span, other) = flat_spans(decoding, span_with(said), make_span(2))
    assert (span["session_id"], other["session_id"]) == ("s1", None)
    _, rows = decoding.accepted(Signal.LOGS, logs(LogRecord(time_unix_nano=T0, attributes=[said])))
    assert rows["logs"][0]["session_id"] == "s1"
    point = NumberDataPoint(time_unix_nano=T0, as_int=1, attributes=[said])
    _, rows = decoding.accepted(Signal.METRICS, metrics(Metric(name="m", gauge=Gauge(data_points=[point]))))
    assert rows["metric_points"][0]["session_id"] == "s1"


def test_the_first_of_the_keys_wins_whatever_their_order_in_the_record(decoding: Decoding) -> None:
    """An empty string or another type is passed over."""
    every = [text_attribute(key, f"from {key}") for key in reversed(SESSION_KEYS)]
    for place, key in enumerate(SESSION_KEYS):
        passed_over = [AnyValue(string_value=""), AnyValue(int_value=7)]
        earlier = [
            KeyValue(key=each, value=passed_over[number % 2])
            for number, each in enumerate(SESSION_KEYS[:place])
        ]
        rest = [pair for pair in every if pair.key not in SESSION_KEYS[:place]]
        (span,) = flat_spans(decoding, span_with(*rest, *earlier))
        assert span["session_id"] == f"from {key}"


@pytest.mark.parametrize(
    "value",
    [
        AnyValue(int_value=7),
        AnyValue(bool_value=True),
        AnyValue(double_value=0.5),
        AnyValue(bytes_value=b"s1"),
        AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="s1")])),
        AnyValue(string_value=""),
        AnyValue(),
    ],
    ids=["int", "bool", "double", "bytes", "array", "empty text", "nothing"],
)
def test_only_a_string_with_something_in_it_names_a_session(decoding: Decoding, value: AnyValue) -> None:
    """Numbers and lists under the same key are somebody else's."""
    (span,) = flat_spans(decoding, span_with(KeyValue(key="session.id", value=value)))
    assert span["session_id"] is None


def test_a_thread_is_a_session_only_where_there_is_a_turn(decoding: Decoding) -> None:
    """Codex names its sessions so; elsewhere it is a thread of the operating system."""
    thread, turn = text_attribute("thread.id", "019a"), text_attribute("turn.id", "1")
    system = KeyValue(key="thread.id", value=AnyValue(int_value=42))
    rows = flat_spans(
        decoding,
        span_with(thread, turn),
        span_with(thread),
        span_with(system, turn),
        span_with(thread, turn, text_attribute("conversation.id", "first")),
    )
    assert [row["session_id"] for row in rows] == ["019a", None, None, "first"]


@pytest.mark.parametrize("key", ["session.id", "gen_ai.conversation.id"])
def test_what_a_resource_says_counts_for_records_that_say_nothing(decoding: Decoding, key: str) -> None:
    """Records of another resource in the same request are not touched; other keys of a resource do not count."""
    said = text_attribute("session.id", "own")
    envelopes = [
        ResourceSpans(
            resource=Resource(attributes=attributes),
            scope_spans=[ScopeSpans(spans=[make_span(1), make_span(2, attributes=[said])])],
        )
        for attributes in (
            [text_attribute(key, "whole")],
            [text_attribute("conversation.id", "no")],
            [KeyValue(key=key, value=AnyValue(int_value=1))],
            [],
        )
    ]
    body = ExportTraceServiceRequest(resource_spans=envelopes).SerializeToString()
    _, rows = decoding.accepted(Signal.TRACES, body)
    assert [row["session_id"] for row in rows["spans"]] == ["whole", "own", *[None, "own"] * 3]


def test_points_take_the_session_of_the_resource_of_their_metric(decoding: Decoding) -> None:
    """Points of histograms have no such column."""
    body = metrics(
        Metric(name="m", gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=T0, as_int=1)] * 2)),
        Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint(time_unix_nano=T0)])),
    )
    request = ExportMetricsServiceRequest.FromString(body)
    request.resource_metrics[0].resource.attributes.append(text_attribute("session.id", "whole"))
    _, bare = decoding.group(Signal.METRICS, body)
    assert [row["session_id"] for row in bare["metric_points"]] == [None, None]
    assert "session_id" not in bare["histogram_points"][0]
    _, rows = decoding.group(Signal.METRICS, body, request.SerializeToString())
    assert [row["session_id"] for row in rows["metric_points"]] == [None, None, "whole", "whole"]


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.system",
        "gen_ai.provider.name",
        "openinference.span.kind",
        "llm.request.type",
        "traceloop.span.kind",
        "langfuse.observation.type",
        "codex.turn.token_usage.input_tokens",
        "copilot_chat.turn_count",
    ],
)
def test_an_agents_attribute_marks_the_record(decoding: Decoding, key: str) -> None:
    """Whatever its value; its neighbours are not marked."""
    said = KeyValue(key=key, value=AnyValue(int_value=1))
    rows = flat_spans(decoding, make_span(0), span_with(said), make_span(2))
    assert [row["is_gen_ai"] for row in rows] == [None, True, None]


@pytest.mark.parametrize(
    "name",
    [
        "claude_code.interaction",
        "qwen-code.tool",
        "gemini_cli.api_request",
        "codex.user_prompt",
        "opencode.llm",
    ],
)
def test_an_agents_name_marks_the_record(decoding: Decoding, name: str) -> None:
    """As the name of a span, as an event name, and in the attribute that some bridges write instead."""
    event = text_attribute("event.name", name)
    rows = flat_spans(decoding, span_with(name=name), span_with(event), span_with(name="x" + name))
    assert [row["is_gen_ai"] for row in rows] == [True, True, None]
    records = [
        LogRecord(time_unix_nano=T0, event_name=name),
        LogRecord(time_unix_nano=T0, attributes=[event]),
        LogRecord(time_unix_nano=T0, body=AnyValue(string_value=name)),
    ]
    _, found = decoding.accepted(Signal.LOGS, logs(*records))
    assert [row["is_gen_ai"] for row in found["logs"]] == [True, True, None]


def test_other_telemetry_is_not_an_agents(decoding: Decoding) -> None:
    """Neither the session of a browser nor a vendor's ``span.type`` makes a record an agent's."""
    rows = flat_spans(
        decoding,
        span_with(text_attribute("session.id", "browser")),
        span_with(text_attribute("span.type", "web")),
        span_with(text_attribute("event.name", "click")),
    )
    assert [row["is_gen_ai"] for row in rows] == [None, None, None]
