"""The body of an OTLP/JSON request as a whole: rule J9, bad bytes, limits and nesting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from receiver.decode.json_request import JsonRequest, protobuf_from_json
from receiver.errors import TooManyRecordsError
from receiver.signals import Signal
from tests.support.otlp_json import (
    convert,
    every_signal,
    logs,
    refusal,
    spans_of,
    value_of,
)

# --- J9: the body ---


@every_signal
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "the body is an array, not one JSON object"),
        (b"[{}]", "the body is an array, not one JSON object"),
        (b"null", "the body is null, not one JSON object"),
        (b"1234", "the body is 1234, not one JSON object"),
        (b'"x"', 'the body is "x", not one JSON object'),
        (b"", "the body is empty; an empty request is {}"),
        (b" \r\n\t", "the body is empty; an empty request is {}"),
        (
            b"{}\n{}\n",
            "the body is not valid JSON: Extra data: line 2 column 1 (char 3); one request is one JSON object",
        ),
        (
            b"{} x",
            "the body is not valid JSON: Extra data: line 1 column 4 (char 3); one request is one JSON object",
        ),
        (b'{"a": 1', "the body is not valid JSON: Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b"\x0a\x05hello", "the body is not valid JSON: Expecting value: line 2 column 1 (char 1)"),
    ],
)
def test_j9_body_that_is_not_one_json_object_is_malformed(signal: Signal, body: bytes, message: str) -> None:
    """Arrays, scalars, NDJSON, nothing, cut and foreign bodies are refused with the reason."""
    assert refusal(signal, body) == message


@every_signal
@pytest.mark.parametrize("body", [b"{}", b" {}\n", b"\xef\xbb\xbf{}", b'{"resourceSpans": null}'])
def test_j9_empty_object_is_an_empty_request(signal: Signal, body: bytes) -> None:
    """A request of no records is a good one; a byte order mark before it is skipped (RFC 8259, 8.1)."""
    assert convert(signal, body) == JsonRequest(b"", ())


@pytest.mark.parametrize("body", ["{}".encode("utf-16"), "{}".encode("utf-32"), b"\x00{}", b'{"a": "\n"}'])
def test_j9_other_encodings_and_control_characters_are_malformed(body: bytes) -> None:
    """JSON on a network is UTF-8, and control characters in its strings are escaped."""
    assert "not valid JSON" in refusal(Signal.LOGS, body)


def test_of_a_name_given_twice_the_last_counts() -> None:
    """Duplicate names in one object are read as most parsers read them, also on the slow path."""
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","name":"b","kind":%s}]}]}]}'
    assert spans_of(body % b"1")[0].name == "b"
    assert spans_of(body % b"1.0e0")[0].name == "b"


# --- bad bytes ---


def repaired(text: bytes) -> tuple[str, tuple[str, ...]]:
    """Return what becomes of the bytes of a JSON string in the body of a log record, and the warnings."""
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"%s"}}]}]}]}' % text
    request = convert(Signal.LOGS, body)
    message = ExportLogsServiceRequest.FromString(request.payload)
    return message.resource_logs[0].scope_logs[0].log_records[0].body.string_value, request.warnings


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"cut \xe4\xbd", "cut \ufffd"),
        (b"\\ud800", "\ufffd"),
        (b"\\udc00x\\ud83d", "\ufffdx\ufffd"),
        (b"\\ud83d\xff", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"ok \xe4\xbd\xa0 \xc0", "ok 你 \ufffd"),
    ],
)
def test_bad_characters_become_replacement_characters_with_a_warning(sent: bytes, stored: str) -> None:
    """A cut character or half a surrogate pair costs that character, not the request."""
    assert repaired(sent) == (stored, ("1 string had invalid UTF-8, replaced by U+FFFD",))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(b"\\ud83d\\ude00", "😀"), (b"\\u0000", "\0"), ("�😀".encode(), "�😀"), (b"\\\\ud800", "\\ud800")],
)
def test_good_characters_are_kept_without_a_warning(sent: bytes, stored: str) -> None:
    """Surrogate pairs, NUL and a real U+FFFD are not repaired."""
    assert repaired(sent) == (stored, ())


def test_every_repaired_string_is_counted_and_a_bad_name_is_an_unknown_name() -> None:
    """The warning counts strings in objects and arrays; a broken name is ignored like any other."""
    body = b'{"na\xffme":1,"resourceLogs":[{"schemaUrl":"\xff\xff","resource":{"entityRefs":[{"idKeys":["\xff","a"]}]}}]}'
    request = convert(Signal.LOGS, body)
    logs_of_resource = ExportLogsServiceRequest.FromString(request.payload).resource_logs[0]
    assert logs_of_resource.schema_url == "\ufffd\ufffd"
    assert list(logs_of_resource.resource.entity_refs[0].id_keys) == ["\ufffd", "a"]
    assert request.warnings == ("2 strings had invalid UTF-8, replaced by U+FFFD",)


def test_a_bad_id_with_bad_characters_still_has_a_wrong_length() -> None:
    """Repair and the rule for bad ids work together."""
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"12345\\ud800"}]}]}]}'
    assert spans_of(body)[0].span_id == "12345\ufffd".encode() + b"\xff"


# --- limits ---


def test_too_many_objects_are_refused_before_parsing() -> None:
    """The count, the limit and the way out are in the message; the body need not even be JSON."""
    with pytest.raises(TooManyRecordsError) as caught:
        protobuf_from_json(Signal.LOGS, b"{" * 11, max_objects=10)
    assert str(caught.value) == (
        "the JSON body holds 11 objects and 10 are allowed;"
        " send protobuf or smaller batches, or raise limits.json_objects"
    )


def test_as_many_objects_as_allowed_are_converted() -> None:
    """The limit itself is within the limit."""
    body = json.dumps(logs({}, {}, {})).encode()
    assert protobuf_from_json(Signal.LOGS, body, max_objects=6).payload
    with pytest.raises(TooManyRecordsError):
        protobuf_from_json(Signal.LOGS, body, max_objects=5)


@pytest.mark.parametrize("element", [b"1,", b'"",', b"[],", b"[1],", b"[[", b"1.5,"])
def test_arrays_of_anything_else_are_bounded_as_well(element: bytes) -> None:
    """A body that amplifies without objects is refused before it is parsed."""
    with pytest.raises(TooManyRecordsError, match=r"commas and arrays and 800 are allowed"):
        protobuf_from_json(Signal.METRICS, b'{"x":[' + element * 801 + b"1]}", max_objects=100)


def delimited(tag: int, data: bytes) -> bytes:
    """Return a length-delimited field as protobuf writes it."""
    length, prefix = len(data), bytearray([tag])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + data


@pytest.mark.parametrize("levels", [1, 33, 50, 100, 200])
@pytest.mark.parametrize("kind", ["arrayValue", "kvlistValue"])
def test_deeply_nested_values_have_the_right_wire_bytes(kind: str, levels: int) -> None:
    """A value deeper than opentelemetry-proto can read is written all the same, byte for byte."""
    value: dict[str, Any] = {"stringValue": "leaf"}
    expected = delimited(0x0A, b"leaf")
    for _ in range(levels):
        if kind == "arrayValue":
            value = {"arrayValue": {"values": [value, {"intValue": "1"}]}}
            expected = delimited(0x2A, delimited(0x0A, expected) + b"\x0a\x02\x18\x01")
        else:
            value = {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
            expected = delimited(0x32, delimited(0x0A, b"\x0a\x01k" + delimited(0x12, expected)))
    for tag in (0x2A, 0x12, 0x12, 0x0A):  # body, log_records, scope_logs, resource_logs
        expected = delimited(tag, expected)
    assert convert(Signal.LOGS, logs({"body": value})).payload == expected


def test_an_error_deep_inside_has_a_path_of_bounded_length() -> None:
    """A refusal fits into an answer however deep the fault lies."""
    value: dict[str, Any] = {"intValue": "x"}
    for _ in range(90):
        value = {"arrayValue": {"values": [value]}}
    message = refusal(Signal.LOGS, logs({"body": value}))
    assert len(message) < 400
    assert message.startswith("resourceLogs[0].scopeLogs[0].logRecords[0].body.arrayValue.values[0]")
    assert message.endswith('.arrayValue.values[0].intValue: "x" is not a signed 64-bit integer')


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_beyond_the_parser_is_malformed(opening: bytes, closing: bytes) -> None:
    """A JSON bomb, also in an unknown field, is refused and does not end the process."""
    body = b'{"x":' + opening * 5000 + b"1" + closing * 5000 + b"}"
    assert refusal(Signal.TRACES, body) == "the JSON body is nested too deeply"


@pytest.mark.parametrize("length", [0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000])
def test_lengths_are_written_right_at_every_size_of_their_varint(length: int) -> None:
    """A text is found again whole on both sides of each length at which the length grows by a byte."""
    assert value_of({"stringValue": "x" * length}).string_value == "x" * length
