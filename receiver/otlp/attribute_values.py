"""The way back from the attribute JSON of the store (docs/schema.md) to OTLP-JSON's ``AnyValue`` and ``KeyValue``.

Sources: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding for the mapping, docs/schema.md for ours.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

Json = dict[str, Any]

_MARKS = 1
"""Members of the objects that stand for what JSON has no word for."""


def key_values(text: str | None) -> list[Json]:
    """Return the pairs that the text of an attribute list says; the earlier of duplicate keys come first."""
    return [] if not text or text == "{}" else _pairs(orjson.loads(text))


def any_value(text: str) -> Json:
    """Return the value that a text of the store's JSON says."""
    return _value(orjson.loads(text))


def double(value: float) -> float | str:
    """Return a double as OTLP-JSON writes it: strict JSON has no word for NaN and infinities."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _value(parsed: Any) -> Json:
    match parsed:
        case str():
            return {"stringValue": parsed}
        case bool():
            return {"boolValue": parsed}
        case int():
            return {"intValue": str(parsed)}
        case float():
            return {"doubleValue": parsed}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in parsed]}}
        case dict():
            return _marked(parsed) if len(parsed) == _MARKS else _key_value_list(parsed)
    return {}


def _marked(parsed: Json) -> Json:
    match parsed:
        case {"@bytes": str(data)}:
            return {"bytesValue": data}
        case {"@double": str(name)}:
            return {"doubleValue": name}
        case {"@empty": True}:
            return {}
    return _key_value_list(parsed)


def _key_value_list(parsed: Json) -> Json:
    return {"kvlistValue": {"values": _pairs(parsed)}}


def _pairs(parsed: Json) -> list[Json]:
    pairs = [pair for one in parsed.get("@duplicates", ()) for pair in one.items()]
    pairs += [pair for pair in parsed.items() if pair[0] != "@duplicates"]
    return [{"key": key[1:] if key.startswith("@@") else key, "value": _value(value)} for key, value in pairs]
