"""Records to statements: each record is asked once what it says, by the names of its own agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from receiver.questions import AgentRecord, Status
from receiver.sessions import claude_code, codex, conventions, gemini_cli, qwen_code
from receiver.sessions.agents import (
    CLAUDE_CODE,
    CODEX,
    FILE_KIND,
    FILE_MADE_OF,
    FILE_SCOPE,
    GEMINI_CLI,
    QWEN_CODE,
    agent_of,
    event_of,
)
from receiver.sessions.attributes import text
from receiver.sessions.normalise import normalised
from receiver.sessions.span_tree import SpanTree, key_of
from receiver.sessions.statements import (
    CallKind,
    CallStatement,
    Context,
    FaultStatement,
    Origin,
    PromptStatement,
    Statement,
)
from receiver.signals import Signal

_EVENTS = {
    CLAUDE_CODE: claude_code.read_event,
    QWEN_CODE: qwen_code.read_event,
    GEMINI_CLI: gemini_cli.read_event,
    CODEX: codex.read_event,
}
_TURN_IDS = ("prompt.id", "prompt_id", "qwen-code.prompt_id", "github.copilot.interaction_id")
_QWEN_SPANS = {"llm_request": CallKind.MODEL, "tool": CallKind.TOOL, "tool.execution": CallKind.TOOL}
_TOOL_PARTS = frozenset({"tool.execution"})
"""Spans that say how the tool of their parent span went."""


@dataclass(frozen=True, slots=True)
class _Span:
    record: AgentRecord
    key: str
    agent: str
    event: str
    attributes: Mapping[str, Any]
    kind: CallKind | None
    is_turn: bool


def read(records: Sequence[AgentRecord]) -> list[Statement]:
    """Return what the spans and log records say; each record must be there once.

    Of model calls directly above one another the innermost that knows its tokens is kept: instrumentations of a
    framework and of its client both report the call that passes through them.
    """
    spans = [_seen(record) for record in records if record.signal is Signal.TRACES]
    tree = SpanTree(each.record for each in spans)
    turn_above = tree.nearest({each.key for each in spans if each.is_turn and each.key})
    found: list[Statement] = []
    calls: list[tuple[_Span, CallStatement]] = []
    for span in spans:
        statement = _of_span(span, _context(span.record, span.agent, turn_above), tree)
        if isinstance(statement, CallStatement):
            calls.append((span, statement))
        elif statement is not None:
            found.append(statement)
    found += _innermost(spans, calls, tree)
    found += _faults(spans, calls, tree, turn_above)
    for record in records:
        if record.signal is Signal.LOGS:
            statement = _of_event(record, turn_above)
            if statement is not None:
                found.append(statement)
    return found


def _seen(record: AgentRecord) -> _Span:
    agent, event = agent_of(record), event_of(record)
    attributes = normalised(record.attributes)
    is_turn = (
        (event == "interaction" and agent in {CLAUDE_CODE, QWEN_CODE})
        or attributes.get("span.type") == "interaction"
        or (agent == GEMINI_CLI and attributes.get("gen_ai.operation.name") == "user_prompt")
        or (record.scope == FILE_SCOPE and attributes.get(FILE_KIND) == "turn")
    )
    kind = None if is_turn else conventions.kind_of(attributes)
    if kind is None and agent == QWEN_CODE:
        kind = _QWEN_SPANS.get(event)
    return _Span(record, key_of(record.trace_id, record.span_id), agent, event, attributes, kind, is_turn)


def _context(record: AgentRecord, agent: str, turn_above: Mapping[str, str]) -> Context:
    told_by = record.name
    if record.scope == FILE_SCOPE:
        origin = Origin.FILE
        # an outfile and a session file of one session tell the same calls, in spans of the same names
        told_by += text(record.attributes, FILE_MADE_OF)
    else:
        origin = Origin.EVENT if record.signal is Signal.LOGS else Origin.SPAN
    names = (*_TURN_IDS, "turn.id", "turn_id") if agent == CODEX else _TURN_IDS
    ids = [f"prompt:{value}" for value in (text(record.attributes, name) for name in names) if value]
    root = turn_above.get(key_of(record.trace_id, record.span_id)) or turn_above.get(
        key_of(record.trace_id, record.parent_span_id)
    )
    if root:
        ids.append(f"span:{root}")
    return Context(
        origin=origin,
        record=told_by,
        turn_ids=tuple(dict.fromkeys(ids)),
        trace_id=record.trace_id,
        span_id=record.span_id,
    )


def _of_span(span: _Span, context: Context, tree: SpanTree) -> Statement | None:
    record = span.record
    if span.is_turn:
        return PromptStatement(
            context=_with_message(context, record),
            time_ns=record.time_ns,
            end_ns=record.end_ns,
            text=_prompt(span.attributes),
        )
    statement: Statement | None = None
    if span.agent == CLAUDE_CODE and context.origin is not Origin.FILE:
        statement = claude_code.read_span(record, span.event, context)
    elif span.agent in _EVENTS and context.origin is not Origin.FILE:
        statement = _EVENTS[span.agent](record, span.event, context)  # some agents make spans of their events
    if statement is None and span.kind is not None:
        statement = conventions.read_call(record, span.attributes, context, span.kind)
    if isinstance(statement, CallStatement):
        if span.agent == CLAUDE_CODE and context.origin is Origin.FILE and _said_by_the_agent(statement):
            return None
        part = tree.parent(span.key) if span.event in _TOOL_PARTS else ""
        statement = replace(statement, parts=tuple(each for each in (span.key, part) if each))
    return statement


def _of_event(record: AgentRecord, turn_above: Mapping[str, str]) -> Statement | None:
    agent, event = agent_of(record), event_of(record)
    context = _context(record, agent, turn_above)
    statement = _EVENTS[agent](record, event, context) if agent in _EVENTS else None
    if isinstance(statement, PromptStatement):
        return replace(statement, context=_with_message(context, record))
    if statement is None and event == conventions.DETAILS_EVENT:
        attributes = normalised(record.attributes)
        return conventions.read_call(record, attributes, context, CallKind.MODEL)
    return statement


def _said_by_the_agent(call: CallStatement) -> bool:
    """Return whether an answer in a transcript came from no model: Claude Code writes some itself."""
    return (
        call.kind is CallKind.MODEL
        and not call.model
        and not call.failed
        and (call.tokens is None or not call.tokens.total)
    )


def _with_message(context: Context, record: AgentRecord) -> Context:
    """Return the context of a prompt: the id of the user's message names the turn as well."""
    message = text(record.attributes, "message.uuid")
    return replace(context, turn_ids=(*context.turn_ids, f"message:{message}")) if message else context


