"""Attributes as plain Python values, put into protobuf messages."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

Value = str | bool | int | float | Sequence[str]
Pairs = Iterable[tuple[str, Value]]


def add_attributes(attributes: Any, pairs: Pairs) -> None:
    """Append key-value pairs to a repeated field of them."""
    for key, value in pairs:
        pair = attributes.add()
        pair.key = key
        set_value(pair.value, value)


def set_value(into: AnyValue, value: Value) -> None:
    """Set an AnyValue."""
    if isinstance(value, str):
        into.string_value = value
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    else:
        for each in value:
            into.array_value.values.add().string_value = each


def uuid_text(chance: random.Random) -> str:
    """Return a UUID as text."""
    digits = f"{chance.randrange(16**32):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
