"""Trace dicts in every documented form, and what is said about those that are none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from receiver.config import LimitsConfig
from receiver.decode.json_request import protobuf_from_json
from receiver.errors import InvalidTraceError
from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.trace_dicts.units import TraceDicts, system_of
from tests.support.decoding import Decoding

NOON = 1_704_110_400_000_000_000
"""2024-01-01T12:00:00Z."""
NOW = NOON + 999
HEX = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def decoding() -> Iterator[Decoding]:
    """Give the real decoder."""
    opened = Decoding()
    yield opened
    opened.close()


def otlp(body: bytes) -> bytes:
    """Read OTLP/JSON as the receiver does."""
    return protobuf_from_json(Signal.TRACES, body, max_objects=LimitsConfig().json_objects).payload


def unit(trace: Any, *, system_id: str | None = None, now_ns: int = NOW) -> ImportUnit:
    """Return the only unit of a trace."""
    (found,) = TraceDicts(read_otlp=otlp, system_id=system_id).units(trace, now_ns=now_ns)
    return found


def rows_of(decoding: Decoding, trace: Any, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that the receiver stores; it refuses nothing."""
    verdict, rows = decoding.accepted(Signal.TRACES, unit(trace, **options).payload)
    assert verdict.outcome.rejected == 0
    assert verdict.outcome.message == ""
    return rows


def trace(**span: Any) -> dict[str, Any]:
    """Return a trace with one span."""
    return {"trace_id": "t-1", "spans": [{"name": "n", "start_time": NOON, **span}]}


def span_of(decoding: Decoding, **span: Any) -> dict[str, Any]:
    """Return the row of the only span."""
    (row,) = rows_of(decoding, trace(**span))["spans"]
    return row


def problem(given: Any) -> str:
    """Return what is said about something that is no trace."""
    with pytest.raises(InvalidTraceError) as caught:
        unit(given)
    return caught.value.message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-01-01T12:00:00Z", NOON),
        ("2024-01-01 12:00:00", NOON),
        ("2024-01-01T13:00:00+01:00", NOON),
        ("2024-01-01T12:00:00.123456789Z", NOON + 123_456_789),
        ("2024-01-01T12:00:00.5", NOON + 500_000_000),
        ("2024-01-01T13:00:00.123456789+01:00", NOON + 123_456_789),
        ("2024-01-01", NOON - 12 * 3_600_000_000_000),
        (1_704_110_400, NOON),
        (1_704_110_400.25, NOON + 250_000_000),
        (1_704_110_400_000, NOON),
        (1_704_110_400_000_000, NOON),
        (NOON, NOON),
        (float(NOON), NOON),
        (" 1704110400", NOON),
        ("1704110400.5", NOON + 500_000_000),
        (f" {NOON} ", NOON),
        (datetime(2024, 1, 1, 12, tzinfo=UTC), NOON),
        (datetime(2024, 1, 1, 12), NOON),  # noqa: DTZ001 - a time without a zone is the case
        (datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))), NOON),
        (date(2024, 1, 1), NOON - 12 * 3_600_000_000_000),
    ],
)
def test_a_time_may_be_written_in_every_usual_way(decoding: Decoding, given: Any, expected: int) -> None:
    """ISO 8601 with and without a zone, a date, Unix times by their size, datetimes; all exact."""
    assert span_of(decoding, start_time=given)["start_time_unix_nano"] == expected


def test_remembered_times_are_the_same_as_those_read_first(decoding: Decoding) -> None:
    """The second of a text is known after the first of its kind; the fraction still counts."""
    texts = [
        "2024-01-01T12:00:00Z",
        *(f"2024-01-01T12:00:00.{n}Z" for n in ("5", "25", "123456789", "000001")),
    ]
    spans = [
        {"name": str(number), "start_time": text, "end_time": text} for number, text in enumerate(texts * 2)
    ]
    rows = rows_of(decoding, {"trace_id": HEX, "spans": spans})["spans"]
    expected = [NOON, NOON + 500_000_000, NOON + 250_000_000, NOON + 123_456_789, NOON + 1000] * 2
    assert [row["start_time_unix_nano"] for row in rows] == expected
    assert [row["end_time_unix_nano"] for row in rows] == expected


