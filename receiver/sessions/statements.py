"""What one record says about a session: a call, a prompt, or that something went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from receiver.sessions.tokens import Tokens


class Origin(IntEnum):
    """Where a record comes from; the lower one is believed where several describe the same call.

    An agent's log event is written once, by the code that made the call. Its span covers the call and retries
    of it. A session file is written for the agent's own use and has neither cost nor durations.
    """

    EVENT = 0
    SPAN = 1
    FILE = 2


class CallKind(StrEnum):
    """What was called."""

    MODEL = "model"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a record stands."""

    origin: Origin
    record: str
    """Name of the record: two records of the same name never describe the same call without a common id."""
    turn_ids: tuple[str, ...] = ()
    """Names of the turn, with their kind in front; records with one of them in common are of one turn."""
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStatement:
    """One record's account of one call."""

    context: Context
    kind: CallKind
    end_ns: int
    """Unix time."""
    duration_ns: int | None = None
    ids: tuple[str, ...] = ()
    """Ids that only this call has: of the request, the response, the tool use."""
    id_kinds: frozenset[str] = frozenset()
    """Which of these; records that differ in an id of one kind are of two calls."""
    parts: tuple[str, ...] = ()
    """Spans that are this call, or a part of it."""
    name: str = ""
    """Of the tool, or of the operation."""
    provider: str = ""
    model: str = ""
    tokens: Tokens | None = None
    cost_usd: float | None = None
    first_token_ms: float | None = None
    failed: bool | None = None
    """None: the record does not say."""
    error: str = ""
    attempts: int = 1
    agent: str = ""
    """The subagent that called; empty for the main one."""
    prompt: str = ""
    """The user's words, where the record holds the messages that were sent."""

    @property
    def start_ns(self) -> int:
        """Return when the call began, as far as this record knows."""
        return self.end_ns - (self.duration_ns or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStatement:
    """A user said something: a turn begins."""

    context: Context
    time_ns: int
    end_ns: int
    """End of the turn, where the record covers it; otherwise ``time_ns``."""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStatement:
    """Something failed that is not a call of its own: a try of a request, a span between calls."""

    context: Context
    time_ns: int
    ids: tuple[str, ...] = ()
    model: str = ""
    error: str = ""
    of_request: bool = False
    """A try of a model call; it may belong to one that several tries made."""


Statement = CallStatement | PromptStatement | FaultStatement
