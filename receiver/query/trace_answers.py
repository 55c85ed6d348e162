"""Answers about one trace, or two: whole as a tree, what matters of it, what differs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any
from uuid import UUID

from receiver.errors import NotFoundError
from receiver.ports import Rows
from receiver.query.tree import span_tree
from receiver.questions import StoreReader, TraceRecords

_MOST_RECORDS = 10_000
"""Spans, and log records, of a trace that are looked at for an outline or a comparison."""

_FEW_RECORDS = 50
"""So few are arranged in 0.2 ms, which is what another thread would cost."""


class TraceAnswers:
    """Reads traces and arranges them. Threads: one event loop; nothing here blocks it."""

    def __init__(self, reader: StoreReader) -> None:
        """Keep the reader of the store."""
        self._reader = reader

    async def trace(self, trace_id: UUID, *, limit: int) -> dict[str, Any]:
        """Return a trace: its spans as a tree, its log records, its resources and scopes.

        Log records that name a span of the trace stand in that span's ``logs``, the others in the trace's.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        found = await self._records_of(trace_id, limit)

        def arranged() -> dict[str, Any]:
            known = {span["span_id"] for span in found.spans}
            by_span: dict[str, Rows] = defaultdict(list)
            for record in found.logs:
                by_span[record["span_id"] if record["span_id"] in known else ""].append(record)
            # of spans with one id the first gets the log records: each of these stands once
            spans = [{**span, "logs": by_span.pop(span["span_id"], [])} for span in found.spans]
            roots, depth = span_tree(spans)
            return {
                "trace_id": trace_id.hex,
                "span_count": len(found.spans),
                "log_count": len(found.logs),
                "error_count": sum(span["status"] == "error" for span in found.spans),
                "services": sorted({span["service"] for span in found.spans if span["service"]}),
                "depth": depth,
                "roots": roots,
                "logs": by_span.get("", []),
                "resources": found.resources,
                "scopes": found.scopes,
                "truncated": found.truncated,
            }

        if len(found.spans) + len(found.logs) <= _FEW_RECORDS:
            return arranged()
        return await asyncio.to_thread(arranged)

    async def _records_of(self, trace_id: UUID, limit: int) -> TraceRecords:
        found = await self._reader.trace(trace_id, limit=limit)
        if not found.spans and not found.logs:
            raise NotFoundError(
                f"no trace {trace_id.hex} is stored", hint="list traces; a trace just sent may need a flush"
            )
        return found

    async def outline(self, trace_id: UUID, *, limit: int) -> dict[str, Any]:
        """Return what matters of a trace in a small answer: critical path, first failures, slowest spans.

        Args:
            trace_id: Of the trace; its first 10,000 spans and log records are looked at.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of it is stored.
        """
        found = await self._records_of(trace_id, _MOST_RECORDS)
        answer = await asyncio.to_thread(_outline_of, found, limit=limit)
        return {"trace_id": trace_id.hex, **answer}

    async def compare(self, a: UUID, b: UUID, *, limit: int) -> dict[str, Any]:
        """Return what differs between two traces: structure, durations, errors, attributes of the roots.

        Args:
            a: The trace that is compared with.
            b: The trace that is asked about.
            limit: Most entries of each list.

        Raises:
            NotFoundError: Nothing of one of them is stored.
        """
        first = await self._records_of(a, _MOST_RECORDS)
        second = await self._records_of(b, _MOST_RECORDS)
        return await asyncio.to_thread(_comparison_of, first, second, limit=limit)


# Analyses are imported by the first question that needs them, in its thread: a start does not wait for them.


def _outline_of(found: TraceRecords, *, limit: int) -> dict[str, Any]:
    from receiver.query.outline import outline_of  # noqa: PLC0415 - see above

    return outline_of(found, limit=limit)


def _comparison_of(first: TraceRecords, second: TraceRecords, *, limit: int) -> dict[str, Any]:
    from receiver.query.comparison import comparison_of  # noqa: PLC0415 - see above

    return comparison_of(first, second, limit=limit)