@pytest.mark.parametrize("given", [None, "", "  ", 0, "0.0"])
def test_a_missing_time_is_now_and_says_so(decoding: Decoding, given: Any) -> None:
    """Nobody takes a time that was made up for one that was measured."""
    row = span_of(decoding, start_time=given)
    assert row["start_time_unix_nano"] == row["end_time_unix_nano"] == NOW
    assert '"otlp_receiver.start_time_missing":true' in row["attributes"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("yesterday", "spans[0].start_time: 'yesterday' is not a time"),
        (True, "spans[0].start_time: True is not a time"),
        ([], "spans[0].start_time: a value of type list is not a time"),
        (-5, "spans[0].start_time: -5 is before 1970"),
        ("1969-12-31T23:59:59Z", "spans[0].start_time: 1969-12-31 23:59:59+00:00 is before 1970"),
        (float("nan"), "spans[0].start_time: nan is not a time"),
        (10**30, "is after the year 2262"),
        ("9" * 5000, "is not a time"),
        ("2024-13-01", "spans[0].start_time: '2024-13-01' is not a time"),
    ],
)
def test_what_is_no_time_is_named_with_its_place(given: Any, said: str) -> None:
    """Never silently now, and never 1970."""
    assert said in problem(trace(start_time=given))


@pytest.mark.parametrize(
    ("given", "nanos"),
    [
        ({"duration_ms": 1.5}, 1_500_000),
        ({"durationMs": "2"}, 2_000_000),
        ({"duration": 0.25}, 250_000_000),
        ({"duration": "250ms"}, 250_000_000),
        ({"duration": timedelta(seconds=2)}, 2_000_000_000),
        ({"duration_us": 3}, 3000),
        ({"duration_ns": 4}, 4),
        ({"end_time": NOON + 7, "duration_ms": 9}, 7),
        ({"endTimeUnixNano": str(NOON + 8)}, 8),
    ],
)
def test_a_duration_makes_the_end(decoding: Decoding, given: dict[str, Any], nanos: int) -> None:
    """An end that is given counts before it."""
    row = span_of(decoding, **given)
    assert row["end_time_unix_nano"] - NOON == nanos
    assert "missing" not in row["attributes"]


def test_a_start_is_worked_out_from_end_and_duration(decoding: Decoding) -> None:
    """Two of the three say it all; an end alone is the start too, and is marked."""
    row = span_of(decoding, start_time=None, end_time=NOON, duration_ms=1)
    assert row["start_time_unix_nano"] == NOON - 1_000_000
    assert "missing" not in row["attributes"]
    row = span_of(decoding, start_time=None, end_time=NOON)
    assert row["start_time_unix_nano"] == NOON
    assert "start_time_missing" in row["attributes"]


@pytest.mark.parametrize("given", [-1, "soon", [], True])
def test_what_is_no_duration_is_named(given: Any) -> None:
    """The message has the field."""
    assert problem(trace(duration_ms=given)).startswith("spans[0].duration_ms: ")


def test_ids_of_hex_are_kept_and_others_become_ids_that_stay_the_same(decoding: Decoding) -> None:
    """Any text is a trace id; what was given stands in an attribute."""
    rows = rows_of(decoding, {"trace_id": HEX, "spans": [{"name": "n", "span_id": "00f067aa0ba902b7"}]})[
        "spans"
    ]
    assert (rows[0]["trace_id"].hex, f"{rows[0]['span_id']:016x}") == (HEX, "00f067aa0ba902b7")
    assert "otlp_receiver.trace_id" not in rows[0]["attributes"]
    first, second = (span_of(decoding, span_id="a", parent_span_id="b") for _ in range(2))
    assert first == second
    for name, text in (("trace_id", "t-1"), ("span_id", "a"), ("parent_span_id", "b")):
        assert f'"otlp_receiver.{name}":"{text}"' in first["attributes"]
    upper = rows_of(decoding, {"trace_id": HEX.upper(), "spans": [{"name": "n"}]})["spans"][0]
    assert upper["trace_id"].hex == HEX
    assert HEX.upper() in upper["attributes"]


