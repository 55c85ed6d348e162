"""The trace that a session becomes where its file holds no spans: session, turns, model calls, tool calls.

Source: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-agent-spans.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from receiver.otlp.span import AttributeInput, EventDraft, SpanDraft, SpanKind, StatusCode
from receiver.ports import ImportUnit
from receiver.sources.contents.messages import (
    Part,
    count_left_out,
    cut,
    message,
    output_messages,
    put_messages,
    text_part,
)
from receiver.sources.source import span_id_of, span_unit, trace_id_of, unit_key

MADE_OF = "otlp_receiver.source.made_of"
"""Attribute of spans that are made of other records than those of a session file: of which."""
_STATUS_LIMIT = 1_000
_EVENTS = 128
"""Events that a turn keeps."""
_EVENT_CHARACTERS = 4_000


@dataclass(slots=True, kw_only=True)
class Turn:
    """A turn of a session that is still open: from a user's prompt to the next."""

    identity: str
    """What the agent calls it; where it does not, what began it."""
    start_ns: int
    end_ns: int
    agent: str = ""
    """Another name than the session's agent has."""
    prompt: str = ""
    prompt_id: str = ""
    error: str = ""
    error_type: str = ""
    attributes: dict[str, AttributeInput] = field(default_factory=dict)
    events: list[EventDraft] = field(default_factory=list)
    sent: bool = False
    """It is out: what follows still hangs under it."""

    def note(self, name: str, time_ns: int, attributes: Mapping[str, AttributeInput]) -> None:
        """Keep an event, with texts cut; of many the first ones."""
        if len(self.events) < _EVENTS:
            short = {
                k: cut(v, _EVENT_CHARACTERS)[0] if isinstance(v, str) else v for k, v in attributes.items()
            }
            self.events.append(EventDraft(name=name, time_ns=time_ns, attributes=short))

    def reach(self, time_ns: int) -> None:
        """Let the turn last until a time at least."""
        self.end_ns = max(self.end_ns, time_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider reports them; None is not said."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None
    reasoning: int | None = None

    def attributes(self) -> dict[str, AttributeInput]:
        """Return the conventions' attributes."""
        return {
            "gen_ai.usage.input_tokens": self.input,
            "gen_ai.usage.output_tokens": self.output,
            "gen_ai.usage.cache_read.input_tokens": self.cache_read,
            "gen_ai.usage.cache_creation.input_tokens": self.cache_creation,
            "gen_ai.usage.reasoning.output_tokens": self.reasoning,
        }


class SessionTrace:
    """Makes the units of one session; each span is a unit of its own. Threads: one at a time."""

    def __init__(
        self,
        format_name: str,
        session_id: str,
        *,
        agent: str,
        resource: dict[str, AttributeInput],
        made_of: str = "",
    ) -> None:
        """Keep what all spans share.

        Args:
            format_name: Which of the formats it was read from; part of every id.
            session_id: The agent's own id of the session.
            agent: The name that turns bear.
            resource: Resource attributes, ``service.name`` among them.
            made_of: What the spans are made of, where that is no session file: its records tell the same calls.
        """
        self.session_id = session_id
        self.agent = agent
        self._format = format_name
        self._resource = resource
        self._made_of = made_of
        self._trace_id = trace_id_of(format_name, session_id)
        self._begun = False

    def begin(self, time_ns: int, attributes: Mapping[str, AttributeInput] | None = None) -> list[ImportUnit]:
        """Return the session's own span at the first call, and nothing later: it is a point in time."""
        if self._begun:
            return []
        self._begun = True
        return [
            self._unit(
                ("session",),
                "",
                name="session",
                start_ns=time_ns,
                end_ns=time_ns,
                attributes=attributes or {},
            )
        ]

    def turn(self, turn: Turn) -> ImportUnit:
        """Return a turn that is complete."""
        attributes: dict[str, AttributeInput] = {
            "gen_ai.operation.name": "invoke_agent",
            "prompt.id": turn.prompt_id or None,
            **turn.attributes,
        }
        if turn.prompt:
            put_messages(attributes, "gen_ai.input.messages", [message("user", [text_part(turn.prompt)])])
        return self._unit(
            ("turn", turn.identity),
            "session",
            name=f"invoke_agent {turn.agent or self.agent}",
            start_ns=turn.start_ns,
            end_ns=turn.end_ns,
            attributes=attributes,
            agent=turn.agent,
            error=turn.error,
            error_type=turn.error_type,
            events=turn.events,
        )

    def over(self, turn: Turn | None) -> Iterator[ImportUnit]:
        """Yield a turn that is complete, unless there is none or it is out already."""
        if turn and not turn.sent:
            turn.sent = True
            yield self.turn(turn)

    def call(
        self,
        identity: str,
        turn: Turn | None,
        *,
        model: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, AttributeInput],
        error: str = "",
        error_type: str = "",
    ) -> ImportUnit:
        """Return a model call that is complete."""
        said: dict[str, AttributeInput] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model or None,
            "prompt.id": (turn.prompt_id if turn else "") or None,
            **attributes,
        }
        return self._unit(
            ("call", identity),
            *_parent(turn),
            agent=turn.agent if turn else "",
            name=f"chat {model}".rstrip(),
            kind=SpanKind.CLIENT,
            start_ns=start_ns,
            end_ns=end_ns,
            attributes=said,
            error=error,
            error_type=error_type,
        )

    def tool(
        self,
        identity: str,
        turn: Turn | None,
        *,
        tool_name: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, AttributeInput],
        error: str = "",
        error_type: str = "",
    ) -> ImportUnit:
        """Return a tool call that is complete."""
        said: dict[str, AttributeInput] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool_name or None,
            "prompt.id": (turn.prompt_id if turn else "") or None,
            **attributes,
        }
        return self._unit(
            ("tool", identity),
            *_parent(turn),
            agent=turn.agent if turn else "",
            name=f"execute_tool {tool_name}".rstrip(),
            start_ns=start_ns,
            end_ns=end_ns,
            attributes=said,
            error=error,
            error_type=error_type,
        )

    def _span_id(self, *identity: str) -> bytes:
        return span_id_of(self._format, self.session_id, *identity)

    def _unit(
        self,
        identity: tuple[str, ...],
        *parent: str,
        name: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, AttributeInput],
        kind: SpanKind = SpanKind.INTERNAL,
        agent: str = "",
        error: str = "",
        error_type: str = "",
        events: list[EventDraft] | None = None,
    ) -> ImportUnit:
        said: dict[str, AttributeInput] = {
            "session.id": self.session_id,
            "gen_ai.conversation.id": self.session_id,
            "gen_ai.agent.name": agent or self.agent,
            "otlp_receiver.source.format": self._format,
            "otlp_receiver.source.kind": identity[0],
            MADE_OF: self._made_of or None,
            **attributes,
        }
        if error or error_type:
            said.setdefault("error.type", error_type or "_OTHER")
        span = SpanDraft(
            trace_id=self._trace_id,
            span_id=self._span_id(*identity),
            parent_span_id=self._span_id(*parent) if parent != ("",) else b"",
            name=name,
            kind=kind,
            start_ns=start_ns,
            end_ns=max(start_ns, end_ns),
            attributes=said,
            events=events or (),
            status=StatusCode.ERROR if error or error_type else StatusCode.UNSET,
            status_message=cut(error, _STATUS_LIMIT)[0],
        )
        key = unit_key(f"{self._format}\0{self.session_id}", *identity)
        return span_unit(key, [span], self._resource)


def put_answer(attributes: dict[str, AttributeInput], parts: list[Part], finish_reason: str = "") -> None:
    """Add a model's answer to its call's attributes; what it gave to tools stands at the tools."""
    if parts:
        said = [{**part, "arguments": None} if part["type"] == "tool_call" else part for part in parts]
        spoken, left_out = output_messages([message("assistant", said)], finish_reason)
        attributes["gen_ai.output.messages"] = spoken
        count_left_out(attributes, left_out)


def _parent(turn: Turn | None) -> tuple[str, ...]:
    return ("turn", turn.identity) if turn else ("session",)
