"""Trace files: one JSON document with a list of trace dicts, or a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from receiver.errors import InvalidTraceError
from receiver.ports import ImportUnit
from receiver.sources.detect import lines_of, outline_of
from receiver.sources.documents import parsed
from receiver.sources.source import MalformedDocumentError
from receiver.sources.trace_dicts.units import ReadOtlp, TraceDicts

LIST_KEYS = ("traces", "data")
"""Keys of an object that holds the list; the first one that is there counts."""
_TRACE_KEYS = frozenset({"trace_id", "traceId", "spans"})


class TraceFileParser:
    """Implements ``receiver.sources.source.Parser``: each document is one trace, each trace one unit."""

    def __init__(self, *, system_id: str | None = None, read_otlp: ReadOtlp | None = None) -> None:
        """Read traces.

        Args:
            system_id: Of the traces that name none themselves.
            read_otlp: Reads OTLP-JSON that stands in the list; None: it is refused.
        """
        self._traces = TraceDicts(read_otlp=read_otlp, system_id=system_id)

    @property
    def session_ids(self) -> list[str]:
        """Return nothing: traces are not sessions."""
        return []

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the unit of one trace."""
        try:
            return self._traces.units(parsed(document))
        except InvalidTraceError as error:
            raise MalformedDocumentError(error.message, hint=error.hint) from None

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:  # noqa: ARG002 - the contract's
        """Return nothing: no trace stays open."""
        return iter(())


def recognises_traces(head: bytes) -> bool:
    """Return True if a file that begins so holds trace dicts."""
    outline = outline_of(head)
    if outline.kind == "array":
        return not _TRACE_KEYS.isdisjoint(outline.keys) or head.split() in ([b"[]"], [b"[", b"]"])
    if any(not _TRACE_KEYS.isdisjoint(line) and "spans" in line for line in lines_of(head)):
        return True
    return list_key(head) is not None or {"trace_id", "spans"} <= set(outline.keys)


def list_key(head: bytes) -> str | None:
    """Return the key under which the list of traces stands; None where the document is something else."""
    outline = outline_of(head)
    found = next((key for key in LIST_KEYS if key in outline.arrays), None)
    if found is None or (
        outline.arrays[0] == found and outline.inner and _TRACE_KEYS.isdisjoint(outline.inner)
    ):
        return None
    return found if outline.kind == "object" else None