def test_a_parent_finds_its_child_in_every_spelling(decoding: Decoding) -> None:
    """parent_span_id, parentSpanId and parent_id name the span_id of another span of the trace."""
    spans: list[dict[str, Any]] = [{"name": "root", "span_id": "r", "parent_span_id": None}]
    spans += [
        {"name": name, "spanId": name, name: "r"} for name in ("parent_span_id", "parentSpanId", "parent_id")
    ]
    spans.append(
        {"name": "sdk", "context": {"span_id": "0x00f067aa0ba902b7"}, "parent_id": "0x0000000000000000"}
    )
    rows = rows_of(decoding, {"trace_id": "t", "spans": spans})["spans"]
    assert [row["parent_span_id"] for row in rows] == [None, *[rows[0]["span_id"]] * 3, None]
    assert f"{rows[-1]['span_id']:016x}" == "00f067aa0ba902b7"


def test_spans_without_ids_get_different_ones_that_do_not_change(decoding: Decoding) -> None:
    """Two equal spans of one trace are two spans, in every run."""
    given = {"trace_id": "t", "spans": [{"name": "n", "start_time": NOON}] * 2}
    ids = [row["span_id"] for row in rows_of(decoding, given)["spans"]]
    assert len(set(ids)) == 2
    assert [row["span_id"] for row in rows_of(decoding, given, now_ns=NOW + 5)["spans"]] == ids


@pytest.mark.parametrize(
    ("given", "number"),
    [("server", 2), ("SPAN_KIND_CLIENT", 3), ("SpanKind.PRODUCER", 4), (5, 5), ("1", 1), (None, 0)],
)
def test_a_kind_is_a_name_or_a_number_of_otlp(decoding: Decoding, given: Any, number: int) -> None:
    """A span that does not say has the kind unspecified."""
    assert span_of(decoding, kind=given)["kind"] == number


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"status": "ERROR"}, 2, ""),
        ({"status": "ok"}, 1, ""),
        ({"status": "STATUS_CODE_ERROR", "status_message": "m"}, 2, "m"),
        ({"status": {"code": 2, "message": "m"}}, 2, "m"),
        ({"status": {"status_code": "ERROR", "description": "d"}}, 2, "d"),
        ({"status": {"code": "STATUS_CODE_OK"}}, 1, ""),
        ({"status": 503}, 2, ""),
        ({"attributes": {"error.type": "Timeout", "error.message": "too late"}}, 2, "too late"),
        ({"attributes": {"http.status_code": 500}}, 2, ""),
        ({"attributes": {"http.status_code": "503"}}, 2, ""),
        ({"attributes": {"http.response.status_code": 404}}, 0, ""),
        ({"attributes": {"error": True}}, 2, ""),
        ({"attributes": {"error": False}}, 0, ""),
        ({"status": "ok", "attributes": {"error.type": "handled"}}, 1, ""),
        ({}, 0, ""),
    ],
)
def test_a_status_is_given_or_follows_from_the_attributes(
    decoding: Decoding, given: dict[str, Any], code: int, message: str
) -> None:
    """The documented samples mark errors by attributes only; a status of its own counts before them."""
    row = span_of(decoding, **given)
    assert (row["status_code"], row["status_message"]) == (code, message)
    again = span_of(decoding, **given)
    assert (again["status_code"], again["status_message"]) == (code, message)


def test_a_remembered_key_still_marks_an_error(decoding: Decoding) -> None:
    """Which keys matter is looked up once, what they say each time."""
    spans = [{"name": "n", "attributes": {"http.status_code": code, "a": 1}} for code in (200, 500, 200, 503)]
    rows = rows_of(decoding, {"trace_id": "t", "spans": spans})["spans"]
    assert [row["status_code"] for row in rows] == [0, 2, 0, 2]


