"""Outfiles of Qwen Code and Gemini CLI: what their records become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.outfiles.metrics import LOST
from receiver.sources.outfiles.parser import GEMINI_CLI, QWEN_CODE, OutfileParser
from receiver.sources.source import MalformedDocumentError
from tests.support.agent_files import (
    SESSION,
    T0,
    contents,
    dump,
    hr,
    js_log,
    js_metrics,
    js_span,
    read,
)
from tests.support.session_files import PlainSpan, spans_of


def _one(parser: OutfileParser, record: dict[str, Any]) -> ImportUnit:
    (unit,) = parser.feed(dump(record))
    return unit


def _log_record(unit: ImportUnit) -> Any:
    assert unit.signal is Signal.LOGS
    group = ExportLogsServiceRequest.FromString(unit.payload).resource_logs[0]
    return group.scope_logs[0].log_records[0]


def _texts(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _built(units: list[ImportUnit]) -> list[PlainSpan]:
    return [span for span in spans_of(u for u in units if u.signal is Signal.TRACES) if span.kind != "None"]


def test_span_keeps_its_ids_times_resource_and_scope() -> None:
    """A span from the file is the span that would have been sent."""
    record = js_span(
        1, service="qwen-code", name="qwen-code.llm_request",
        attributes={"gen_ai.usage.input_tokens": 12, "temperature": 0.5, "gen_ai.request.model": "qwen3", "tags": ["a"]},
        events=[{"name": "retry", "attributes": {"attempt": 2}, "time": hr(T0 + 20), "droppedAttributesCount": 0}],
        status={"code": 2, "message": "429"},
    )  # fmt: skip
    unit = _one(OutfileParser(QWEN_CODE), record)
    group = ExportTraceServiceRequest.FromString(unit.payload).resource_spans[0]
    span = group.scope_spans[0].spans[0]
    assert (span.trace_id.hex(), span.span_id.hex()) == (f"{2:032x}", f"{2:016x}")
    assert span.parent_span_id.hex() == "00000000000000ff"
    assert (span.name, span.kind, span.status.code, span.status.message) == (
        "qwen-code.llm_request",
        3,
        2,
        "429",
    )
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == ((T0 + 1) * 10**6, (T0 + 41) * 10**6)
    assert [(e.name, e.time_unix_nano, _texts(e.attributes)) for e in span.events] == [
        ("retry", (T0 + 20) * 10**6, {"attempt": 2})
    ]
    said = _texts(span.attributes)
    assert (said["gen_ai.usage.input_tokens"], said["temperature"]) == (12, 0.5)
    assert _texts(group.resource.attributes) == {"service.name": "qwen-code", "service.version": "0.9.0"}
    assert (group.scope_spans[0].scope.name, group.scope_spans[0].scope.version) == ("qwen-code", "1.0")


def test_span_of_the_first_version_of_the_sdk_is_read() -> None:
    """Version 1 had other names for the parent, the scope and the resource."""
    record = js_span(4, service="gemini-cli", name="tool_call")
    del record["parentSpanContext"], record["instrumentationScope"]
    record["parentSpanId"] = "00000000000000aa"
    record["instrumentationLibrary"] = {"name": "gemini-cli", "version": "v1"}
    record["resource"] = {"_attributes": {"service.name": "gemini-cli"}, "asyncAttributesPending": False}
    (span,) = spans_of([_one(OutfileParser(GEMINI_CLI), record)])
    assert span.parent == "00000000000000aa"
    assert span.resource == {"service.name": "gemini-cli"}


def test_log_record_is_the_one_that_would_have_been_sent() -> None:
    """Body, time, attributes and the span it was written in are kept."""
    record = js_log(3, "qwen-code.user_prompt", service="qwen-code", prompt="Hello", prompt_length=5)
    unit = _one(
        OutfileParser(QWEN_CODE), {**record, "_severityNumber": 9, "_eventName": "qwen-code.user_prompt"}
    )
    log = _log_record(unit)
    assert log.body.string_value == "qwen-code.user_prompt happened"
    assert log.time_unix_nano == log.observed_time_unix_nano == (T0 + 3) * 10**6
    assert (log.severity_number, log.event_name, log.span_id.hex()) == (
        9,
        "qwen-code.user_prompt",
        "0" * 15 + "1",
    )
    said = _texts(log.attributes)
    assert (said["prompt"], said["prompt_length"], said["session.id"]) == ("Hello", 5, SESSION)


def test_metrics_are_what_would_have_been_sent() -> None:
    """Sums, histograms, gauges and exponential histograms keep values, times and temporality."""
    unit = _one(OutfileParser(QWEN_CODE), js_metrics("qwen-code"))
    assert unit.signal is Signal.METRICS
    (group,) = ExportMetricsServiceRequest.FromString(unit.payload).resource_metrics
    tokens, latency, memory, sizes = group.scope_metrics[0].metrics
    assert (tokens.name, tokens.unit, tokens.description) == ("tokens", "1", "about tokens")
    assert (tokens.sum.aggregation_temporality, tokens.sum.is_monotonic) == (2, True)
    assert [(p.as_int, _texts(p.attributes)) for p in tokens.sum.data_points] == [
        (12, {"type": "input"}), (34, {"type": "output"}),
    ]  # fmt: skip
    assert [list(p.bucket_counts) for p in latency.histogram.data_points] == [[1, 2, 0, 1], [0, 1, 0, 0]]
    assert [p.as_double for p in memory.gauge.data_points] == [1.5]
    (point,) = sizes.exponential_histogram.data_points
    assert (point.scale, point.count, point.positive.offset, list(point.positive.bucket_counts)) == (
        1,
        3,
        -1,
        [1, 2],
    )


def test_points_that_share_an_array_get_it_back() -> None:
    """An end time and bounds that the file holds once count for the points behind them too."""
    unit = _one(OutfileParser(QWEN_CODE), js_metrics("qwen-code"))
    metrics = (
        ExportMetricsServiceRequest.FromString(unit.payload).resource_metrics[0].scope_metrics[0].metrics
    )
    assert b"[Circular]" in dump(js_metrics("qwen-code"))
    ends = {point.time_unix_nano for point in metrics[0].sum.data_points}
    ends |= {point.time_unix_nano for point in metrics[1].histogram.data_points}
    assert ends == {(T0 + 10_000) * 10**6}
    assert [list(p.explicit_bounds) for p in metrics[1].histogram.data_points] == [[0, 5, 10]] * 2


def test_point_whose_attributes_are_lost_says_so() -> None:
    """An attribute object that two points share is in the file once; the second point does not pretend to have none."""
    record = js_metrics("qwen-code")
    shared = {"model": "qwen3"}
    metrics = record["scopeMetrics"][0]["metrics"]
    metrics[0]["dataPoints"][0]["attributes"] = shared
    metrics[2]["dataPoints"][0]["attributes"] = shared
    unit = _one(OutfileParser(QWEN_CODE), record)
    read_metrics = (
        ExportMetricsServiceRequest.FromString(unit.payload).resource_metrics[0].scope_metrics[0].metrics
    )
    assert _texts(read_metrics[0].sum.data_points[0].attributes) == shared
    assert _texts(read_metrics[2].gauge.data_points[0].attributes) == {LOST: 0}


def test_history_that_every_request_repeats_is_kept_once() -> None:
    """An api_request holds only messages that no earlier one of its session held, and says how many it left out."""
    parser = OutfileParser(QWEN_CODE)
    requests = [
        contents("one"),
        contents("one", "two", "three"),
        contents("one", "two", "three", "four", "one"),
    ]
    said = [
        _texts(_log_record(unit).attributes)
        for n, text in enumerate(requests)
        for unit in parser.feed(
            dump(js_log(n, "qwen-code.api_request", service="qwen-code", request_text=text, model="m"))
        )
    ]
    kept = [[message["parts"][0]["text"] for message in json.loads(each["request_text"])] for each in said]
    assert kept == [["one"], ["two", "three"], ["four", "one"]]
    assert [each.get("otlp_receiver.input.repeated_messages") for each in said] == [None, 1, 3]


def test_another_session_keeps_its_own_history() -> None:
    """What one session said is news in another one."""
    parser = OutfileParser(QWEN_CODE)
    for session in ("a", "b"):
        record = js_log(
            1, "qwen-code.api_request", service="qwen-code", session=session, request_text=contents("one")
        )
        (unit,) = parser.feed(dump(record))
        assert "request_text" in _texts(_log_record(unit).attributes)
    assert parser.session_ids == ["a", "b"]


def test_events_without_spans_become_a_trace() -> None:
    """A file of events only gives session, turn, calls with their tokens, tools, and errors."""
    spans = _built(read(OutfileParser(GEMINI_CLI), _events("gemini-cli", "gemini_cli.")))
    assert [span.name for span in spans] == [
        "session", "chat gemini-3-pro", "execute_tool read_file", "chat gemini-3-pro", "chat gemini-3-pro",
        "invoke_agent gemini-cli",
    ]  # fmt: skip
    session, first, tool, failed, last, turn = spans
    assert session.start_ns == session.end_ns == (T0 + 1_000) * 10**6
    assert {span.parent for span in (first, tool, failed, last)} == {turn.span_id}
    assert turn.parent == session.span_id
    assert (turn.attributes["prompt.id"], turn.end_ns) == ("p1", (T0 + 9_000) * 10**6)
    assert "Why" in turn.attributes["gen_ai.input.messages"]
    assert first.attributes["gen_ai.usage.input_tokens"] == 100
    assert first.attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    assert first.attributes["gen_ai.usage.reasoning.output_tokens"] == 5
    assert first.start_ns == (T0 + 2_000) * 10**6
    assert json.loads(first.attributes["gen_ai.output.messages"])[0]["parts"] == [
        {"type": "text", "content": "I look."}
    ]
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"path": "cart.py"}
    assert (tool.status, tool.message, tool.attributes["error.type"]) == (2, "no such file", "not_found")
    assert (failed.status, failed.message) == (2, "quota")
    assert last.attributes["otlp_receiver.input.repeated_messages"] == 1
    assert "gen_ai.usage.input_tokens" not in failed.attributes


def test_file_with_spans_of_the_agent_gets_no_second_trace() -> None:
    """What spans say is not said again by what events became, even if the spans come behind them."""
    documents = _events("qwen-code", "qwen-code.")
    documents.insert(5, dump(js_span(1, service="qwen-code", name="qwen-code.llm_request")))
    assert _built(read(OutfileParser(QWEN_CODE), documents)) == []


def test_spans_of_http_requests_are_no_spans_of_the_agent() -> None:
    """Instrumentation's spans say nothing of turns, so the events still become a trace."""
    span = js_span(1, service="qwen-code", name="POST")
    span["instrumentationScope"] = {"name": "@opentelemetry/instrumentation-http", "version": "0.203.0"}
    documents = [*_events("qwen-code", "qwen-code."), dump(span)]
    assert len(_built(read(OutfileParser(QWEN_CODE), documents))) == 6


