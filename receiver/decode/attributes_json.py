"""Attribute lists, resources and scopes, from serialized bytes to the text that their rows hold.

In: bytes as they stand inside a request. Out: strict JSON as :mod:`receiver.decode.anyvalue` defines it.
A request has few resources and scopes, so they are decoded here, one by one; attributes of records come
here only where the columns cannot say them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from receiver.decode.anyvalue import (
    EMPTY,
    INVALID_UTF8,
    DecodedValue,
    decode_any_value,
    decode_key_values,
    read_key_value,
)
from receiver.decode.wire import VARINT, Buffer, read_fields, read_varint, tag_of

_SERVICE_KEYS = (b"service.name", b"service.namespace", b"service.instance.id")
_UINT32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class ResourceContent:
    """What a ``Resource`` says, without the schema URL that stands beside it."""

    attributes: str
    dropped_attributes_count: int
    entity_refs: str | None
    """JSON list of objects with schema_url, type, id_keys and description_keys; None if there are none."""
    service_name: str | None
    service_namespace: str | None
    service_instance_id: str | None
    warnings: frozenset[str]


@dataclass(frozen=True, slots=True)
class ScopeContent:
    """What an ``InstrumentationScope`` says, without the schema URL that stands beside it."""

    name: str
    version: str
    attributes: str
    dropped_attributes_count: int
    warnings: frozenset[str]


def attributes_json(pairs: Iterable[bytes]) -> DecodedValue:
    """Return the JSON object of an attribute list.

    Args:
        pairs: Serialized ``KeyValue`` messages in their order.

    Raises:
        MalformedRequestError: One of them is not a ``KeyValue``.
        TooManyRecordsError: They hold more values than one list may.
    """
    return decode_key_values(map(memoryview, pairs))


def resource_from_bytes(data: bytes) -> ResourceContent:
    """Return the content of a serialized ``opentelemetry.proto.resource.v1.Resource``.

    A service.* attribute that is no string is given as its JSON text, one without a value as None.

    Raises:
        MalformedRequestError: The bytes are not a ``Resource``.
        TooManyRecordsError: It holds more values than one list may.
    """
    attributes: list[Buffer] = []
    entity_refs: list[dict[str, object]] = []
    dropped = 0
    warnings: set[str] = set()
    view = memoryview(data)
    for tag, _, start, end in read_fields(view):
        if tag == tag_of(1):
            attributes.append(view[start:end])
        elif tag == tag_of(2, VARINT):
            dropped = read_varint(view, start)[0] & _UINT32
        elif tag == tag_of(3):
            entity_refs.append(_entity_ref(view[start:end], warnings))
    text = decode_key_values(attributes)
    service = _service_values(attributes)
    return ResourceContent(
        attributes=text.json,
        dropped_attributes_count=dropped,
        entity_refs=orjson.dumps(entity_refs).decode() if entity_refs else None,
        service_name=service.get(b"service.name"),
        service_namespace=service.get(b"service.namespace"),
        service_instance_id=service.get(b"service.instance.id"),
        warnings=text.warnings | warnings,
    )


def scope_from_bytes(data: bytes) -> ScopeContent:
    """Return the content of a serialized ``opentelemetry.proto.common.v1.InstrumentationScope``.

    Raises:
        MalformedRequestError: The bytes are not an ``InstrumentationScope``.
        TooManyRecordsError: It holds more values than one list may.
    """
    name = version = ""
    attributes: list[Buffer] = []
    dropped = 0
    warnings: set[str] = set()
    view = memoryview(data)
    for tag, _, start, end in read_fields(view):
        if tag == tag_of(1):
            name = _text(view[start:end], warnings)
        elif tag == tag_of(2):
            version = _text(view[start:end], warnings)
        elif tag == tag_of(3):
            attributes.append(view[start:end])
        elif tag == tag_of(4, VARINT):
            dropped = read_varint(view, start)[0] & _UINT32
    text = decode_key_values(attributes)
    return ScopeContent(name, version, text.json, dropped, text.warnings | warnings)


def _service_values(pairs: Iterable[Buffer]) -> dict[bytes, str | None]:
    """Return the values of the attributes that identify a service; of equal keys the last wins."""
    found: dict[bytes, str | None] = {}
    for pair in pairs:
        key, value, _ = read_key_value(pair)
        name = bytes(key)
        if name in _SERVICE_KEYS:
            text = decode_any_value(bytes(value), kind="any").json
            found[name] = orjson.loads(text) if text.startswith('"') else None if text == EMPTY else text
    return found


def _entity_ref(data: Buffer, warnings: set[str]) -> dict[str, object]:
    single = {tag_of(1): "", tag_of(2): ""}
    many: dict[int, list[str]] = {tag_of(3): [], tag_of(4): []}
    for tag, _, start, end in read_fields(data):
        if tag in single:
            single[tag] = _text(data[start:end], warnings)
        elif tag in many:
            many[tag].append(_text(data[start:end], warnings))
    return {
        "schema_url": single[tag_of(1)],
        "type": single[tag_of(2)],
        "id_keys": many[tag_of(3)],
        "description_keys": many[tag_of(4)],
    }


def _text(data: Buffer, warnings: set[str]) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        warnings.add(INVALID_UTF8)
        return str(data, "utf-8", "replace")
