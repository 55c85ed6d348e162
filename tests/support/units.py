"""Units for tests of importing: one span each, recognisable by its name."""

from __future__ import annotations

from receiver.otlp.span import SpanDraft
from receiver.ports import ImportUnit
from receiver.sources.source import span_id_of, span_unit, trace_id_of, unit_key

_START_NS = 1_790_000_000_000_000_000


def make_unit(number: int, *, group: str = "units", padding: int = 0) -> ImportUnit:
    """Return the unit of this number: the same bytes and key in every call."""
    span = SpanDraft(
        trace_id=trace_id_of("test", f"{group} {number}"),
        span_id=span_id_of(group, str(number)),
        name=f"unit {number}",
        start_ns=_START_NS + number,
        end_ns=_START_NS + number + 1,
        attributes={"padding": "x" * padding} if padding else {},
    )
    return span_unit(unit_key(group, str(number)), [span], {"service.name": "units"})