def test_attributes_may_be_otlps_list_and_keep_their_types(decoding: Decoding) -> None:
    """A dict, the list of {key, value} with and without AnyValue, None."""
    pairs = [
        {"key": "a", "value": {"intValue": "7"}},
        {"key": "b", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"boolValue": True}]}}},
        {"key": "c", "value": "plain"},
        {"key": "d", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 1.5}}]}}},
    ]
    row = span_of(decoding, attributes=pairs)
    assert '"a":7,"b":["x",true],"c":"plain","d":{"k":1.5}' in row["attributes"]
    row = span_of(decoding, attributes={"a": 1, "b": 1.0, "c": True, "d": None, "e": {"f": [1, "2"]}})
    assert '"a":1,"b":1.0,"c":true,"e":{"f":[1,"2"]}' in row["attributes"]
    assert "missing" in span_of(decoding, attributes=None)["attributes"]


def test_attributes_of_the_trace_are_those_of_its_first_span(decoding: Decoding) -> None:
    """The span's own come before them."""
    spans = [{"name": "a", "attributes": {"x": 1}}, {"name": "b"}]
    rows = rows_of(decoding, {"trace_id": "t", "spans": spans, "attributes": {"x": 2, "y": 3}})["spans"]
    assert '"x":1,"y":3' in rows[0]["attributes"]
    assert '"y"' not in rows[1]["attributes"]


def test_events_and_links_are_kept(decoding: Decoding) -> None:
    """In both spellings; an event without a time has the start of its span."""
    row = span_of(
        decoding,
        events=[
            {"name": "e", "timestamp": "2024-01-01T12:00:01Z", "attributes": {"a": 1}},
            {"name": "f", "timeUnixNano": str(NOON + 3)},
            "g",
        ],
        links=[
            {"trace_id": HEX, "span_id": "00f067aa0ba902b7"},
            {"context": {"trace_id": "x", "span_id": "y"}},
        ],
    )
    assert [(e["name"], e["time_unix_nano"] - NOON) for e in row["events"]] == [
        ("e", 10**9),
        ("f", 3),
        ("g", 0),
    ]
    assert row["links"][0]["trace_id"] == HEX
    assert len(row["links"]) == 2


@pytest.mark.parametrize(
    ("given", "service", "system"),
    [
        (
            {"spans": [{"name": "n", "attributes": {"service.name": "Claude-Integration"}}]},
            "Claude-Integration",
            "claude",
        ),
        ({"spans": [{"name": "n"}], "service.name": "my-qwen"}, "my-qwen", "qwen"),
        ({"spans": [{"name": "n"}], "resource": {"service.name": "api"}}, "api", "api"),
        ({"spans": [{"name": "n"}], "resource": {"attributes": {"service.name": "api"}}}, "api", "api"),
        ({"spans": [{"name": "n", "resource": {"service.name": "api"}}]}, "api", "api"),
        ({"spans": [{"name": "n"}], "system_id": "qwen"}, "qwen", "qwen"),
        (
            {"spans": [{"name": "n", "attributes": {"service.name": "api"}}], "system_id": "qwen"},
            "api",
            "qwen",
        ),
        ({"spans": [{"name": "n", "attributes": {"service.name": ""}}]}, None, "unknown"),
        ({"spans": [{"name": "n", "attributes": {"service.name": 5}}]}, None, "unknown"),
    ],
)
def test_service_and_system_are_found_wherever_they_are_said(
    decoding: Decoding, given: dict[str, Any], service: str | None, system: str
) -> None:
    """On a span, on the trace, in a resource; a system that is named stands before one that a service tells."""
    (resource,) = rows_of(decoding, {"trace_id": "t", **given})["resources"]
    assert resource["service_name"] == service
    assert f'"system_id":"{system}"' in resource["attributes"]


def test_a_system_for_all_traces_is_applied_where_they_name_none(decoding: Decoding) -> None:
    """What is called unknown is no system, so it changes nothing."""
    (resource,) = rows_of(decoding, trace(), system_id="claude")["resources"]
    assert (resource["service_name"], '"system_id":"claude"' in resource["attributes"]) == ("claude", True)
    (resource,) = rows_of(decoding, {**trace(), "system_id": "qwen"}, system_id="claude")["resources"]
    assert resource["service_name"] == "qwen"
    (resource,) = rows_of(decoding, trace(), system_id="unknown")["resources"]
    assert resource["service_name"] is None
    assert system_of("The QWEN proxy") == "qwen"


