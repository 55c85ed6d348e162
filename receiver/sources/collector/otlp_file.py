"""Files of the Collector's file exporter, and OTLP-JSON documents: requests of all three signals.

Sources: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ (a request a line) and
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter (protobuf, and
compressed JSON, with the length of each message in front).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import xxhash

from receiver.errors import PermanentError
from receiver.ports import Encoding, ImportUnit
from receiver.signals import Signal
from receiver.sources.collector.otlp_messages import signal_of_protobuf
from receiver.sources.detect import outline_of
from receiver.sources.documents import parsed_object
from receiver.sources.source import MalformedDocumentError

SIGNAL_KEYS = {
    "resourceSpans": Signal.TRACES,
    "resourceLogs": Signal.LOGS,
    "resourceMetrics": Signal.METRICS,
    "resource_spans": Signal.TRACES,
    "resource_logs": Signal.LOGS,
    "resource_metrics": Signal.METRICS,
}
_GROUP = 512
_GROUP_BYTES = 1 << 20
_FIRST_KEY = re.compile(rb'\s*\{\s*"(resource[A-Za-z_]+)"\s*:')
_ANY_KEY = re.compile(rb'"(resource(?:Spans|Logs|Metrics|_spans|_logs|_metrics))"\s*:')
_EMPTY = re.compile(rb"\s*\{\s*\}\s*")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request that can be stored, at least in part."""

    payload: bytes
    """Protobuf of exactly the records that can be stored."""
    records: int
    rejected: int = 0
    message: str = ""


class RequestReader(Protocol):
    """**Protocol:** judges requests as the listeners do. Threads: one at a time; blocks for the CPU only."""

    def read(
        self, signal: Signal, bodies: Sequence[bytes], encoding: Encoding
    ) -> list[ReadRequest | PermanentError]:
        """Return for each request what of it can be stored, or why nothing of it can."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document that is judged together with others."""

    number: int
    data: bytes


class OtlpFileParser:
    """Implements ``receiver.sources.source.Parser``: a document is a request, its key the hash of its bytes.

    Documents are judged in groups, as one alone costs as much as a hundred. What was wrong with them is therefore
    told by their numbers, in ``take_faults``.
    """

    def __init__(self, reader: RequestReader) -> None:
        """Read requests with ``reader``."""
        self._reader = reader
        self._kind: tuple[Signal, Encoding] = (Signal.TRACES, Encoding.JSON)
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._number = 0
        self._faults: list[tuple[int, str]] = []

    @property
    def session_ids(self) -> list[str]:
        """Return nothing: what the requests hold is not looked into."""
        return []

    def take_faults(self) -> list[tuple[int, str]]:
        """Return what was wrong with documents since the last call: their number, counted from 1, and why."""
        found, self._faults = self._faults, []
        return found

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units of documents that were judged, this one's maybe among them."""
        self._number += 1
        encoding = Encoding.JSON if document.lstrip()[:1] == b"{" else Encoding.PROTOBUF
        units: list[ImportUnit] = []
        for signal in _signals(document, encoding):
            if (signal, encoding) != self._kind:
                units += self._judged()
                self._kind = (signal, encoding)
            self._waiting.append(_Waiting(self._number, document))
            self._bytes += len(document)
            if self._bytes >= _GROUP_BYTES or len(self._waiting) >= _GROUP:
                units += self._judged()
        return units

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:  # noqa: ARG002 - the contract's
        """Return the units of all documents that were not judged so far: every one of them stands alone."""
        yield from self._judged()

    def _judged(self) -> list[ImportUnit]:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return []
        signal, encoding = self._kind
        units = []
        verdicts = self._reader.read(signal, [each.data for each in waiting], encoding)
        for each, read in zip(waiting, verdicts, strict=True):
            if isinstance(read, PermanentError):
                self._faults.append((each.number, str(read)))
                continue
            if read.rejected:
                self._faults.append(
                    (each.number, f"{read.rejected} {signal.records} not stored: {read.message}")
                )
            if read.records or (read.payload and signal is Signal.METRICS):  # metrics without points
                key = xxhash.xxh3_128_digest(f"otlp\0{signal.value}\0".encode() + each.data)
                units.append(ImportUnit(key, signal, read.payload))
        return units


def recognises_otlp(head: bytes) -> bool:
    """Return True if a file that begins so holds OTLP-JSON."""
    first = _FIRST_KEY.match(head)
    if first is not None and first[1].decode() in SIGNAL_KEYS:
        return True
    if any(key in SIGNAL_KEYS for key in outline_of(head).keys):
        return True
    return any(
        (found := _FIRST_KEY.match(line)) is not None and found[1].decode() in SIGNAL_KEYS
        for line in head.split(b"\n", 64)
    )


def element_keys(head: bytes) -> tuple[str, ...]:
    """Return the keys under which a whole document's elements may stand, spelled as its first one is."""
    snake = any("_" in key for key in outline_of(head).keys if key in SIGNAL_KEYS)
    return tuple(key for key in SIGNAL_KEYS if ("_" in key) == snake)


def _signals(document: bytes, encoding: Encoding) -> list[Signal]:
    if encoding is Encoding.PROTOBUF:
        signal = signal_of_protobuf(document)
        if signal is None:
            raise MalformedDocumentError("not an export request of traces, logs or metrics")
        return [signal]
    if _EMPTY.fullmatch(document):
        return []
    mentioned = {SIGNAL_KEYS[key.decode()] for key in _ANY_KEY.findall(document)}
    if len(mentioned) != 1 or _FIRST_KEY.match(document) is None:  # a text may mention one
        mentioned = {SIGNAL_KEYS[key] for key in parsed_object(document) if key in SIGNAL_KEYS}
    if not mentioned:
        raise MalformedDocumentError("neither resourceSpans nor resourceLogs nor resourceMetrics")
    return sorted(mentioned)
