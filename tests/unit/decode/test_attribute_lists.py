"""Attribute lists as columns say the same as one by one, and single keys are found in them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from receiver.decode import attribute_lists
from receiver.decode.attribute_lists import AttributeLists, FlattenConnection
from receiver.decode.attributes_json import attributes_json
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import from_nested
from receiver.decode.wire_columns import nested_requests
from receiver.signals import Signal
from tests.support.anyvalue_json import key_values_from_json
from tests.support.otlp_requests import make_span, text_attribute, traces
from tests.support.otlp_strategies import ATTRIBUTES


@pytest.fixture(scope="module")
def connection() -> Iterator[FlattenConnection]:
    """Return a connection that computes."""
    connection = FlattenConnection()
    yield connection
    connection.close()


def lists_of(connection: FlattenConnection, *rows: list[KeyValue]) -> AttributeLists:
    """Return the attributes of one span per row, as they come off the wire."""
    body = traces(*(make_span(n, attributes=attributes) for n, attributes in enumerate(rows)))
    spans: pa.StructArray = from_nested(Signal.TRACES, nested_requests(Signal.TRACES, [body])).rows
    return AttributeLists(spans.field("attributes"), connection, NestedValues())


def said(text: str) -> list[bytes]:
    """Return the pairs that a JSON text says."""
    return [pair.SerializeToString() for pair in key_values_from_json(text)]


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(ATTRIBUTES, min_size=1, max_size=4))
def test_columns_say_what_the_plain_way_says(
    connection: FlattenConnection, rows: list[list[KeyValue]]
) -> None:
    """Types, awkward doubles, doubled keys and keys with @ are written alike, row by row."""
    texts = lists_of(connection, *rows).json().to_pylist()
    plain = [attributes_json([pair.SerializeToString() for pair in row]).json for row in rows]
    assert [said(text) for text in texts] == [said(text) for text in plain]


@pytest.mark.parametrize("many_keys", [0, 512])
def test_doubled_keys_are_found_among_more_keys_than_a_word_has_bits(
    connection: FlattenConnection, monkeypatch: pytest.MonkeyPatch, many_keys: int
) -> None:
    """Only the row that has a key twice says so; the same holds for the way of many keys."""
    monkeypatch.setattr(attribute_lists, "_MANY_KEYS", many_keys)
    wide = [text_attribute(f"k{n}", "v") for n in range(200)]
    lists = lists_of(connection, wide, [], [*wide, text_attribute("k130", "last")], wide[100:])
    texts = [json.loads(text) for text in lists.json().to_pylist()]
    assert ["@duplicates" in text for text in texts] == [False, False, True, False]
    assert texts[2]["k130"] == "last"
    assert texts[2]["@duplicates"] == [{"k130": "v"}]
    assert texts[1] == {}


def test_the_value_of_a_key_is_its_last_one(connection: FlattenConnection) -> None:
    """Rows without the key, or with a value of another type, have none."""
    lists = lists_of(
        connection,
        [text_attribute("a", "1"), text_attribute("a", "2")],
        [],
        [KeyValue(key="a", value=AnyValue(int_value=3))],
    )
    strings, integers, texts = lists.strings("a"), lists.integers("a"), lists.texts("a")
    assert strings is not None
    assert integers is not None
    assert texts is not None
    assert strings.to_pylist() == ["2", None, None]
    assert integers.to_pylist() == [None, None, 3]
    assert texts.to_pylist() == ["2", None, "3"]
    assert lists.strings("b") is None