def _prompt(attributes: Mapping[str, Any]) -> str:
    said = text(attributes, "user_prompt", "prompt")
    if said:
        return said
    for name in ("gen_ai.input.messages", "input.value", "gen_ai.prompt"):
        said = conventions.last_user_message(attributes.get(name))
        if said:
            return said
    return ""


def _innermost(
    spans: Sequence[_Span], calls: Sequence[tuple[_Span, CallStatement]], tree: SpanTree
) -> list[CallStatement]:
    models = {span.key: call for span, call in calls if call.kind is CallKind.MODEL and span.key}
    borders = {
        span.key
        for span in spans
        if text(span.attributes, "gen_ai.operation.name") in conventions.AGENT_OPERATIONS or span.is_turn
    } | {span.key for span, call in calls if call.kind is CallKind.TOOL}
    nearest = tree.nearest(models.keys() | borders)
    dropped: set[str] = set()
    for key, call in models.items():
        outer = nearest.get(tree.parent(key), "")
        if outer in models and outer != key:
            dropped.add(outer if call.tokens is not None or models[outer].tokens is None else key)
    return [call for span, call in calls if span.key not in dropped]


def _faults(
    spans: Sequence[_Span],
    calls: Sequence[tuple[_Span, CallStatement]],
    tree: SpanTree,
    turn_above: Mapping[str, str],
) -> list[FaultStatement]:
    """Return what failed between the calls: a span in error, without one below it that failed, and in no call.

    A live span is in error because something below it was. A file's turn is so only where the file says it of the
    turn, or of its last model call: that a tool failed in it is no excuse.
    """
    failed = {span.key for span, call in calls if call.failed}
    failed |= {span.key for span in spans if span.record.status is Status.ERROR}
    failed.discard("")
    excused = tree.above(sorted(failed))
    models = {span.key for span, call in calls if call.failed and call.kind is CallKind.MODEL}
    excused_in_files = tree.above(sorted(models - {""}))
    called = {span.key for span, _ in calls}
    in_call = tree.nearest(called)
    return [
        FaultStatement(
            context=_context(span.record, span.agent, turn_above),
            time_ns=span.record.end_ns,
            error=span.record.status_message or span.record.name,
        )
        for span in spans
        if span.record.status is Status.ERROR
        and span.key
        not in (excused_in_files if span.is_turn and span.record.scope == FILE_SCOPE else excused)
        and not in_call.get(span.key)
        and span.key not in called
    ]
