"""Tools that a model called and that have not answered yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.contents.messages import put
from receiver.sources.contents.session_trace import SessionTrace, Turn

UNANSWERED = "otlp_receiver.source.unanswered"
"""Attribute: the file holds no answer of the tool."""
_OPEN = 4_096
"""Tools that are held; the oldest goes out unanswered when there are more."""


@dataclass(frozen=True, slots=True)
class _Tool:
    trace: SessionTrace
    turn: Turn | None
    call_id: str
    name: str
    arguments: object
    start_ns: int
    attributes: Mapping[str, AttributeInput]


class OpenTools:
    """Brings calls and answers together. Threads: one at a time."""

    def __init__(self) -> None:
        """Know no call."""
        self._open: dict[tuple[str, str], _Tool] = {}

    def call(
        self,
        trace: SessionTrace,
        turn: Turn | None,
        call_id: str,
        *,
        name: str,
        arguments: object,
        time_ns: int,
        attributes: Mapping[str, AttributeInput] | None = None,
    ) -> list[ImportUnit]:
        """Hold a call until it is answered; return one that waited too long, if there are too many."""
        tool = _Tool(trace, turn, call_id, name, arguments, time_ns, attributes or {})
        self._open.setdefault((trace.session_id, call_id), tool)
        if len(self._open) <= _OPEN:
            return []
        return [_unit(self._open.pop(next(iter(self._open))), None, None)]

    def is_open(self, trace: SessionTrace, call_id: str) -> bool:
        """Return True for a call that was not answered so far."""
        return (trace.session_id, call_id) in self._open

    def answer(
        self,
        trace: SessionTrace,
        turn: Turn | None,
        call_id: str,
        *,
        result: object,
        time_ns: int,
        attributes: Mapping[str, AttributeInput] | None = None,
        error: str = "",
        error_type: str = "",
    ) -> ImportUnit:
        """Return the span of a call that is answered now; one whose call the file does not hold has no name."""
        tool = self._open.pop((trace.session_id, call_id), None)
        if tool is None:
            tool = _Tool(trace, turn, call_id, "", None, time_ns, {})
        return _unit(tool, result, time_ns, more=attributes, error=error, error_type=error_type)

    def unanswered(self, trace: SessionTrace | None = None) -> Iterator[ImportUnit]:
        """Yield the calls that got no answer, of one session or of all; they are held no more."""
        for key, tool in list(self._open.items()):
            if trace is None or tool.trace is trace:
                del self._open[key]
                yield _unit(tool, None, None)


def _unit(
    tool: _Tool,
    result: object,
    end_ns: int | None,
    *,
    more: Mapping[str, AttributeInput] | None = None,
    error: str = "",
    error_type: str = "",
) -> ImportUnit:
    attributes: dict[str, AttributeInput] = {
        "gen_ai.tool.call.id": tool.call_id or None,
        UNANSWERED: True if end_ns is None else None,
        **tool.attributes,
        **(more or {}),
    }
    put(attributes, "gen_ai.tool.call.arguments", tool.arguments)
    put(attributes, "gen_ai.tool.call.result", result)
    return tool.trace.tool(
        tool.call_id or f"{tool.start_ns}\0{tool.name}",
        tool.turn,
        tool_name=tool.name,
        start_ns=tool.start_ns,
        end_ns=tool.start_ns if end_ns is None else end_ns,
        attributes=attributes,
        error=error,
        error_type=error_type,
    )
