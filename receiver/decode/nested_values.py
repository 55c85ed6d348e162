"""Decoded forms of byte strings that repeat: nested values, resources, scopes, metric metadata.

The columnar decoder leaves them as bytes. Each distinct byte string is decoded once, in Python, and kept in
a cache bounded in bytes. Decode checks them before the answer; flatten reads the same entries after it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeVar, cast

from receiver.decode.anyvalue import DecodedValue, decode_any_value
from receiver.decode.attributes_json import (
    ResourceContent,
    ScopeContent,
    attributes_json,
    resource_from_bytes,
    scope_from_bytes,
)
from receiver.decode.wire import encode_varint

_CACHE_BYTES = 16 << 20
_ENTRY_BYTES = 400  # what an entry costs beside its bytes, roughly

Content = TypeVar("Content", DecodedValue, ResourceContent, ScopeContent)


class NestedValues:
    """Decodes and remembers; malformed bytes raise each time. Threads: any."""

    def __init__(self, cache_bytes: int = _CACHE_BYTES) -> None:
        """Start empty; at most about ``cache_bytes`` are kept, oldest out."""
        self._limit = cache_bytes
        self._used = 0
        self._entries: OrderedDict[tuple[str, bytes], object] = OrderedDict()
        self._lock = threading.Lock()

    def value(self, data: bytes, kind: Literal["array", "kvlist"]) -> DecodedValue:
        """Return the JSON text of a serialized ArrayValue or KeyValueList.

        Raises:
            MalformedRequestError: The bytes are not one.
        """
        return self._get(kind, data, lambda d: decode_any_value(d, kind=kind))

    def resource(self, data: bytes) -> ResourceContent:
        """Return what a serialized Resource says; raises like :meth:`value`."""
        return self._get("resource", data, resource_from_bytes)

    def scope(self, data: bytes) -> ScopeContent:
        """Return what a serialized InstrumentationScope says; raises like :meth:`value`."""
        return self._get("scope", data, scope_from_bytes)

    def metadata(self, pairs: tuple[bytes, ...]) -> DecodedValue:
        """Return the JSON object of serialized KeyValues; raises like :meth:`value`."""
        data = b"".join(encode_varint(len(pair)) + pair for pair in pairs)  # none is not one that is empty
        return self._get("metadata", data, lambda _: attributes_json(pairs))

    def _get(self, kind: str, data: bytes, decode: Callable[[bytes], Content]) -> Content:
        key = (kind, data)
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                return cast("Content", found)
        content = decode(data)
        cost = 2 * len(data) + _ENTRY_BYTES
        if cost < self._limit // 4:
            with self._lock:
                if key not in self._entries:
                    self._entries[key] = content
                    self._used += cost
                while self._used > self._limit:
                    (_, old), _ = self._entries.popitem(last=False)
                    self._used -= 2 * len(old) + _ENTRY_BYTES
        return content
