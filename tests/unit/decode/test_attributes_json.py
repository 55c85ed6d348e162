"""Attribute lists, resources and scopes as the rows of the store hold them."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from receiver.decode.anyvalue import INVALID_UTF8, TOO_DEEP
from receiver.decode.attributes_json import attributes_json, resource_from_bytes, scope_from_bytes
from receiver.errors import MalformedRequestError
from tests.support.wire_bytes import field, nested_value


def attribute(key: str, value: AnyValue | None = None) -> KeyValue:
    """Return a pair, without a value if none is given."""
    return KeyValue(key=key, value=value)


def text(value: str) -> AnyValue:
    """Return a string value."""
    return AnyValue(string_value=value)


def test_an_attribute_list_is_one_object() -> None:
    """Pairs keep their order, their types and their duplicates."""
    pairs = [
        attribute("a", AnyValue(int_value=1)),
        attribute("b", AnyValue(double_value=1)),
        attribute("@c"),
        attribute("a", text("x")),
    ]
    decoded = attributes_json([pair.SerializeToString() for pair in pairs])
    assert decoded.json == '{"b":1.0,"@@c":{"@empty":true},"a":"x","@duplicates":[{"a":1}]}'


def test_an_empty_list_is_an_empty_object() -> None:
    """No attributes are no null."""
    assert attributes_json([]).json == "{}"


def test_the_list_itself_is_no_level_of_depth() -> None:
    """A value is opened as deep as an attribute as it is alone."""
    pair = attribute("k").SerializeToString()
    for levels, warnings in ((64, frozenset[str]()), (65, frozenset({TOO_DEEP}))):
        value = nested_value(levels, 6)
        with_value = pair + field(2, value)
        assert attributes_json([with_value]).warnings == warnings


def test_a_resource_gives_its_service_and_its_entities() -> None:
    """The three service attributes are columns; entity references are kept as JSON."""
    resource = Resource(
        attributes=[
            attribute("service.name", text("first")),
            attribute("service.name", text('car"t')),
            attribute("service.namespace", text("shop")),
            attribute("service.instance.id", AnyValue(int_value=7)),
        ],
        dropped_attributes_count=2**32 - 1,
        entity_refs=[
            EntityRef(schema_url="u", type="host", id_keys=["host.id"], description_keys=["a", "b"])
        ],
    )
    content = resource_from_bytes(resource.SerializeToString())
    assert (content.service_name, content.service_namespace, content.service_instance_id) == (
        'car"t',
        "shop",
        "7",
    )
    assert content.dropped_attributes_count == 2**32 - 1
    assert content.entity_refs is not None
    assert json.loads(content.entity_refs) == [
        {"schema_url": "u", "type": "host", "id_keys": ["host.id"], "description_keys": ["a", "b"]}
    ]
    assert json.loads(content.attributes)["service.name"] == 'car"t'
    assert content.warnings == frozenset()


def test_a_service_name_that_is_no_string_becomes_its_json_text() -> None:
    """A list is shown as it would be among the attributes; an empty value is no name."""
    name = AnyValue(array_value=ArrayValue(values=[text("a")]))
    resource = Resource(attributes=[attribute("service.name", name), attribute("service.namespace")])
    content = resource_from_bytes(resource.SerializeToString())
    assert content.service_name == '["a"]'
    assert content.service_namespace is None


def test_an_absent_resource_has_defaults() -> None:
    """No bytes are a resource without anything."""
    content = resource_from_bytes(b"")
    assert (content.attributes, content.dropped_attributes_count) == ("{}", 0)
    assert (content.service_name, content.entity_refs) == (None, None)


def test_a_scope_gives_name_version_and_attributes() -> None:
    """Every field of a scope is kept."""
    scope = InstrumentationScope(
        name="n", version="1", attributes=[attribute("k", text("v"))], dropped_attributes_count=3
    )
    content = scope_from_bytes(scope.SerializeToString())
    assert (content.name, content.version, content.attributes) == ("n", "1", '{"k":"v"}')
    assert (content.dropped_attributes_count, content.warnings) == (3, frozenset())


def test_invalid_utf8_outside_values_is_replaced_too() -> None:
    """Names, versions and entity types are repaired like attribute values."""
    scope = scope_from_bytes(b"\x0a\x02n\xff")
    assert scope.name == "n\ufffd"
    assert scope.warnings == {INVALID_UTF8}
    resource = resource_from_bytes(b"\x1a\x04\x12\x02t\xc3")
    assert resource.warnings == {INVALID_UTF8}
    assert resource.entity_refs is not None
    assert "t\ufffd" in resource.entity_refs


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x1a\x03\x0a\x7f", b"\x1a\x04\x12\x7f"])
def test_malformed_bytes_are_refused(data: bytes) -> None:
    """Truncated resources and scopes raise, whichever field is cut."""
    for decode in (resource_from_bytes, scope_from_bytes):
        with pytest.raises(MalformedRequestError):
            decode(data)