def test_what_is_old_by_the_files_own_clock_goes_out_before_the_end() -> None:
    """A trace of events does not wait for the end of a file that is never finished."""
    parser = OutfileParser(QWEN_CODE)
    units = [unit for document in _events("qwen-code", "qwen-code.") for unit in parser.feed(document)]
    assert _built(units) == []
    late = js_log(
        0, "qwen-code.user_prompt", service="qwen-code", at=T0 + 100_000, prompt_id="p2", prompt="More"
    )
    later = list(parser.feed(dump(late)))
    assert [span.kind for span in _built(later)] == ["session", "call", "tool", "call", "call"]
    assert list(parser.flush(finished=False)) == []
    end = [js_metrics("qwen-code", at=T0 + 200_000), js_metrics("qwen-code", at=T0 + 300_000)]
    last = [unit for record in end for unit in parser.feed(dump(record))]
    assert [span.name for span in _built(last)] == ["invoke_agent qwen-code"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"startTime": "yesterday"}, "startTime"),
        ({"_spanContext": {"traceId": "xyz", "spanId": "1"}}, "hexadecimal"),
        ({"_spanContext": {"traceId": "0" * 32, "spanId": "1" * 16}}, "not all zero"),
    ],
)
def test_span_that_is_none_is_refused_alone(change: dict[str, Any], said: str) -> None:
    """A damaged record is told, and the parser goes on as if it had not been there."""
    parser = OutfileParser(QWEN_CODE)
    with pytest.raises(MalformedDocumentError, match=said):
        list(parser.feed(dump({**js_span(1, service="qwen-code", name="x"), **change})))
    assert len(list(parser.feed(dump(js_span(1, service="qwen-code", name="x"))))) == 1