def test_spans_of_two_services_have_two_resources(decoding: Decoding) -> None:
    """A span without a service belongs to the trace's first."""
    spans = [
        {"name": "a", "attributes": {"service.name": "one"}},
        {"name": "b", "attributes": {"service.name": "two"}},
        {"name": "c"},
    ]
    rows = rows_of(decoding, {"trace_id": "t", "spans": spans})
    names = {row["resource_id"]: row["service_name"] for row in rows["resources"]}
    assert {row["name"]: names[row["resource_id"]] for row in rows["spans"]} == {
        "a": "one",
        "b": "two",
        "c": "one",
    }


def test_the_same_trace_has_the_same_key_and_another_content_another(decoding: Decoding) -> None:
    """Also where its time is missing, whenever it is handed in."""
    assert unit(trace()).key == unit(trace()).key
    assert unit(trace()).key != unit(trace(name="other")).key
    undated = {"trace_id": "t", "spans": [{"name": "n"}, {"name": "m", "duration_ms": 4}]}
    assert unit(undated, now_ns=1_000).key == unit(undated, now_ns=NOON).key
    assert unit(trace()).key[:8] == unit({**trace(name="x"), "trace_id": "u"}).key[:8]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "trace_data missing required field: trace_id"),
        ({"trace_id": "", "spans": []}, "trace_data missing required field: trace_id"),
        ({"trace_id": 5, "spans": [{}]}, "trace_id: 5 is not an id"),
        ({"trace_id": "t"}, "trace_data missing required field: spans"),
        ({"trace_id": "t", "spans": []}, "spans: the list is empty, so there is nothing to store"),
        ({"trace_id": "t", "spans": {"a": 1}}, "spans: a value of type dict is not a list"),
        ({"trace_id": "t", "spans": [{"name": "a"}, 5]}, "spans[1]: 5 is not a span"),
        (trace(name=5), "spans[0].name: 5 is not a text"),
        (trace(attributes="x"), "spans[0].attributes: 'x' is neither a dict nor a list of {key, value}"),
        (trace(attributes=[1]), "spans[0].attributes[0]: 1 is not {key, value}"),
        (
            trace(attributes={"a": object()}),
            "spans[0].attributes: 'a': a value of type object cannot be an attribute",
        ),
        (trace(kind="boss"), "spans[0].kind: 'boss' is not a kind"),
        (trace(status="green"), "spans[0].status: 'green' is not a status"),
        (trace(events={}, links=5), "spans[0].links: 5 is not a list"),
        (trace(events=[{"name": 1}]), "spans[0].events[0].name: 1 is not a text"),
        (trace(events=[{"name": "e", "time": "x"}]), "spans[0].events[0].time: 'x' is not a time"),
        (trace(links=[{}]), "spans[0].links[0].trace_id: nothing is not an id"),
        (trace(span_id=[]), "spans[0].span_id: a value of type list is not an id"),
        (
            trace(startTimeUnixNano="1.5"),
            "spans[0].startTimeUnixNano: '1.5' is not a whole number of nanoseconds",
        ),
        ({**trace(), "system_id": 5}, "system_id: 5 is not a text"),
        ({**trace(), "resource": 5}, "resource: 5 is neither a dict nor a list of {key, value}"),
        ({**trace(), "resource": {"a": object()}}, "resource: a value of type object cannot be an attribute"),
        (5, "5 is not a trace"),
        (None, "nothing is not a trace"),
        ("t", "'t' is not a trace"),
        ({"resourceSpans": []}, "resourceSpans: there is no span in it, so there is nothing to store"),
        ({"resourceSpans": 5}, "resourceSpans"),
        (
            {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "n"}]}]}]},
            "scopeSpans[0].spans[0].traceId: it is not an id",
        ),
    ],
)
def test_what_is_no_trace_is_named_with_its_place(given: Any, said: str) -> None:
    """Nothing is left out in silence."""
    assert said in problem(given)


