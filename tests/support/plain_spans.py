"""Spans of a trace as the store's reader gives them, written by hand or drawn."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from receiver.questions import TraceRecords
from receiver.times import duration_ms, rfc3339

MS = 1_000_000


def plain_span(
    span_id: str, parent: str | None, start_ms: int, end_ms: int, name: str | None = None, **changes: Any
) -> dict[str, Any]:
    """Return a span; its name is its id unless it is told otherwise."""
    start, end = start_ms * MS, end_ms * MS
    return {
        "signal": "traces",
        "trace_id": "ab" * 16,
        "span_id": span_id,
        "parent_span_id": parent,
        "service": "shop",
        "name": span_id if name is None else name,
        "kind": "internal",
        "time": rfc3339(start),
        "time_unix_nano": str(start),
        "end_time_unix_nano": str(end),
        "duration_ms": duration_ms(start, end),
        "status": "unset",
        "status_message": "",
        "attributes": {},
        "events": [],
        "resource_id": "r",
        **changes,
    }


def plain_log(body: Any, span_id: str | None = None, severity: int = 17, **changes: Any) -> dict[str, Any]:
    """Return a log record at error level unless it is told otherwise."""
    return {
        "signal": "logs",
        "trace_id": "ab" * 16,
        "span_id": span_id,
        "service": "shop",
        "name": "",
        "time": rfc3339(1000 * MS),
        "time_unix_nano": str(1000 * MS),
        "severity_number": severity,
        "severity_text": "",
        "body": body,
        "attributes": {},
        **changes,
    }


def records(*spans: dict[str, Any], logs: Any = (), resources: Any = None) -> TraceRecords:
    """Return the records of one trace."""
    return TraceRecords(list(spans), list(logs), resources or {}, {}, truncated=False)


@st.composite
def well_formed_traces(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a trace with one root in which every span lies within its parent's time."""
    spans = [plain_span("0", None, 1000, 1000 + draw(st.integers(0, 200)))]
    for number in range(1, draw(st.integers(1, 15))):
        parent = draw(st.sampled_from(spans))
        begun, ended = int(parent["time_unix_nano"]) // MS, int(parent["end_time_unix_nano"]) // MS
        start = draw(st.integers(begun, ended))
        name = draw(st.sampled_from(["query", "call", "render"]))
        status = draw(st.sampled_from(["unset", "ok", "error"]))
        spans.append(
            plain_span(
                str(number), parent["span_id"], start, draw(st.integers(start, ended)), name, status=status
            )
        )
    return spans
