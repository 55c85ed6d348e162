"""What is open in a conversation of Claude Code: a turn, a model call, a tool call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.otlp.span import AttributeInput, EventDraft
from receiver.sources.claude_code.records import Record
from receiver.sources.source import span_id_of

AGENT = "claude_code"
"""Name of the format, and a part of every id."""
_EVENTS = 128
"""Events that a turn keeps."""


@dataclass(slots=True)
class Turn:
    """What a prompt set off."""

    prompt: Record
    text: str
    start_ns: int
    end_ns: int
    command: bool
    parent_span_id: bytes
    answered: bool = False
    sent: bool = False
    error: str = ""
    duration_ms: int | None = None
    events: list[EventDraft] = field(default_factory=list)
    dropped_events: int = 0

    @property
    def span_id(self) -> bytes:
        """Return the id that calls and tools name as their parent."""
        return span_id_of(AGENT, "turn", self.prompt.uuid)

    def note(self, name: str, time_ns: int, attributes: Mapping[str, AttributeInput]) -> None:
        """Keep an event."""
        if len(self.events) < _EVENTS:
            self.events.append(EventDraft(name=name, time_ns=time_ns, attributes=attributes))
        else:
            self.dropped_events += 1


@dataclass(slots=True)
class Call:
    """One answer of the model: all lines with one message id."""

    identity: str
    first: Record
    start_ns: int
    end_ns: int
    parent_span_id: bytes
    prompt_id: str
    uuids: set[str] = field(default_factory=set)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    last: Record = field(init=False)

    def __post_init__(self) -> None:
        """Begin with one line."""
        self.last = self.first


@dataclass(slots=True)
class Tool:
    """One tool that the model asked for."""

    identity: str
    name: str
    arguments: object
    record: Record
    start_ns: int
    parent_span_id: bytes
    prompt_id: str

    @property
    def span_id(self) -> bytes:
        """Return the id of its span, unless it started a subagent with an id of its own."""
        return span_id_of(AGENT, "tool", self.identity)
