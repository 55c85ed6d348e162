"""The documented results: records of the API in the shape that agents know from the ingester."""

from __future__ import annotations

from typing import Any

from receiver.mcp.system_ids import ORIGINAL_ID, TraceFacts
from receiver.query.tree import in_order

_BRIEF = (
    "span_id",
    "parent_span_id",
    "service",
    "name",
    "kind",
    "time",
    "duration_ms",
    "status",
    "status_message",
)


def search_result(row: dict[str, Any], facts: TraceFacts | None, system_id: str | None) -> dict[str, Any]:
    """Return what ``search_otel_traces`` says of a found record.

    Args:
        row: A result of the search.
        facts: Of its trace; None for a log record without one.
        system_id: The one that was asked for.
    """
    return {
        "system_id": facts.system_id if facts else system_id or row["service"] or "unknown",
        "conversation_id": facts.conversation_id if facts else row["trace_id"],
        "content": facts.content if facts else row["text"],
        "timestamp": (facts.timestamp if facts else None) or row["time"],
        "metadata": {
            "trace_id": row["trace_id"],
            "span_id": row.get("span_id"),
            "span_count": facts.span_count if facts else 0,
            "signal": row["signal"],
            "name": row["name"],
            "service": row["service"],
            "status": row.get("status"),
            "duration_ms": row.get("duration_ms"),
            "attributes": row["attributes"],
        },
        "similarity": row["similarity"],
        "text": row["text"],
        "why": row["why"],
    }


def trace_result(trace: dict[str, Any], facts: TraceFacts | None) -> dict[str, Any]:
    """Return what ``get_otel_trace`` says of a trace; attributes of later spans stand before those of earlier ones."""
    spans = sorted(in_order(trace["roots"]), key=_place)
    merged: dict[str, Any] = {}
    for span in spans:
        merged.update(span["attributes"])
    merged.pop(ORIGINAL_ID, None)
    return {
        "system_id": facts.system_id if facts else "unknown",
        "conversation_id": facts.conversation_id if facts else trace["trace_id"],
        "content": " | ".join(span["name"] for span in spans if span["name"]) or "Empty trace",
        "timestamp": spans[0]["time"] if spans else None,
        "metadata": {
            "trace_id": trace["trace_id"],
            "span_count": trace["span_count"],
            "log_count": trace["log_count"],
            "error_count": trace["error_count"],
            "services": trace["services"],
            "attributes": merged,
            "truncated": trace["truncated"],
        },
        "spans": [
            {name: span.get(name) for name in _BRIEF} | {"events": len(span.get("events") or ())}
            for span in spans
        ],
    }


def _place(span: dict[str, Any]) -> tuple[int, bool, float, str]:
    """Return what sorts spans by time, parents first where they start together; ``BY_START`` is the same in SQL."""
    is_child = span["parent_span_id"] is not None
    return int(span["time_unix_nano"]), is_child, -(span["duration_ms"] or 0), span["span_id"]
