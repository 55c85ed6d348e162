"""How single values become JSON text, by the bytes they come as."""

from __future__ import annotations

from base64 import b64decode
from typing import Literal

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from receiver.decode.anyvalue import INVALID_UTF8, MAX_DEPTH, STRING_INDEX, TOO_DEEP, decode_any_value
from receiver.decode.wire import encode_varint
from receiver.errors import MalformedRequestError, TooManyRecordsError
from tests.support.anyvalue_json import strict_json
from tests.support.wire_bytes import field, nested_value


def text(value: AnyValue) -> str:
    """Return the JSON of a message."""
    return decode_any_value(value.SerializeToString(), kind="any").json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AnyValue(string_value='a"\n\x00é\u2028'), '"a\\"\\n\\u0000é\u2028"'),
        (AnyValue(bool_value=False), "false"),
        (AnyValue(int_value=-(2**63)), "-9223372036854775808"),
        (AnyValue(int_value=0), "0"),
        (AnyValue(double_value=1), "1.0"),
        (AnyValue(double_value=1e300), "1e+300"),
        (AnyValue(double_value=-0.0), "-0.0"),
        (AnyValue(double_value=5e-324), "5e-324"),
        (AnyValue(double_value=float("nan")), '{"@double":"NaN"}'),
        (AnyValue(double_value=float("inf")), '{"@double":"Infinity"}'),
        (AnyValue(double_value=float("-inf")), '{"@double":"-Infinity"}'),
        (AnyValue(bytes_value=b"\x00\xff"), '{"@bytes":"AP8="}'),
        (AnyValue(), '{"@empty":true}'),
        (AnyValue(array_value=ArrayValue()), "[]"),
        (AnyValue(kvlist_value=KeyValueList()), "{}"),
    ],
)
def test_each_member_has_its_text(value: AnyValue, expected: str) -> None:
    """Plain JSON where JSON can say it, a one-key object where it cannot."""
    assert text(value) == expected


def test_a_kvlist_keeps_the_earlier_of_duplicate_keys_in_their_order() -> None:
    """The last wins at its own place; @duplicates comes last; keys with @ are doubled in both."""
    keys = ["@x", "a", "b", "@x", "a", "a"]
    pairs = [KeyValue(key=key, value=AnyValue(int_value=i)) for i, key in enumerate(keys)]
    assert (
        text(AnyValue(kvlist_value=KeyValueList(values=pairs)))
        == '{"b":2,"@@x":3,"a":5,"@duplicates":[{"@@x":0},{"a":1},{"a":4}]}'
    )


def test_a_pair_without_value_is_empty() -> None:
    """An absent value and an empty one read alike."""
    assert decode_any_value(field(1, field(1, b"k")), kind="kvlist").json == '{"k":{"@empty":true}}'


@pytest.mark.parametrize("number", [5, 6])
def test_sixty_four_levels_are_opened(number: Literal[5, 6]) -> None:
    """The deepest level that is promised is decoded without a warning."""
    decoded = decode_any_value(nested_value(MAX_DEPTH, number), kind="any")
    assert decoded.warnings == frozenset()
    assert "7" in decoded.json
    assert "@bytes" not in decoded.json


@pytest.mark.parametrize("number", [5, 6])
def test_what_is_deeper_is_kept_as_the_bytes_of_its_value(number: Literal[5, 6]) -> None:
    """The 65th level stays a serialized AnyValue, so that nothing is lost."""
    decoded = decode_any_value(nested_value(MAX_DEPTH + 3, number), kind="any")
    assert decoded.warnings == {TOO_DEEP}
    found = strict_json(decoded.json)
    for _ in range(MAX_DEPTH):
        found = found[0] if number == 5 else found["k"]
    assert b64decode(found["@bytes"]) == nested_value(3, number)


def test_a_tower_of_values_costs_no_python_frames() -> None:
    """Two hundred thousand levels are one value with a warning, not a RecursionError."""
    tower = b""
    pieces = []
    size = 0
    for _ in range(200_000):
        head = b"\x0a" + encode_varint(size)
        head = b"\x2a" + encode_varint(size + len(head)) + head
        pieces.append(head)
        size += len(head)
    tower = b"".join(reversed(pieces))
    assert decode_any_value(tower, kind="any").warnings == {TOO_DEEP}