@pytest.mark.parametrize("document", [b"null", b"[]", b'{"a": 1}', b'{"hrTime": [1', b"\xff"])
def test_document_that_is_no_record_is_refused(document: bytes) -> None:
    """Anything else than a record is said, whatever it is."""
    with pytest.raises(MalformedDocumentError):
        list(OutfileParser(QWEN_CODE).feed(document))


def test_text_cut_inside_a_character_is_read() -> None:
    """JavaScript cuts texts between two halves of a character; the half becomes a question mark."""
    document = dump(js_log(1, "qwen-code.user_prompt", service="qwen-code", prompt="MARK"))
    (unit,) = OutfileParser(QWEN_CODE).feed(document.replace(b"MARK", b"cut \\ud83d"))
    assert _texts(_log_record(unit).attributes)["prompt"] == "cut ?"


def test_nested_bodies_are_kept() -> None:
    """A body that is an object stays one."""
    record = {**js_log(1, "x", service="qwen-code"), "_body": {"a": [1, {"b": None}]}}
    body = _log_record(_one(OutfileParser(QWEN_CODE), record)).body
    (pair,) = body.kvlist_value.values
    assert isinstance(pair, KeyValue)
    assert pair.value.array_value.values[0].int_value == 1


def _events(service: str, prefix: str) -> list[bytes]:
    """Return one turn as events: two calls, a tool that fails, a call that fails."""
    said = {"model": "gemini-3-pro", "prompt_id": "p1"}
    counts = {
        "input_token_count": 100, "output_token_count": 20, "cached_content_token_count": 60,
        "thoughts_token_count": 5, "duration_ms": 1_000,
    }  # fmt: skip
    records: list[tuple[str, dict[str, Any]]] = [
        ("user_prompt", {"prompt": "Why is it slow?", "prompt_id": "p1", "prompt_length": 15}),
        ("api_request", {**said, "request_text": contents("Why is it slow?")}),
        ("api_response", {**said, **counts, "response_text": "I look.", "response_id": "r1", "auth_type": "gemini-api-key"}),
        (
            "tool_call",
            {
                "function_name": "read_file", "function_args": '{\n  "path": "cart.py"\n}', "duration_ms": 250,
                "success": False, "error": "no such file", "error_type": "not_found", "prompt_id": "p1",
            },
        ),
        ("api_error", {**said, "error.message": "quota", "error_type": "429", "duration_ms": 10}),
        ("api_request", {**said, "request_text": contents("Why is it slow?", "I look.")}),
        ("api_response", {**said, **counts, "response_text": "It is the cache.", "response_id": "r2"}),
        ("next_speaker_check", {"prompt_id": "p1"}),
    ]  # fmt: skip
    times = [1_000, 2_000, 3_000, 4_000, 5_000, 8_000, 9_000, 9_500]
    return [
        dump(js_log(n, prefix + name, service=service, at=T0 + times[n], **attributes))
        for n, (name, attributes) in enumerate(records)
    ]
