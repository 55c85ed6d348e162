"""One span as bytes, quickly: what many spans have in common is written once and remembered."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from receiver.otlp.span import AttributeInput, EventDraft, LinkDraft
from receiver.otlp.wire import (
    EVENT_ATTRIBUTE,
    LINK_ATTRIBUTE,
    SPAN_ATTRIBUTE,
    attribute,
    attributes,
    sized,
    utf8,
    varint,
)

_REMEMBERED = 20_000
_REMEMBERED_CHARACTERS = 128
_TIMES = struct.Struct("<BQBQ").pack
_EVENT_TIME = struct.Struct("<BQ").pack
_REMEMBERED_TYPES = frozenset({str, int, bool, float})


class SpanFields:
    """Writes spans. Threads: one at a time; holds at most 20,000 short attributes and as many names."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._attributes: dict[tuple[str, object, type], bytes] = {}
        self._names: dict[str, bytes] = {}

    def attributes(self, pairs: Mapping[str, AttributeInput]) -> bytes:
        """Return attributes of a span; those that are None are left out.

        Raises:
            TypeError: A value is none that an attribute can have; the message begins with its key.
        """
        known = self._attributes
        parts = []
        for key, value in pairs.items():
            kind = value.__class__
            if kind in _REMEMBERED_TYPES:
                # with the type, because 1, 1.0 and True are equal keys
                found = known.get((key, value, kind))
                parts.append(self._remembered(key, value) if found is None else found)
            elif value is not None:
                parts.append(_named(key, value))
        return b"".join(parts)

    def _remembered(self, key: str, value: AttributeInput) -> bytes:
        found = attribute(SPAN_ATTRIBUTE, key, value)
        # 0.0 and -0.0 are equal keys as well, and a NaN is never found again
        if len(found) <= _REMEMBERED_CHARACTERS and not (isinstance(value, float) and not value > 0):
            if len(self._attributes) >= _REMEMBERED:
                self._attributes.clear()
            self._attributes[key, value, value.__class__] = found
        return found

    def name(self, name: str) -> bytes:
        """Return the field with a span's name."""
        found = self._names.get(name)
        if found is None:
            found = sized(b"\x2a", utf8(name))
            if len(found) <= _REMEMBERED_CHARACTERS:
                if len(self._names) >= _REMEMBERED:
                    self._names.clear()
                self._names[name] = found
        return found

    def span(
        self,
        ids: tuple[bytes, bytes, bytes],
        name: str,
        kind: int,
        times: tuple[int, int],
        rest: bytes,
    ) -> bytes:
        """Return the span as a field of ScopeSpans.

        Args:
            ids: Of the trace, 16 bytes; of the span, 8; of its parent, 8, or none for a root.
            name: Any text.
            kind: OTLP's number.
            times: Start and end, Unix nanoseconds below 2^64.
            rest: Fields that are written already: attributes, events, links, status.
        """
        trace_id, span_id, parent_span_id = ids
        parent = b"\x22\x08" + parent_span_id if parent_span_id else b""
        content = b"".join(
            (
                b"\x0a\x10",
                trace_id,
                b"\x12\x08",
                span_id,
                parent,
                self.name(name),
                b"\x30" + varint(kind) if kind else b"",
                _TIMES(0x39, times[0], 0x41, times[1]),
                rest,
            )
        )
        return sized(b"\x12", content)


def text_attribute(key: bytes, text: str) -> bytes:
    """Return a span's attribute whose value is a text.

    Args:
        key: The field with its key, written already.
        text: Its value.
    """
    value = utf8(text)
    size, rest = len(value), len(key)
    if size + rest > 120:  # the lengths need more than a byte
        return sized(SPAN_ATTRIBUTE, key + sized(b"\x12", sized(b"\x0a", value)))
    return b"%c%c%b\x12%c\x0a%c%b" % (0x4A, rest + size + 4, key, size + 2, size, value)


def events(drafts: Sequence[EventDraft]) -> bytes:
    """Return the events as fields of a span."""
    return b"".join(
        sized(
            b"\x5a",
            _EVENT_TIME(0x09, each.time_ns)
            + sized(b"\x12", utf8(each.name))
            + attributes(EVENT_ATTRIBUTE, each.attributes),
        )
        for each in drafts
    )


def links(drafts: Sequence[LinkDraft]) -> bytes:
    """Return the links as fields of a span."""
    return b"".join(
        sized(
            b"\x6a",
            sized(b"\x0a", each.trace_id)
            + sized(b"\x12", each.span_id)
            + attributes(LINK_ATTRIBUTE, each.attributes),
        )
        for each in drafts
    )


def status(code: int, message: str) -> bytes:
    """Return the status as a field of a span; nothing where it is unset and has no message."""
    if not code and not message:
        return b""
    said = sized(b"\x12", utf8(message)) if message else b""
    return sized(b"\x7a", said + (b"\x18" + varint(code) if code else b""))


def _named(key: str, value: AttributeInput) -> bytes:
    try:
        return attribute(SPAN_ATTRIBUTE, key, value)
    except TypeError as error:
        raise TypeError(f"{key!r}: {error}") from None
