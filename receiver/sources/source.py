"""The contract between a file's reader and the parser of its format, and the ids that parsers give.

A reader (:mod:`receiver.sources.reader`) cuts a file into documents: lines, or JSON values that span several.
A parser turns documents into units. It holds only what is still open: nothing grows with the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import xxhash

from receiver.errors import ReceiverError
from receiver.otlp.encode import encode_spans
from receiver.otlp.span import AttributeInput, SpanDraft
from receiver.ports import ImportUnit
from receiver.signals import Signal

SCOPE = "otlp-receiver/sources"
"""Instrumentation scope of every span that was made of a file: tells them from what an agent sent itself."""


class MalformedDocumentError(ReceiverError):
    """One line or JSON value of a file cannot be read; the rest of the file can."""


class Parser(Protocol):
    """**Protocol:** turns the documents of one file, in their order, into units.

    The same documents give the same units with the same keys, whatever was in the file behind them: a unit is
    handed out only when nothing that comes later could change it (``flush`` decides what is still open).
    Threads: one at a time; blocks for the CPU only.
    """

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met, in the order of their first appearance."""
        ...

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units that this document completes.

        Raises:
            MalformedDocumentError: It cannot be read; the parser is as it was before.
        """
        ...

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        """Return what is open.

        Args:
            finished: Nobody writes the file any more. False: what could still change stays open, and only what
                is certainly complete is returned.
            settled: False where the file was changed a moment ago: a tool without an answer may still be running,
                and a call without its tokens may still get them, so they are left to the next reading.
        """
        ...


def trace_id_of(agent: str, session_id: str) -> bytes:
    """Return the trace id that a session's file becomes: the same in every run."""
    return xxhash.xxh3_128_digest(f"trace\0{agent}\0{session_id}".encode("utf-8", "replace"))


def span_id_of(*identity: str) -> bytes:
    """Return the span id of what an agent's own ids name; the same in every run, never all zero."""
    return xxhash.xxh3_64_digest("\0".join(("span", *identity)).encode("utf-8", "replace")) or b"\1" * 8


def unit_key(group: str, *identity: str) -> bytes:
    """Return the key of a unit: 8 bytes of what it belongs to, 8 of what it is there (ports.ImportUnit)."""
    first = xxhash.xxh3_64_digest(group.encode("utf-8", "replace"))
    return first + xxhash.xxh3_64_digest("\0".join(identity).encode("utf-8", "replace"))


def span_unit(key: bytes, spans: list[SpanDraft], resource: dict[str, AttributeInput]) -> ImportUnit:
    """Return a unit of some spans that belong together."""
    return ImportUnit(key, Signal.TRACES, encode_spans(spans, resource=resource, scope=SCOPE))
