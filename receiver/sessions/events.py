"""What log events of several agents say in the same words."""

from __future__ import annotations

from receiver.questions import AgentRecord
from receiver.sessions.attributes import Attributes, number, truth
from receiver.sessions.statements import CallKind, CallStatement, Context

_MS = 1_000_000


def tool_event(
    record: AgentRecord, context: Context, *, name: str, call_id: str, error: str
) -> CallStatement:
    """Return what an event says about a tool that ended; ``error`` counts only where ``success`` is false."""
    success = truth(record.attributes, "success")
    return CallStatement(
        context=context,
        kind=CallKind.TOOL,
        end_ns=record.end_ns,
        duration_ns=stated_duration(record.attributes),
        ids=(call_id,) if call_id else (),
        id_kinds=frozenset({"tool"} if call_id else ()),
        name=name,
        failed=None if success is None else not success,
        error=error if success is False else "",
    )


def stated_duration(attributes: Attributes) -> int | None:
    """Return ``duration_ms`` in nanoseconds."""
    stated = number(attributes, "duration_ms")
    return None if stated is None else round(stated * _MS)
