"""Rules J1 to J9: OTLP/JSON from the socket to the stored row, for each signal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from receiver.signals import Signal
from tests.support.otlp_exchange import HTTP_JSON, Answer, every_signal, send
from tests.support.otlp_json import SPAN_HEX, TRACE_HEX
from tests.support.otlp_messages import (
    ATTRIBUTES,
    full_request,
    json_fields,
    objects_within,
    request_of,
    written,
)
from tests.support.otlp_requests import T0, make_span
from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import (
    Record,
    stored_logs,
    stored_numbers,
    stored_points,
    stored_spans,
    texts,
)

Fields = dict[str, Any]
_STORED = {Signal.TRACES: stored_spans, Signal.METRICS: stored_numbers, Signal.LOGS: stored_logs}
_ALL = _STORED | {Signal.METRICS: stored_points}
_ENVELOPES = {
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
}


def document(signal: Signal, service: str, *records: Fields) -> Fields:
    """Return the JSON of a request with records that have these fields; of metrics, gauges with one point each."""
    found: list[Fields] = []
    for number, fields in enumerate(records):
        match signal:
            case Signal.TRACES:
                ids = {"traceId": TRACE_HEX, "spanId": f"{number + 1:016x}"}
                found.append(ids | {"startTimeUnixNano": T0 + number} | fields)
            case Signal.METRICS:
                point: Fields = {"timeUnixNano": T0 + number, "asInt": 1} | fields
                found.append({"name": f"m{number}", "gauge": {"dataPoints": [point]}})
            case Signal.LOGS:
                found.append({"timeUnixNano": T0 + number} | fields)
    outer, inner, name = _ENVELOPES[signal]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {outer: [{"resource": resource, inner: [{name: found}]}]}


async def post(receiver: ReceiverProcess, signal: Signal, body: bytes | Fields) -> Answer:
    """Send a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await send(receiver, HTTP_JSON, signal, data)


async def stored(
    receiver: ReceiverProcess, signal: Signal, service: str, body: bytes | Fields
) -> list[Record]:
    """Return the records that come of a JSON body that is fully accepted, by their time."""
    assert (await post(receiver, signal, body)).partial_success(signal) is None
    receiver.flush()
    rows = _STORED[signal](receiver, service)
    return sorted(rows, key=lambda row: row["start"] if signal is Signal.TRACES else row["time"])


def attribute(value: Fields) -> list[Fields]:
    """Return one attribute."""
    return [{"key": "k", "value": value}]


