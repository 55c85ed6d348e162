"""Claude Code transcripts: ``~/.claude/projects/<path>/<session>.jsonl``, and their subagents' files.

A session is a trace: session, turns, model calls, tool calls. What is held is what is still open: the last turn and
the last call of each conversation, tools without a result, and the ids of recent lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.claude_code.parts import Call, Tool, Turn
from receiver.sources.claude_code.records import Record, is_interruption, prompt_of, read_record
from receiver.sources.claude_code.spans import (
    agent_span_id,
    call_unit,
    root_span_id,
    session_unit,
    tool_unit,
    turn_unit,
)
from receiver.sources.contents import messages as contents

_CONVERSATIONS = 256
_RECENT = 4_096
_EVENT_CHARACTERS = 4_000
_TURN_ENDS = "turn_duration"
_UNREMARKABLE = frozenset({_TURN_ENDS, "local_command", "stop_hook_summary", "informational", "away_summary"})


@dataclass(slots=True)
class _Conversation:
    """The main conversation of a session, or a subagent's."""

    root: bytes
    """The span that its turns hang under."""
    last_ns: int = 0
    turn: Turn | None = None
    call: Call | None = None

    @property
    def parent(self) -> bytes:
        """Return the span that calls and tools hang under now."""
        return self.turn.span_id if self.turn else self.root

    @property
    def prompt_id(self) -> str:
        """Return the id of the prompt that is being answered."""
        return self.turn.prompt.text("promptId") if self.turn else ""


class ClaudeCodeParser:
    """Implements ``receiver.sources.source.Parser``."""

    def __init__(self) -> None:
        """Know nothing of any session."""
        self._conversations: dict[tuple[str, str], _Conversation] = {}
        self._tools: dict[str, Tool] = {}
        self._sessions: dict[str, None] = {}
        self._rooted: set[str] = set()
        self._forked_from = ""
        self._chains: dict[str, str] = {}  # line of a subagent without id → the line that began it
        self._given_up: dict[str, None] = {}  # what went out unfinished: the rest of it comes too late

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met."""
        return list(self._sessions)

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units that a line completes."""
        record = read_record(document)
        return [] if record is None else list(self._take(record))

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        """Return what is open, if nobody writes any more; every line may change it otherwise."""
        if not finished:
            return
        for conversation in self._conversations.values():
            if conversation.call:
                _remember(self._given_up, conversation.call.identity)
            yield from _closed(conversation)
        if not settled:
            return
        for tool in self._tools.values():
            _remember(self._given_up, tool.identity)
            yield tool_unit(tool, None, {}, end_ns=tool.start_ns)
        self._tools.clear()

    def _take(self, record: Record) -> Iterator[ImportUnit]:
        self._sessions.setdefault(record.session)
        if record.session != record.own_session:
            self._forked_from = record.session
        if record.session not in self._rooted and not record.sidechain:
            self._rooted.add(record.session)
            own = record.session == record.own_session
            yield session_unit(record, forked_from=self._forked_from if own else "")
        conversation, evicted = self._conversation(record)
        yield from evicted
        if record.kind == "assistant":
            yield from self._answer(conversation, record)
        elif record.kind == "user":
            yield from self._user(conversation, record)
        elif record.kind == "system":
            yield from self._system(conversation, record)
        elif conversation.turn and not conversation.turn.sent:
            _note_attachment(conversation.turn, record)
        conversation.last_ns = record.time_ns
        if conversation.turn:
            conversation.turn.end_ns = max(conversation.turn.end_ns, record.time_ns)

    def _conversation(self, record: Record) -> tuple[_Conversation, list[ImportUnit]]:
        key = (record.session, self._chain(record))
        found = self._conversations.pop(key, None)
        evicted: list[ImportUnit] = []
        if found is None:
            found = _Conversation(self._root(record))
            if len(self._conversations) >= _CONVERSATIONS:
                oldest = next(iter(self._conversations))
                evicted += _closed(self._conversations.pop(oldest))
        self._conversations[key] = found  # the last one used stands last
        return found, evicted

    def _chain(self, record: Record) -> str:
        """Return what tells the conversations of one session apart; empty for the main one."""
        if not record.sidechain:
            return ""
        if record.agent:
            return record.agent
        begun = self._chains.get(record.parent, record.uuid)
        _remember(self._chains, record.uuid, begun)
        return begun

    def _root(self, record: Record) -> bytes:
        if record.agent:
            return agent_span_id(record.agent)
        if record.sidechain:  # before subagents had ids: the prompt tells which call started it
            text = "\n".join(str(block.get("text", "")) for block in record.blocks)
            for tool in self._tools.values():
                if isinstance(tool.arguments, dict) and tool.arguments.get("prompt") == text:
                    return tool.span_id
        return root_span_id(record.session)

    def _answer(self, conversation: _Conversation, record: Record) -> Iterator[ImportUnit]:
        message = record.message
        if message.get("model") == "<synthetic>" and record.data.get("isApiErrorMessage") is not True:
            return  # a line that Claude Code wrote in the model's place; nothing was called
        named = message.get("id")
        identity = named if isinstance(named, str) and named else record.uuid
        call = conversation.call
        if call is None or call.identity != identity:
            yield from _closed_call(conversation)
            if identity in self._given_up:
                for block in record.blocks:
                    self._asked(conversation, record, block)
                return
            call = conversation.call = Call(
                identity=identity,
                first=record,
                start_ns=conversation.last_ns or record.time_ns,
                end_ns=record.time_ns,
                parent_span_id=conversation.parent,
                prompt_id=conversation.prompt_id,
            )
        if record.uuid in call.uuids:
            return
        call.uuids.add(record.uuid)
        call.last, call.end_ns = record, max(call.end_ns, record.time_ns)
        call.blocks += record.blocks
        if turn := conversation.turn:
            turn.answered = True
            failed = record.data.get("isApiErrorMessage") is True
            turn.error = "\n".join(str(b.get("text", "")) for b in record.blocks)[:1_000] if failed else ""
        for block in record.blocks:
            self._asked(conversation, record, block)

    def _asked(self, conversation: _Conversation, record: Record, block: dict[str, Any]) -> None:
        identity = block.get("id")
        if block.get("type") != "tool_use" or not isinstance(identity, str) or identity in self._given_up:
            return
        name = block.get("name")
        self._tools[identity] = Tool(
            identity=identity,
            name=name if isinstance(name, str) else "",
            arguments=block.get("input"),
            record=record,
            start_ns=record.time_ns,
            parent_span_id=conversation.parent,
            prompt_id=conversation.prompt_id,
        )

    def _user(self, conversation: _Conversation, record: Record) -> Iterator[ImportUnit]:
        for block in record.blocks:
            if block.get("type") == "tool_result":
                yield from self._result(conversation, record, block)
        prompt = prompt_of(record)
        if prompt is not None:
            yield from _closed(conversation)
            text, command = prompt
            conversation.turn = Turn(
                prompt=record,
                text=text,
                start_ns=record.time_ns,
                end_ns=record.time_ns,
                command=command,
                parent_span_id=conversation.root,
            )
        elif (turn := conversation.turn) and not turn.sent:
            if is_interruption(record):
                turn.note("interrupted", record.time_ns, {"otlp_receiver.source.by": "user"})
            elif record.data.get("isCompactSummary") is True:
                summary, left_out = contents.cut("\n".join(str(b.get("text", "")) for b in record.blocks))
                turn.note(
                    "compaction.summary", record.time_ns, {"summary": summary, "left_out": left_out or None}
                )

    def _result(
        self, conversation: _Conversation, record: Record, block: dict[str, Any]
    ) -> Iterator[ImportUnit]:
        identity = block.get("tool_use_id")
        if not isinstance(identity, str) or identity in self._given_up:
            return
        tool = self._tools.pop(identity, None)
        if tool is None:  # the line that asked for it is damaged
            tool = Tool(
                identity=identity,
                name="",
                arguments=None,
                record=record,
                start_ns=record.time_ns,
                parent_span_id=conversation.parent,
                prompt_id=conversation.prompt_id,
            )
        yield tool_unit(tool, record, block, end_ns=record.time_ns)

    def _system(self, conversation: _Conversation, record: Record) -> Iterator[ImportUnit]:
        subtype = record.text("subtype")
        turn = conversation.turn
        if turn and not turn.sent and subtype and subtype not in _UNREMARKABLE:
            turn.note(subtype, record.time_ns, _remark(record))
        if subtype == _TURN_ENDS:
            if turn and not turn.sent:
                turn.end_ns = max(turn.end_ns, record.time_ns)
                took = record.data.get("durationMs")
                turn.duration_ms = took if type(took) is int else None
            yield from _closed(conversation)


