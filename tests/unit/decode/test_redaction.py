"""Redaction: what the rules name is in nothing that a decoder gives to the spool, however it was written."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Literal

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.config import RedactRule
from receiver.decode.redact_rules import compile_rules, rule_problems
from receiver.errors import ConfigError, MalformedRequestError
from receiver.ports import Encoding, Verdict
from receiver.signals import Signal
from tests.support.otlp_requests import T0, logs, make_span, metrics, text_attribute, traces
from tests.support.redaction import HASH_KEY, REQUEST_TYPES, Redacting, rule
from tests.support.wire_bytes import field, nested_value

SECRET = "hunter2-5f0c"  # noqa: S105 - made up
ATTRIBUTE = text_attribute("user.Password", SECRET)
BY_KEY = rule("mask", "*password*")
BY_VALUE = rule("mask", values=("hunter2-[0-9a-f]+",))


def _kvlist(*pairs: KeyValue) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


def _array(*values: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def _log(**fields: Any) -> bytes:
    return logs(LogRecord(time_unix_nano=T0, **fields))


def _points(kind: str, metric: Any, point: Any, **fields: Any) -> bytes:
    data = metric(data_points=[point(time_unix_nano=T0, **fields)])
    return metrics(Metric(name="m", **{kind: data}))


def _envelope(signal: Signal, place: str) -> bytes:
    request = REQUEST_TYPES[signal].FromString({
        Signal.TRACES: traces(make_span(0)),
        Signal.LOGS: _log(),
        Signal.METRICS: _points("gauge", Gauge, NumberDataPoint, as_int=1),
    }[signal])  # fmt: skip
    resource = request.ListFields()[0][1][0]
    holder = resource.resource if place == "resource" else resource.ListFields()[-1][1][0].scope
    holder.attributes.append(ATTRIBUTE)
    body: bytes = request.SerializeToString()
    return body


EXEMPLAR = Exemplar(time_unix_nano=T0, as_int=1, filtered_attributes=[ATTRIBUTE])
PLACES: dict[str, tuple[Signal, bytes]] = {
    "span": (Signal.TRACES, traces(make_span(0, attributes=[ATTRIBUTE]))),
    "event": (Signal.TRACES, traces(make_span(0, events=[Span.Event(attributes=[ATTRIBUTE])]))),
    "link": (Signal.TRACES, traces(make_span(0, links=[Span.Link(attributes=[ATTRIBUTE])]))),
    "log record": (Signal.LOGS, _log(attributes=[ATTRIBUTE])),
    "log body": (Signal.LOGS, _log(body=_kvlist(ATTRIBUTE))),
    "nested": (
        Signal.LOGS,
        _log(attributes=[KeyValue(key="a", value=_array(_kvlist(KeyValue(key="b", value=_kvlist(ATTRIBUTE)))))]),
    ),
    "gauge": (Signal.METRICS, _points("gauge", Gauge, NumberDataPoint, as_int=1, attributes=[ATTRIBUTE])),
    "sum": (Signal.METRICS, _points("sum", Sum, NumberDataPoint, as_int=1, attributes=[ATTRIBUTE])),
    "histogram": (Signal.METRICS, _points("histogram", Histogram, HistogramDataPoint, attributes=[ATTRIBUTE])),
    "exponential histogram": (
        Signal.METRICS,
        _points(
            "exponential_histogram", ExponentialHistogram, ExponentialHistogramDataPoint, attributes=[ATTRIBUTE]
        ),
    ),
    "summary": (Signal.METRICS, _points("summary", Summary, SummaryDataPoint, attributes=[ATTRIBUTE])),
    "exemplar": (Signal.METRICS, _points("gauge", Gauge, NumberDataPoint, as_int=1, exemplars=[EXEMPLAR])),
    "metadata": (Signal.METRICS, metrics(Metric(name="m", metadata=[ATTRIBUTE]))),
    **{f"{place} of {s}": (s, _envelope(s, place)) for s in Signal for place in ("resource", "scope")},
}  # fmt: skip


@pytest.mark.parametrize("action", ["drop", "hash", "mask"])
@pytest.mark.parametrize("place", PLACES)
def test_a_key_is_found_wherever_attributes_stand(place: str, action: str) -> None:
    """Resources, scopes, spans, events, links, logs, bodies, points, exemplars, metadata, nested values."""
    signal, body = PLACES[place]
    redacting = Redacting(rule(action, "*PASSword"))
    payload = redacting.payload(signal, body)
    assert SECRET.encode() in body
    assert SECRET.encode() not in payload
    assert (b"user.Password" in payload) == (action != "drop")
    assert redacting.counts == {action: 1}


@pytest.mark.parametrize("place", PLACES)
def test_a_pattern_is_found_wherever_strings_stand(place: str) -> None:
    """The same places, by what the value says."""
    signal, body = PLACES[place]
    payload = Redacting(BY_VALUE).payload(signal, body)
    assert SECRET.encode() not in payload
    assert b"***" in payload


@pytest.mark.parametrize(
    "body",
    [
        (Signal.LOGS, _log(body=AnyValue(string_value=SECRET))),
        (Signal.LOGS, _log(body=_array(AnyValue(bytes_value=SECRET.encode())))),
        (Signal.LOGS, _log(event_name=SECRET, severity_text=SECRET)),
        (Signal.TRACES, traces(make_span(0, name=SECRET, trace_state=f"a={SECRET}"))),
        (Signal.TRACES, traces(make_span(0, status=Status(message=f"bad {SECRET}")))),
        (Signal.TRACES, traces(make_span(0, events=[Span.Event(name=SECRET)]))),
        (Signal.METRICS, metrics(Metric(name=SECRET, unit=SECRET, description=SECRET))),
    ],
)
@pytest.mark.parametrize("action", ["drop", "hash", "mask"])
def test_a_pattern_is_searched_in_every_string_that_is_no_key(
    body: tuple[Signal, bytes], action: str
) -> None:
    """Bodies, names, status messages, units, trace state, bytes."""
    payload = Redacting(rule(action, values=("hunter2-[0-9a-f]+",))).payload(*body)
    assert SECRET.encode() not in payload


def _attributes(redacting: Redacting, *attributes: KeyValue) -> dict[str, AnyValue]:
    span = redacting.message(Signal.TRACES, traces(make_span(0, attributes=attributes)))
    return {each.key: each.value for each in span.resource_spans[0].scope_spans[0].spans[0].attributes}


def test_a_mask_by_pattern_leaves_the_rest_and_a_mask_by_key_leaves_nothing() -> None:
    """Only the part that fits becomes ***; of a value that a key names nothing is left, whatever its type."""
    found = _attributes(
        Redacting(BY_KEY, BY_VALUE),
        text_attribute("url", f"/login?token={SECRET}&next={SECRET}"),
        KeyValue(key="password", value=AnyValue(int_value=17)),
        KeyValue(key="passwords", value=_array(AnyValue(string_value="one"))),
    )
    assert found["url"].string_value == "/login?token=***&next=***"
    assert found["password"].string_value == "***"
    assert found["passwords"].string_value == "***"


def test_rules_are_applied_in_order_each_to_what_the_ones_before_left() -> None:
    """A mask of a part leaves the rest to the next rules; drop, hash and the mask of a whole value end it."""
    found = _attributes(
        Redacting(
            rule("mask", values=("[a-z]+@[a-z]+",)),
            rule("hash", "kept"),
            rule("drop", "kept", "gone"),
            rule("mask", values=("tok_[a-z]+",)),
        ),
        text_attribute("both", "me@here tok_abc"),
        text_attribute("gone", "me@here"),
        text_attribute("kept", "tok_abc"),
    )
    assert found["both"].string_value == "*** ***"
    assert "gone" not in found
    assert found["kept"].string_value.startswith("hmac-sha256:")


def test_a_rule_with_keys_and_values_needs_both() -> None:
    """The pattern counts below the keys only, in nested values too."""
    found = _attributes(
        Redacting(rule("mask", "auth*", values=("tok",))),
        text_attribute("auth", "tok1 other"),
        text_attribute("auth2", "none"),
        text_attribute("note", "tok1"),
        KeyValue(key="authn", value=_kvlist(text_attribute("inner", "tok1"), text_attribute("x", "y"))),
    )
    assert found["auth"].string_value == "***1 other"
    assert found["auth2"].string_value == "none"
    assert found["note"].string_value == "tok1"
    assert [each.value.string_value for each in found["authn"].kvlist_value.values] == ["***1", "y"]


def test_equal_values_have_equal_hashes_and_other_keys_make_others() -> None:
    """An HMAC of the text, or of the JSON of another value, so that a number and its text can be joined."""
    rules = rule("hash", "*id")
    attributes = [
        text_attribute("a.id", "5"),
        KeyValue(key="b.id", value=AnyValue(int_value=5)),
        text_attribute("c.id", "6"),
        KeyValue(key="d.id", value=_kvlist(text_attribute("x", "1"), text_attribute("y", "2"))),
        KeyValue(key="e.id", value=_kvlist(text_attribute("y", "2"), text_attribute("x", "1"))),
    ]
    found = {k: v.string_value for k, v in _attributes(Redacting(rules), *attributes).items()}
    expected = hmac.new(HASH_KEY, b"5", hashlib.sha256).hexdigest()[:32]
    assert found["a.id"] == found["b.id"] == f"hmac-sha256:{expected}"
    assert found["c.id"] != found["a.id"]
    assert found["d.id"] == found["e.id"]
    other = _attributes(Redacting(rules, hash_key=b"another secret.."), *attributes)
    assert other["a.id"].string_value != found["a.id"]


def test_a_dropped_attribute_is_counted_as_dropped() -> None:
    """The record says that it does not have all its attributes, in the field that OTLP has for that."""
    body = traces(make_span(0, attributes=[ATTRIBUTE, text_attribute("a", "b")], dropped_attributes_count=2))
    span = Redacting(rule("drop", "*password*")).message(Signal.TRACES, body)
    (kept,) = span.resource_spans[0].scope_spans[0].spans
    assert [each.key for each in kept.attributes] == ["a"]
    assert kept.dropped_attributes_count == 3


def test_many_values_go_out_of_nested_lists_together() -> None:
    """Removals inside elements that stay, and of more elements than are taken out one by one."""
    pair = KeyValue(key="k", value=_kvlist(ATTRIBUTE, text_attribute("a", "b")))
    gone = [KeyValue(key=f"password{n}", value=AnyValue(string_value=SECRET)) for n in range(200)]
    kept = [KeyValue(key=f"k{n}", value=pair.value) for n in range(200)]
    mixed = [one for both in zip(gone, kept, strict=True) for one in both]
    found = _attributes(Redacting(rule("drop", "*password*")), *mixed)
    assert list(found) == [f"k{n}" for n in range(200)]
    assert {value.kvlist_value.SerializeToString() for value in found.values()} == {
        KeyValueList(values=[text_attribute("a", "b")]).SerializeToString()
    }


def test_a_dropped_body_is_empty() -> None:
    """The record stays."""
    message = Redacting(rule("drop", values=("hunter2",))).message(
        Signal.LOGS, _log(body=AnyValue(string_value=SECRET))
    )
    (record,) = message.resource_logs[0].scope_logs[0].log_records
    assert not record.HasField("body")


def test_a_request_without_anything_to_redact_keeps_its_bytes() -> None:
    """Also its unknown fields; nothing is encoded anew."""
    body = traces(make_span(0, attributes=[text_attribute("a", "b")])) + field(4000, b"later")
    assert Redacting(BY_KEY, BY_VALUE).payload(Signal.TRACES, body) == body


def _in_span(pair: bytes) -> bytes:
    span = make_span(0).SerializeToString() + field(9, pair)
    return field(1, field(2, field(2, span)))


SECRET_BYTES = SECRET.encode()
KEY = field(1, b"password")
VALUE = field(2, field(1, SECRET_BYTES))
LONG = bytes([0x8A, 0x80, 0x00])  # the tag of field 1, two bytes longer than it has to be
GROUP = b"\x9b\x06" + field(1, SECRET_BYTES) + b"\x9c\x06"  # field 99
ODD: dict[str, bytes] = {
    "value first": VALUE + KEY,
    "key twice": field(1, b"harmless") + KEY + VALUE,
    "value twice": KEY + VALUE + field(2, field(1, b"b")),
    "values merged": KEY + field(2, field(1, SECRET_BYTES)) + field(2, b"\x18\x05"),
    "two members of the oneof": KEY + field(2, field(1, SECRET_BYTES) + b"\x18\x05"),
    "string twice": KEY + field(2, field(1, SECRET_BYTES) + field(1, b"b")),
    "long varints": LONG + b"\x88\x80\x00password" + field(2, LONG + b"\x8c\x00" + SECRET_BYTES),
    "unknown field": KEY + field(2, field(1, b"a") + field(99, SECRET_BYTES)),
    "unknown group": KEY + field(2, field(1, b"a") + GROUP),
    "array twice": KEY + field(2, field(5, field(1, field(1, SECRET_BYTES))) * 2),
}  # fmt: skip


@pytest.mark.parametrize("pair", ODD.values(), ids=ODD)
@pytest.mark.parametrize("action", ["drop", "hash", "mask"])
@pytest.mark.parametrize("by", ["key", "value"])
def test_no_way_of_writing_protobuf_gets_a_value_past_the_rules(pair: bytes, action: str, by: str) -> None:
    """Fields in any order, twice, merged, unknown, in groups, with lengths that are longer than they have to be."""
    body = _in_span(pair)
    assert SECRET_BYTES in body
    rules = rule(action, "*pass*") if by == "key" else rule(action, values=("hunter2-[0-9a-f]+",))
    verdict = Redacting(rules).verdict(Signal.TRACES, body)
    assert isinstance(verdict, Verdict), verdict
    assert SECRET_BYTES not in verdict.payload


@pytest.mark.parametrize(
    ("number", "levels", "looked_into"),
    [(5, 20, True), (5, 48, True), (5, 100, False), (6, 20, True), (6, 100, False)],
)
@pytest.mark.parametrize("rules", [BY_KEY, BY_VALUE])
def test_a_value_nested_too_deep_is_masked_with_a_warning(
    rules: RedactRule, number: Literal[5, 6], levels: int, *, looked_into: bool
) -> None:
    """In the store it would be base64, in which nobody would find the secret again."""
    deep = nested_value(levels, number, field(6, field(1, KEY + VALUE)))
    verdict = Redacting(rules).verdict(Signal.TRACES, _in_span(field(1, b"a") + field(2, deep)))
    assert isinstance(verdict, Verdict), verdict
    assert SECRET_BYTES not in verdict.payload
    assert (b"password" in verdict.payload) == looked_into
    assert ("too deep for the redaction rules" in verdict.outcome.message) != looked_into


def test_what_a_string_that_is_not_utf8_is_repaired_to_is_searched_too() -> None:
    """In a name, in an attribute, in a nested value and in a resource; and hashes are not hashed again."""
    broken = b"pass\xffword"
    nested = field(2, field(5, field(1, field(1, broken))))
    rules = rule("mask", values=("pass.word",))
    for value in (field(2, field(1, broken)), nested):
        for body in (
            _in_span(field(1, b"k") + value),
            field(
                1,
                field(1, field(1, field(1, b"k") + value))
                + field(2, field(2, make_span(0).SerializeToString())),
            ),
        ):
            payload = Redacting(rules).payload(Signal.TRACES, body)
            assert b"***" in payload
            assert b"word" not in payload
    hashing = Redacting(rule("hash", "k"))
    pair = _in_span(KEY + field(2, field(1, b"\xff")))
    body = _in_span(field(1, b"k") + field(2, field(1, b"5"))) + pair
    expected = hmac.new(HASH_KEY, b"5", hashlib.sha256).hexdigest()[:32]
    assert expected.encode() in hashing.payload(Signal.TRACES, body)


def test_escapes_of_json_do_not_get_a_key_past_the_rules() -> None:
    """The search is over what the JSON says."""
    text = (
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","attributes":'
        '[{"key":"\\u0070assword","value":{"stringValue":"\\u0068unter2-5f0c"}}]}]}]}]}'
    )
    payload = Redacting(BY_KEY).payload(Signal.LOGS, text.encode(), Encoding.JSON)
    assert b"password" in payload
    assert SECRET_BYTES not in payload


def test_an_error_about_json_repeats_no_value() -> None:
    """It says where, not what."""
    body = json.dumps(
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": SECRET}]}]}]}
    ).encode()
    error = Redacting(BY_KEY).verdict(Signal.LOGS, body, Encoding.JSON)
    assert isinstance(error, MalformedRequestError)
    assert SECRET not in str(error)
    assert "logRecords[0].timeUnixNano" in str(error)


def test_a_large_request_with_something_to_redact_goes_to_the_patient_decoder() -> None:
    """Nobody's answer waits behind it; the patient one redacts all of it."""
    body = traces(*(make_span(n, attributes=[ATTRIBUTE], name="x" * 200) for n in range(3000)))
    assert Redacting(BY_KEY, patient=False).verdict(Signal.TRACES, body) is None
    verdict = Redacting(BY_KEY).verdict(Signal.TRACES, body)
    assert isinstance(verdict, Verdict)
    assert verdict.records == 3000
    assert SECRET_BYTES not in verdict.payload


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{4}$", "1234"),
        (r"\Asecret\z", "secret"),
        (r"\bkey\b", "key"),
        (r"[\]^$]+$", "$]^"),
        (r"^[^]a]b", "cb"),
        (r"[[:alpha:]$]+\B", "ab"),
        (r"\Q^$\E$", "^$"),
        (r"(?i)CAFÉ$", "café"),
        (r"(?m)^x$", "a\nx"),
        (r"\\$", "\\"),
    ],
)
def test_the_search_over_a_body_finds_what_a_pattern_with_anchors_finds(pattern: str, text: str) -> None:
    """Inside a body no text begins or ends, so anchors do not count there."""
    rules = rule("mask", values=(pattern,))
    body = _log(body=AnyValue(string_value=text))
    redacting = Redacting(rules)
    assert redacting.redactor.concerned([body]) == [True]
    assert b"***" in redacting.payload(Signal.LOGS, body)


