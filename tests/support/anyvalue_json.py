"""The way back from the JSON of ``receiver.decode.anyvalue`` to messages, strict about what it reads."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, NoReturn

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList


def strict_json(text: str) -> Any:
    """Return the parsed text; NaN, Infinity and repeated keys are refused."""
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_repeats)


def any_value_from_json(text: str) -> AnyValue:
    """Return the value that a text says; the earlier of duplicate keys come first in their kvlist."""
    return _value(strict_json(text))


def key_values_from_json(text: str) -> list[KeyValue]:
    """Return the pairs of an attribute list's text, the earlier of duplicate keys first."""
    return _pairs(strict_json(text))


def _value(parsed: Any) -> AnyValue:
    match parsed:
        case bool():
            return AnyValue(bool_value=parsed)
        case int():
            return AnyValue(int_value=parsed)
        case float():
            return AnyValue(double_value=parsed)
        case str():
            return AnyValue(string_value=parsed)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in parsed]))
        case {"@bytes": str(data)}:
            return AnyValue(bytes_value=b64decode(data, validate=True))
        case {"@double": "NaN" | "Infinity" | "-Infinity" as name}:
            return AnyValue(double_value=float(name))
        case {"@empty": True}:
            return AnyValue()
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=_pairs(parsed)))
    raise AssertionError(f"no value is written like this: {parsed!r}")


def _pairs(parsed: dict[str, Any]) -> list[KeyValue]:
    earlier = [pair for one in parsed.get("@duplicates", []) for pair in one.items()]
    last = [pair for pair in parsed.items() if pair[0] != "@duplicates"]
    return [KeyValue(key=_key(key), value=_value(item)) for key, item in (*earlier, *last)]


def _key(text: str) -> str:
    assert not text.startswith("@") or text.startswith("@@"), f"unknown marker {text!r}"
    return text.removeprefix("@")


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    assert len(parsed) == len(pairs), f"repeated keys: {pairs!r}"
    return parsed