def _closed(conversation: _Conversation) -> Iterator[ImportUnit]:
    """Yield the last call and the turn, if they are not out already; what follows still hangs under that turn."""
    yield from _closed_call(conversation)
    turn = conversation.turn
    if turn and not turn.sent and (turn.answered or not turn.command):
        turn.sent = True
        yield turn_unit(turn)


def _closed_call(conversation: _Conversation) -> Iterator[ImportUnit]:
    if call := conversation.call:
        conversation.call = None
        yield call_unit(call)


def _remark(record: Record) -> dict[str, AttributeInput]:
    """Return what a line of Claude Code's own says, as attributes of an event."""
    said: dict[str, AttributeInput] = {}
    for key in ("content", "error", "compactMetadata", "retryAttempt", "maxRetries", "retryInMs", "level"):
        if (value := record.data.get(key)) not in (None, ""):
            plain = isinstance(value, int) and not isinstance(value, bool)
            said[key] = value if plain else contents.as_text(value)[:_EVENT_CHARACTERS]
    return said


def _note_attachment(turn: Turn, record: Record) -> None:
    attached = record.data.get("attachment")
    if isinstance(attached, dict) and attached.get("type") == "queued_command":
        text = contents.as_text(attached.get("prompt") or "")[:_EVENT_CHARACTERS]
        turn.note("queued_prompt", record.time_ns, {"prompt": text})


def _remember(known: dict[str, Any], identity: str, value: object = None) -> None:
    known[identity] = value
    if len(known) > _RECENT:
        known.pop(next(iter(known)))