@pytest.mark.parametrize(
    "pattern",
    [
        "pin.{1,3}[0-9]{4}",
        "pin[^&]+1",
        r"pin\D1",
        r"pin\W\x31",
        r"pin\PN\pN",
        r"pin\p{So}\p{Nd}",
        r"pin\x{fffd}1",
        "pin\ufffd1",
        r"pin\S{1,1000}$",
    ],
)
@pytest.mark.parametrize("hole", [b"\xff", b"\xf0\x9f\x98"])
def test_bytes_that_are_not_utf8_are_searched_as_text(pattern: str, hole: bytes) -> None:
    """Where they are no text stands U+FFFD, whether something else in the request has it looked into or not."""
    redacting = Redacting(rule("mask", values=(pattern,)))
    body = _log(body=AnyValue(bytes_value=b"pin" + hole + b"1234"))
    assert redacting.redactor.concerned([body]) == [True]
    assert b"1234" not in redacting.payload(Signal.LOGS, body)


def test_patterns_that_cannot_be_used_are_named() -> None:
    """Which rule, which pattern, and why."""
    rules = (rule("mask", values=("ok", "(")), rule("drop", "a", values=("a*", "x(?=y)")))
    problems = list(rule_problems(rules))
    assert [problem.split(" ")[0] for problem in problems] == [
        "redact.rules[0].values[1]",
        "redact.rules[1].values[0]",
        "redact.rules[1].values[1]",
    ]
    assert "missing )" in problems[0]
    assert "empty text" in problems[1]
    with pytest.raises(ConfigError, match="invalid perl operator"):
        compile_rules(rules)
