"""Laws of AnyValue as JSON: nothing is lost on the way there and back, and no bytes break it."""

from __future__ import annotations

import contextlib

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from receiver.decode.anyvalue import decode_any_value
from receiver.decode.attributes_json import attributes_json
from receiver.errors import MalformedRequestError
from tests.support.anyvalue_json import any_value_from_json, key_values_from_json

TEXTS = st.text(max_size=8)
KEYS = st.sampled_from(["a", "b", "@a", "@@a", "@duplicates", "@bytes", "@double", "@empty", ""]) | TEXTS
DOUBLES = st.floats(allow_nan=False) | st.just(float("nan"))
SCALARS = st.one_of(
    st.just(AnyValue()),
    TEXTS.map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
    DOUBLES.map(lambda v: AnyValue(double_value=v)),
    st.binary(max_size=8).map(lambda v: AnyValue(bytes_value=v)),
)


def _containers(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    pairs = st.builds(lambda key, value: KeyValue(key=key, value=value), KEYS, values)
    return st.one_of(
        st.lists(values, max_size=4).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
        st.lists(pairs, max_size=5).map(lambda v: AnyValue(kvlist_value=KeyValueList(values=v))),
    )


VALUES = st.recursive(SCALARS, _containers, max_leaves=12)
PAIRS = st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), KEYS, VALUES), max_size=6)


def _duplicates_first(pairs: list[KeyValue]) -> list[KeyValue]:
    """Return equal pairs in the order in which JSON can say them, on every level."""
    last = {pair.key: index for index, pair in enumerate(pairs)}
    ordered = [p for i, p in enumerate(pairs) if last[p.key] != i]
    ordered += [p for i, p in enumerate(pairs) if last[p.key] == i]
    return [KeyValue(key=pair.key, value=_canonical(pair.value)) for pair in ordered]


def _canonical(value: AnyValue) -> AnyValue:
    if value.HasField("array_value"):
        return AnyValue(array_value=ArrayValue(values=[_canonical(v) for v in value.array_value.values]))
    if value.HasField("kvlist_value"):
        return AnyValue(kvlist_value=KeyValueList(values=_duplicates_first(list(value.kvlist_value.values))))
    return value


@given(VALUES)
def test_every_value_survives_the_way_to_strict_json_and_back(value: AnyValue) -> None:
    """Types, awkward doubles, bytes, empties, keys with @ and duplicate keys come back as they were."""
    decoded = decode_any_value(value.SerializeToString(), kind="any")
    # Compared as bytes: messages that hold NaN are not equal to themselves.
    assert any_value_from_json(decoded.json).SerializeToString() == _canonical(value).SerializeToString()
    assert decoded.warnings == frozenset()


@given(PAIRS)
def test_every_attribute_list_survives_the_way_to_strict_json_and_back(pairs: list[KeyValue]) -> None:
    """The object of an attribute list says its pairs; of equal keys the last stands at its own place."""
    decoded = attributes_json([pair.SerializeToString() for pair in pairs])
    back = KeyValueList(values=key_values_from_json(decoded.json))
    assert back.SerializeToString() == KeyValueList(values=_duplicates_first(pairs)).SerializeToString()


@given(PAIRS)
def test_an_attribute_list_reads_like_a_kvlist(pairs: list[KeyValue]) -> None:
    """The same pairs give the same text, whether they are attributes or a nested value."""
    listed = KeyValueList(values=pairs).SerializeToString()
    assert (
        attributes_json([p.SerializeToString() for p in pairs]).json
        == decode_any_value(listed, kind="kvlist").json
    )


@given(st.data())
def test_damaged_bytes_are_read_as_protobuf_reads_them_or_refused(data: st.DataObject) -> None:
    """What the reference parser takes gives the text of what it understood; what we refuse, it refuses."""
    body = bytearray(data.draw(VALUES).SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=4))
    reference = None
    with contextlib.suppress(DecodeError):
        reference = AnyValue.FromString(bytes(body))
    try:
        decoded = decode_any_value(bytes(body), kind="any")
    except MalformedRequestError:
        assert reference is None
        return
    if reference is not None:
        assert decoded.json == decode_any_value(reference.SerializeToString(), kind="any").json


@given(st.binary(max_size=64), st.sampled_from(["any", "array", "kvlist"]))
def test_random_bytes_become_strict_json_or_are_refused(data: bytes, kind: str) -> None:
    """Nothing but MalformedRequestError comes out of noise."""
    with contextlib.suppress(MalformedRequestError):
        any_value_from_json(decode_any_value(data, kind=kind).json)  # type: ignore[arg-type]