def test_invalid_utf8_is_replaced_in_keys_and_values() -> None:
    """A character cut in the middle becomes U+FFFD and one warning."""
    pair = field(1, b"k\xc3") + field(2, field(1, b"\xe2\x82"))
    decoded = decode_any_value(field(1, pair), kind="kvlist")
    assert decoded.json == '{"k\ufffd":"\ufffd"}'
    assert decoded.warnings == {INVALID_UTF8}


def test_string_indexes_of_the_profiles_signal_are_absent_with_a_warning() -> None:
    """Rule D6: key_strindex and string_value_strindex mean nothing in traces, metrics and logs."""
    pair = KeyValue(key_strindex=3, value=AnyValue(string_value_strindex=4))
    decoded = decode_any_value(KeyValueList(values=[pair]).SerializeToString(), kind="kvlist")
    assert decoded.json == '{"":{"@empty":true}}'
    assert decoded.warnings == {STRING_INDEX}


@pytest.mark.parametrize(
    "data",
    [
        AnyValue(int_value=1).SerializeToString() + AnyValue(string_value="s").SerializeToString(),
        nested_value(1, 5) + AnyValue(bool_value=True).SerializeToString(),
        nested_value(1, 5) + nested_value(2, 5),
        nested_value(1, 6) + AnyValue().SerializeToString() + nested_value(1, 6),
        nested_value(1, 5) + AnyValue(int_value=1).SerializeToString() + nested_value(1, 5),
        nested_value(1, 5) * 2 + AnyValue(int_value=1).SerializeToString() + nested_value(1, 5),
    ],
)
def test_a_member_set_twice_reads_as_protobuf_reads_it(data: bytes) -> None:
    """The last member wins; the same message member twice in a row is merged."""
    assert decode_any_value(data, kind="any").json == text(AnyValue.FromString(data))


def test_the_value_of_a_pair_given_twice_is_merged() -> None:
    """Protobuf merges a message field that comes twice, and so does the text."""
    data = field(1, field(1, b"k") + field(2, nested_value(1, 5)) + field(2, nested_value(1, 5)))
    assert decode_any_value(data, kind="kvlist").json == '{"k":[7,7]}'


def test_fields_of_a_later_otlp_are_skipped() -> None:
    """Unknown fields of every wire type, groups included, do not disturb the value."""
    as_varint = b"\xa0\x06\x05"
    as_64_bits = b"\xa1\x06" + bytes(8)
    as_32_bits = b"\xa5\x06" + bytes(4)
    as_group_with_a_group = b"\xa3\x06\x0b\x10\x01\x0c\xa4\x06"
    unknown = as_varint + as_64_bits + as_32_bits + as_group_with_a_group + field(100, b"abc")
    data = unknown + AnyValue(int_value=7).SerializeToString() + unknown
    assert decode_any_value(data, kind="any").json == "7"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x0a\x05ab", "any"),  # string cut off
        (b"\x0a", "any"),  # nothing behind the tag
        (b"\x21\x00\x00", "any"),  # double cut off
        (b"\x18" + b"\xff" * 10 + b"\x01", "any"),  # varint of eleven bytes
        (b"\x00\x00", "any"),  # field number 0
        (b"\x0f\x00", "any"),  # wire type 7
        (b"\x0b\x10\x01", "any"),  # group without an end
        (b"\x0b\x14", "any"),  # group that another one ends
        (b"\x0c", "any"),  # end of a group that never began
        (b"\x0a\x02\x0a\x7f", "array"),  # element cut off inside
        (b"\x0a\x03\x12\x7f\x00", "kvlist"),  # value of a pair cut off inside
    ],
)
def test_malformed_bytes_are_refused(data: bytes, kind: Literal["any", "array", "kvlist"]) -> None:
    """Whatever is wrong with the bytes, the error says that the request is malformed."""
    with pytest.raises(MalformedRequestError, match="malformed protobuf"):
        decode_any_value(data, kind=kind)


def test_a_value_of_too_many_values_is_refused() -> None:
    """Empty elements cost 2 bytes on the wire and 16 as text, so their number is limited."""
    assert decode_any_value(b"\x0a\x00" * 10, kind="array", max_values=10).json.count("@empty") == 10
    with pytest.raises(TooManyRecordsError, match="more than 10 values"):
        decode_any_value(b"\x0a\x00" * 11, kind="array", max_values=10)