def test_an_otlp_json_dict_is_read_as_the_receiver_reads_it(decoding: Decoding) -> None:
    """In both spellings; the system is written into its resource."""
    for name, scope in (("resourceSpans", "scopeSpans"), ("resource_spans", "scope_spans")):
        given = {
            name: [
                {
                    "resource": {
                        "attributes": [{"key": "service.name", "value": {"stringValue": "claude-code"}}]
                    },
                    scope: [
                        {"spans": [{"traceId": HEX, "spanId": "00f067aa0ba902b7", "name": "n", "kind": 3}]}
                    ],
                }
            ]
        }
        rows = rows_of(decoding, given)
        assert (rows["spans"][0]["trace_id"].hex, rows["spans"][0]["kind"]) == (HEX, 3)
        assert '"system_id":"claude"' in rows["resources"][0]["attributes"]
        rows = rows_of(decoding, given, system_id="mine")
        assert '"system_id":"mine"' in rows["resources"][0]["attributes"]
    with pytest.raises(InvalidTraceError, match="not read here"):
        TraceDicts().units({"resourceSpans": []})


def sdk_span() -> ReadableSpan:
    """Return a finished span of the real SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "sdk-claude", "n": 1}, "https://schema/r"))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("lib", "2.0", "https://schema/s", {"scope.attribute": True})
    with (
        tracer.start_as_current_span("outer") as outer,
        tracer.start_as_current_span(
            "inner",
            kind=SpanKind.CLIENT,
            attributes={"a": [1, 2], "b": 1.5},
            links=[Link(outer.get_span_context(), {"l": "x"})],
        ) as inner,
    ):
        inner.add_event("e", {"k": "v"}, timestamp=NOON)
        inner.set_status(Status(StatusCode.ERROR, "broken"))
    provider.shutdown()
    return next(span for span in exporter.get_finished_spans() if span.name == "inner")


def test_a_span_of_the_sdk_is_kept_whole(decoding: Decoding) -> None:
    """By itself and within a dict: resource, scope, times, kind, status, events, links, parent."""
    span = sdk_span()
    context = span.get_span_context()
    for given in (span, {"trace_id": "t", "spans": [span]}):
        rows = rows_of(decoding, given)
        (row,) = rows["spans"]
        assert context is not None
        assert span.parent is not None
        assert (row["trace_id"].int, row["span_id"]) == (context.trace_id, context.span_id)
        assert row["parent_span_id"] == span.parent.span_id
        assert (row["kind"], row["status_code"], row["status_message"]) == (3, 2, "broken")
        assert (row["start_time_unix_nano"], row["end_time_unix_nano"]) == (span.start_time, span.end_time)
        assert [(e["name"], e["time_unix_nano"]) for e in row["events"]] == [("e", NOON)]
        assert row["links"][0]["span_id"] == f"{span.parent.span_id:016x}"
        assert row["attributes"] == '{"a":[1,2],"b":1.5}'
        (resource,) = rows["resources"]
        assert (resource["service_name"], '"n":1' in resource["attributes"]) == ("sdk-claude", True)
        (scope,) = rows["scopes"]
        assert (scope["name"], scope["version"], scope["schema_url"]) == ("lib", "2.0", "https://schema/s")
        assert scope["attributes"] == '{"scope.attribute":true}'
    assert unit(span).key == unit(span).key


def test_what_only_looks_like_a_span_of_the_sdk_is_refused() -> None:
    """Without a context there is no id."""
    assert problem(ReadableSpan("n")) == "context: the span has no trace id and span id"
    assert "is not a trace" in problem(ReadableSpan)


def test_a_value_nested_too_deep_is_an_error_and_one_that_holds_itself_is_text(decoding: Decoding) -> None:
    """Neither ends the process."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deep" in problem(trace(attributes={"a": deep}))
    endless: list[Any] = []
    endless.append(endless)
    assert "[...]" in span_of(decoding, attributes={"a": endless})["attributes"]
