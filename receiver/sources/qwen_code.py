"""Qwen Code's session files: ``~/.qwen/projects/<project>/chats/<session>.jsonl``, one record a line.

Source: https://github.com/QwenLM/qwen-code, packages/core/src/services/chatRecordingService.ts (ChatRecord), and
packages/core/src/telemetry/types.ts for the events that stand in ``ui_telemetry`` records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.contents.document import instant, mapping, nanoseconds, sequence, text, whole
from receiver.sources.contents.google import google_parts, google_usage
from receiver.sources.contents.messages import Part, as_text
from receiver.sources.contents.open_tools import OpenTools
from receiver.sources.contents.session_trace import SessionTrace, Turn, Usage, put_answer
from receiver.sources.detect import lines_of, without_mark
from receiver.sources.documents import parsed_object
from receiver.sources.outfiles.parser import QWEN_CODE, recognises_outfile
from receiver.sources.outfiles.turns import PROVIDERS, usage_of
from receiver.sources.source import MalformedDocumentError


def recognises_qwen_outfile(head: bytes) -> bool:
    """Return True if a file that begins so is the agent's telemetry outfile."""
    return recognises_outfile(head, QWEN_CODE)


def recognises_qwen_session(head: bytes) -> bool:
    """Return True if a file that begins so holds chat records of Qwen Code: they have Google's parts."""
    records = [line for line in lines_of(without_mark(head)) if "sessionId" in line and "timestamp" in line]
    return any(
        isinstance(mapping(record.get("message")).get("parts"), list)
        or (record.get("type") == "system" and "systemPayload" in record)
        for record in records
    )


@dataclass(frozen=True, slots=True)
class _Record:
    """A record whose fields have been looked at: what follows cannot fail."""

    data: dict[str, Any]
    session_id: str
    uuid: str
    kind: str
    subtype: str
    time_ns: int
    parts: list[Part]


@dataclass(slots=True)
class _Conversation:
    """A session, or one of its subagents."""

    trace: SessionTrace
    chain: str
    turn: Turn | None = None
    last_ns: int = 0
    event: dict[str, Any] | None = None  # the api_response that stands before the answer it is about
    last_usage: tuple[int | None, int | None] | None = None