@every_signal
async def test_j1_ids_are_hex_of_any_case_in_every_message(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """Span, its parent, its link; log record; exemplar."""
    records: list[Fields] = []
    changes: list[Callable[[str], str]] = [str, str.lower, str.upper]
    for change in changes:
        trace, span = change(TRACE_HEX), change(SPAN_HEX)
        ids = {"traceId": trace, "spanId": span}
        fields: dict[Signal, Fields] = {
            Signal.TRACES: ids | {"parentSpanId": span, "links": [ids]},
            Signal.METRICS: {"exemplars": [ids | {"asInt": 1}]},
            Signal.LOGS: ids,
        }
        records.append(fields[signal])
    rows = await stored(receiver, signal, service, document(signal, service, *records))
    within = {Signal.TRACES: "links", Signal.METRICS: "exemplars"}
    places = [] if signal is Signal.METRICS else list(rows)
    places += [inner for row in rows for inner in row.get(within.get(signal, ""), [])]
    assert [(place["trace_id"], place["span_id"]) for place in places] == [
        (TRACE_HEX.lower(), SPAN_HEX.lower())
    ] * (6 if signal is Signal.TRACES else 3)
    if signal is Signal.TRACES:
        assert {row["parent_span_id"] for row in rows} == {SPAN_HEX.lower()}


@every_signal
async def test_j1_other_bytes_are_base64(receiver: ReceiverProcess, signal: Signal, service: str) -> None:
    """An attribute of bytes, also where its text could be an id in hex."""
    values = ["AAECAwQFBgcICQoLDA0ODw==", TRACE_HEX.lower()]
    body = document(signal, service, *({"attributes": attribute({"bytesValue": text})} for text in values))
    rows = await stored(receiver, signal, service, body)
    assert [row["attributes"] for row in rows] == [{"k": {"@bytes": text}} for text in values]


def with_enum(signal: Signal, service: str, *written_as: Any) -> tuple[Fields, str]:
    """Return a request with its signal's enum, and the name of the column that it goes to."""
    if signal is Signal.METRICS:
        body = document(signal, service, *({} for _ in written_as))
        metrics = [each for each in objects_within(body) if "gauge" in each]
        for metric, value in zip(metrics, written_as, strict=True):
            metric["sum"] = metric.pop("gauge") | {"aggregationTemporality": value}
        return body, "temporality"
    field, column = ("kind", "kind") if signal is Signal.TRACES else ("severityNumber", "severity_number")
    return document(signal, service, *({field: value} for value in written_as)), column


_ENUMS = {
    Signal.TRACES: "SPAN_KIND_CLIENT",
    Signal.METRICS: "AGGREGATION_TEMPORALITY_DELTA",
    Signal.LOGS: "SEVERITY_NUMBER_WARN2",
}
_ENUM_NUMBERS = {Signal.TRACES: 3, Signal.METRICS: 1, Signal.LOGS: 14}


@every_signal
async def test_j2_enums_are_numbers_and_known_names_are_read(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """Senders must write numbers; names are understood all the same."""
    body, column = with_enum(signal, service, _ENUM_NUMBERS[signal], _ENUMS[signal])
    rows = await stored(receiver, signal, service, body)
    assert [row[column] for row in rows] == [_ENUM_NUMBERS[signal]] * 2


@every_signal
async def test_j2_an_unknown_name_is_400(receiver: ReceiverProcess, signal: Signal) -> None:
    """It is not taken for 0."""
    answer = await post(receiver, signal, with_enum(signal, "unknown", "SOMETHING_NEW")[0])
    answer.assert_permanent(code=3, http_status=400)
    assert '"SOMETHING_NEW" is not a value of' in answer.status.message


@every_signal
async def test_j3_unknown_names_are_ignored_whatever_they_hold(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """In every object of the request; the row is the one without them."""
    body = json_fields(full_request(signal, service))
    for number, level in enumerate(list(objects_within(body))):
        level["nope"] = [None, 1, "x", [[]], {"spans": [{"name": 5}]}, 1e300][number % 6]
    assert (await post(receiver, signal, body)).partial_success(signal) is None
    receiver.flush()
    rows = _ALL[signal](receiver, service)
    assert [row["attributes"] for row in rows] == [ATTRIBUTES] * (5 if signal is Signal.METRICS else 1)


@every_signal
async def test_j4_snake_case_names_mean_the_same(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """A whole request in either spelling gives the same rows."""
    rows = []
    for which in ("camel", "snake"):
        body = written(full_request(signal, f"{service}-{which}"), HTTP_JSON.encoding)
        if which == "snake":
            body = re.sub(
                rb'"([a-z]+(?:[A-Z][a-z]+)+)":',
                lambda found: re.sub(rb"[A-Z]", lambda upper: b"_" + upper[0].lower(), found[0]),
                body,
            )
            assert b"scope_" in body
            assert b"nixNano" not in body
        assert (await post(receiver, signal, body)).partial_success(signal) is None
        receiver.flush()
        rows.append(_ALL[signal](receiver, f"{service}-{which}"))
    for row in (*rows[0], *rows[1]):
        del row["resource"]["service.name"]
    assert texts(rows[0]) == texts(rows[1])


@every_signal
async def test_j5_integers_of_64_bits_are_strings_or_numbers(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """Both are exact, times as well as values."""
    time = "startTimeUnixNano" if signal is Signal.TRACES else "timeUnixNano"
    numbers = [2**63 - 1, -(2**63), 2**53 + 1]
    records = [
        {time: form(2**64 - 9 + at), "attributes": attribute({"intValue": form(number)})}
        for at, (number, form) in enumerate((number, form) for number in numbers for form in (int, str))
    ]
    rows = await stored(receiver, signal, service, document(signal, service, *records))
    assert [row["attributes"]["k"] for row in rows] == [number for number in numbers for _ in range(2)]
    column = "start" if signal is Signal.TRACES else "time"
    assert [row[column] for row in rows] == list(range(2**64 - 9, 2**64 - 3))


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS], ids=lambda signal: signal.value)
async def test_j5_the_count_of_an_answer_is_a_string(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """As proto3 JSON writes integers of 64 bits."""
    bad: Fields = {"traceId": "00"} if signal is Signal.TRACES else {"timeUnixNano": 0}
    answer = await post(receiver, signal, document(signal, service, bad))
    name = "rejectedSpans" if signal is Signal.TRACES else "rejectedDataPoints"
    assert json.loads(answer.body)["partialSuccess"][name] == "1"


_DOUBLES: list[tuple[Any, Any]] = [
    (0.5, 0.5),
    (1, 1.0),
    ("2.5", 2.5),
    ("-1e3", -1000.0),
    ("NaN", {"@double": "NaN"}),
    ("Infinity", {"@double": "Infinity"}),
    ("-Infinity", {"@double": "-Infinity"}),
]


@every_signal
async def test_j6_doubles_are_numbers_or_strings(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """Also those that JSON has no number for."""
    records = [{"attributes": attribute({"doubleValue": sent})} for sent, _ in _DOUBLES]
    rows = await stored(receiver, signal, service, document(signal, service, *records))
    assert texts([row["attributes"] for row in rows]) == texts([{"k": kept} for _, kept in _DOUBLES])


@every_signal
async def test_j6_what_is_no_double_is_400(receiver: ReceiverProcess, signal: Signal) -> None:
    """A bare NaN is no JSON."""
    body = json.dumps(document(signal, "no-double", {"attributes": attribute({"doubleValue": "@"})}))
    for literal in [b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"many"']:
        answer = await post(receiver, signal, body.encode().replace(b'"@"', literal))
        answer.assert_permanent(code=3, http_status=400)


@every_signal
async def test_j7_null_is_unset_and_a_missing_enum_is_0(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """A record whose other fields are all null is stored like one without them."""
    nulls: dict[Signal, Fields] = {
        Signal.TRACES: dict.fromkeys(("kind", "name", "events", "links", "status", "attributes", "flags")),
        Signal.METRICS: dict.fromkeys(("startTimeUnixNano", "exemplars", "attributes", "flags")),
        Signal.LOGS: dict.fromkeys(
            ("severityNumber", "severityText", "body", "attributes", "traceId", "flags")
        ),
    }
    rows = []
    for which, fields in (("null", nulls[signal]), ("missing", {})):
        one = f"{service}-{which}"
        rows += await stored(receiver, signal, one, document(signal, one, fields))
        del rows[-1]["resource"]["service.name"]
    assert rows[0] == rows[1]
    enum = {Signal.TRACES: "kind", Signal.METRICS: "temporality", Signal.LOGS: "severity_number"}
    assert rows[0][enum[signal]] == 0


@every_signal
async def test_j7_null_in_a_list_is_400(receiver: ReceiverProcess, signal: Signal) -> None:
    """At any depth."""
    outer, inner, records = _ENVELOPES[signal]
    for body in ({outer: [None]}, {outer: [{inner: [None]}]}, {outer: [{inner: [{records: [None]}]}]}):
        (await post(receiver, signal, body)).assert_permanent(code=3, http_status=400)


@every_signal
async def test_j8_integers_may_be_written_like_doubles(
    receiver: ReceiverProcess, signal: Signal, service: str
) -> None:
    """Where the value is an integer."""
    literals = {b"1.0": 1, b"1e3": 1000, b'"5e0"': 5, b"-0.0": 0}
    body = json.dumps(
        document(signal, service, *({"attributes": attribute({"intValue": f"@{n}"})} for n in range(4)))
    ).encode()
    for number, literal in enumerate(literals):
        body = body.replace(b'"@%d"' % number, literal)
    rows = await stored(receiver, signal, service, body)
    assert texts([row["attributes"] for row in rows]) == texts([{"k": n} for n in literals.values()])


@every_signal
async def test_j8_an_integer_out_of_range_is_400(receiver: ReceiverProcess, signal: Signal) -> None:
    """It is neither cut nor rounded."""
    body = json.dumps(document(signal, "no-integer", {"attributes": attribute({"intValue": "@"})}))
    for literal in [b"1.5", b"9223372036854775808", b'"-9223372036854775809"', b"1e30"]:
        answer = await post(receiver, signal, body.encode().replace(b'"@"', literal))
        answer.assert_permanent(code=3, http_status=400)


@every_signal
async def test_j9_a_body_that_is_not_one_object_is_400(receiver: ReceiverProcess, signal: Signal) -> None:
    """Lists, scalars, lines of objects, nothing, and what is cut."""
    for body in [b"[]", b"[{}]", b"null", b"1234", b'"x"', b"", b" ", b"{}\n{}", b"{} x", b"{"]:
        (await post(receiver, signal, body)).assert_permanent(code=3, http_status=400)


async def test_j1_an_id_in_base64_is_rejected_and_its_neighbour_stored(
    receiver: ReceiverProcess, service: str
) -> None:
    """As exporters wrote that leave ids to a generic JSON printer."""
    spans = [make_span(1), make_span(2)]
    body = json_fields(request_of(Signal.TRACES, *spans, service=service))
    sent = next(each for each in objects_within(body) if "traceId" in each)
    sent["traceId"] = "W47/95gDgQPSabYzgT/GDA=="
    assert (await post(receiver, Signal.TRACES, body)).partial_success(Signal.TRACES) == (
        1,
        "rejected: 1 × trace_id has 24 bytes instead of 16",
    )
    receiver.flush()
    assert [row["name"] for row in stored_spans(receiver, service)] == ["span 2"]