class QwenSessionParser:
    """Implements ``receiver.sources.source.Parser``.

    What is held is the open turn of each conversation and the tools that were called and have not answered.
    """

    def __init__(self) -> None:
        """Know no session."""
        self._sessions: dict[str, None] = {}
        self._conversations: dict[tuple[str, str], _Conversation] = {}
        self._tools = OpenTools()

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met."""
        return list(self._sessions)

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units that a record completes."""
        record = _read(document)
        # A branched session repeats its parent's records; the work was done, and is told, there.
        return [] if mapping(record.data.get("forkedFrom")) else list(self._take(record))

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        """Return open turns and tools, if nobody writes any more."""
        if not finished:
            return
        if settled:
            yield from self._tools.unanswered()
        for conversation in self._conversations.values():
            if not settled:
                conversation.event = None  # its answer may be the next line
            yield from self._closed(conversation)

    def _take(self, record: _Record) -> Iterator[ImportUnit]:
        conversation = self._conversation(record)
        if not conversation.chain:
            yield from conversation.trace.begin(record.time_ns, _place(record))
        if record.kind == "user":
            yield from self._user(conversation, record)
        elif record.kind == "assistant":
            yield from self._answer(conversation, record)
        elif record.kind == "tool_result":
            yield from self._result(conversation, record)
        else:
            yield from self._system(conversation, record)
        conversation.last_ns = record.time_ns
        if conversation.turn and record.kind != "system":
            conversation.turn.reach(record.time_ns)

    def _conversation(self, record: _Record) -> _Conversation:
        chain = text(record.data.get("agentId")) if record.data.get("isSidechain") is True else ""
        self._sessions.setdefault(record.session_id)
        key = (record.session_id, chain)
        found = self._conversations.get(key)
        if found is None:
            trace = SessionTrace(
                QWEN_CODE.format,
                record.session_id,
                agent=text(record.data.get("agentName")) or chain or QWEN_CODE.service,
                resource={
                    "service.name": QWEN_CODE.service,
                    "service.version": text(record.data.get("version")) or None,
                },
            )
            found = self._conversations[key] = _Conversation(trace, chain, last_ns=record.time_ns)
        return found

    def _user(self, conversation: _Conversation, record: _Record) -> Iterator[ImportUnit]:
        said = "\n".join(part["content"] for part in record.parts if part["type"] == "text")
        turn = conversation.turn
        if turn and record.subtype == "mid_turn_user_message":
            turn.note("user_message", record.time_ns, {"prompt": said})
            return
        yield from self._closed(conversation)
        shown = text(mapping(record.data.get("systemPayload")).get("displayText"))
        conversation.turn = Turn(
            identity=f"{conversation.chain}\0{record.uuid}",
            start_ns=record.time_ns,
            end_ns=record.time_ns,
            prompt=shown or said,
            prompt_id=text(record.data.get("promptId")) or text(record.data.get("daemonPromptId")),
            attributes={
                "message.uuid": record.uuid,
                "prompt.source": record.subtype or None,
                "gen_ai.agent.id": conversation.chain or None,
                **({"otlp_receiver.source.kind": "agent"} if conversation.chain else {}),
            },
        )

    def _answer(self, conversation: _Conversation, record: _Record) -> Iterator[ImportUnit]:
        turn = conversation.turn
        usage = _usage(record)
        event = conversation.event
        conversation.event = None
        if event and (usage.input, usage.output) not in {_counts(event), (None, None)}:
            yield self._lone(conversation, event)
            event = None
        conversation.last_usage = (
            (usage.input, usage.output) if event is None and usage.input is not None else None
        )
        for part in record.parts:
            if part["type"] == "tool_call":
                yield from self._tools.call(
                    conversation.trace,
                    turn,
                    text(part["id"]),
                    name=part["name"],
                    arguments=part["arguments"],
                    time_ns=record.time_ns,
                    attributes={"message.uuid": record.uuid},
                )
        attributes: dict[str, AttributeInput] = {
            "message.uuid": record.uuid,
            "gen_ai.agent.id": conversation.chain or None,
            **(usage_of(event, whole_output=True) if event and usage.input is None else usage).attributes(),
        }
        start = conversation.last_ns
        model = text(record.data.get("model"))
        if event:
            attributes |= _told(event)
            end = instant(event.get("event.timestamp")) or record.time_ns
            start = max(0, end - nanoseconds(event.get("duration_ms")))
            model = model or text(event.get("model"))
            if turn and not turn.prompt_id:
                turn.prompt_id = text(event.get("prompt_id"))
        put_answer(attributes, record.parts)
        yield conversation.trace.call(
            record.uuid,
            turn,
            model=model,
            start_ns=min(start, record.time_ns),
            end_ns=record.time_ns,
            attributes=attributes,
        )

    def _result(self, conversation: _Conversation, record: _Record) -> Iterator[ImportUnit]:
        given = mapping(record.data.get("toolCallResult"))
        status = text(given.get("status"))
        for part in record.parts:
            if part["type"] != "tool_call_response":
                continue
            error = ""
            if status not in {"", "success"}:
                error = text(mapping(given.get("error")).get("message")) or as_text(part["result"])
            yield self._tools.answer(
                conversation.trace,
                conversation.turn,
                text(part["id"]) or text(given.get("callId")),
                result=part["result"],
                time_ns=record.time_ns,
                error=error,
                error_type=(text(given.get("errorType")) or status) if error else "",
            )

    def _system(self, conversation: _Conversation, record: _Record) -> Iterator[ImportUnit]:
        payload = mapping(record.data.get("systemPayload"))
        event = mapping(payload.get("uiEvent"))
        name = text(event.get("event.name")).removeprefix(QWEN_CODE.prefix)
        if record.subtype == "chat_compression" and conversation.turn:
            conversation.turn.note("compaction", record.time_ns, {})
        # What a subagent asked stands in the subagent's own file.
        if record.subtype != "ui_telemetry" or text(event.get("subagent_name")):
            return
        if name == "api_response":
            if conversation.event:
                yield self._lone(conversation, conversation.event)
            conversation.event = None
            if conversation.last_usage is not None and conversation.last_usage == _counts(event):
                conversation.last_usage = None  # it is about the answer before it
            else:
                conversation.event = {"record": record.uuid, "record_ns": record.time_ns, **event}
        elif name == "api_error":
            yield self._lone(
                conversation, {"record": record.uuid, "record_ns": record.time_ns, **event}, failed=True
            )

    def _lone(
        self, conversation: _Conversation, event: dict[str, Any], *, failed: bool = False
    ) -> ImportUnit:
        """Return a call that left an event and no answer: of Qwen Code's own, or one that failed."""
        end = instant(event.get("event.timestamp")) or event["record_ns"]
        return conversation.trace.call(
            event["record"],
            conversation.turn,
            model=text(event.get("model")),
            start_ns=max(0, end - nanoseconds(event.get("duration_ms"))),
            end_ns=end,
            attributes={
                **({} if failed else usage_of(event, whole_output=True).attributes()),
                **_told(event),
            },
            error=(text(event.get("error_message")) or "the model call failed") if failed else "",
            error_type=text(event.get("error_type")) if failed else "",
        )

    def _closed(self, conversation: _Conversation) -> Iterator[ImportUnit]:
        if conversation.event:
            yield self._lone(conversation, conversation.event)
            conversation.event = None
        yield from conversation.trace.over(conversation.turn)


def _read(document: bytes) -> _Record:
    data = parsed_object(document)
    session_id, time_ns = text(data.get("sessionId")), instant(data.get("timestamp"))
    kind = text(data.get("type"))
    if not session_id or time_ns is None or not kind:
        raise MalformedDocumentError(
            "a chat record without sessionId, timestamp or type", hint="the other records are read"
        )
    parts = google_parts(sequence(mapping(data.get("message")).get("parts")))
    return _Record(
        data,
        session_id,
        text(data.get("uuid")) or str(time_ns),
        kind,
        text(data.get("subtype")),
        time_ns,
        parts,
    )


def _usage(record: _Record) -> Usage:
    given = mapping(record.data.get("usageMetadata"))
    return google_usage(
        prompt=given.get("promptTokenCount"),
        candidates=given.get("candidatesTokenCount"),
        cached=given.get("cachedContentTokenCount"),
        thoughts=given.get("thoughtsTokenCount"),
        tools=given.get("toolUsePromptTokenCount"),
        total=given.get("totalTokenCount"),
        whole_output=True,
    )


def _counts(event: dict[str, Any]) -> tuple[int | None, int | None]:
    usage = usage_of(event, whole_output=True)
    return usage.input, usage.output


def _told(event: dict[str, Any]) -> dict[str, AttributeInput]:
    return {
        "gen_ai.response.id": text(event.get("response_id")) or None,
        "gen_ai.provider.name": PROVIDERS.get(text(event.get("auth_type"))),
        "http.response.status_code": whole(event.get("status_code")),
        "prompt.id": text(event.get("prompt_id")) or None,
    }


def _place(record: _Record) -> dict[str, AttributeInput]:
    return {
        "code.workspace": text(record.data.get("cwd")) or None,
        "vcs.ref.head.name": text(record.data.get("gitBranch")) or None,
    }
