"""Gemini CLI's chat recordings: ``~/.gemini/tmp/<project>/chats/session-*.jsonl``, and ``.json`` before.

A line is a message, and comes again whole when it grows; ``$set`` changes what is known of the session, ``$rewindTo``
takes messages back. The older file is one JSON object with all messages.
Source: https://github.com/google-gemini/gemini-cli, packages/core/src/services/{chatRecordingTypes,
chatRecordingService}.ts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.contents.document import instant, mapping, sequence, text
from receiver.sources.contents.google import google_parts, google_usage
from receiver.sources.contents.messages import Part, as_text, reasoning_part, tool_call_part
from receiver.sources.contents.open_tools import OpenTools
from receiver.sources.contents.session_trace import SessionTrace, Turn, put_answer
from receiver.sources.documents import parsed_object
from receiver.sources.outfiles.parser import GEMINI_CLI, recognises_outfile
from receiver.sources.source import MalformedDocumentError

_PROJECT = re.compile(rb'"projectHash"\s*:\s*"')
_SESSION = re.compile(rb'"sessionId"\s*:\s*"')
_OVER = frozenset({"success", "error", "cancelled"})
"""States of a tool that has answered."""
_LATER = 4_096
"""Messages that are remembered, so that one that comes again late is not taken for a new one."""


def recognises_gemini_outfile(head: bytes) -> bool:
    """Return True if a file that begins so is the agent's telemetry outfile."""
    return recognises_outfile(head, GEMINI_CLI)


def recognises_gemini_session(head: bytes) -> bool:
    """Return True if a file that begins so is a chat recording: its first object names session and project."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    return start[:1] == b"{" and bool(_PROJECT.search(start)) and bool(_SESSION.search(start))


@dataclass(frozen=True, slots=True)
class _Message:
    """A message whose fields have been looked at: what follows cannot fail."""

    data: dict[str, Any]
    identity: str
    kind: str
    time_ns: int


class GeminiSessionParser:
    """Implements ``receiver.sources.source.Parser``.

    A message is complete when another one follows: what is held is the last one, and the open turn.
    """

    def __init__(self) -> None:
        """Know no session."""
        self._sessions: dict[str, None] = {}
        self._trace: SessionTrace | None = None
        self._session: dict[str, AttributeInput] = {}
        self._last: _Message | None = None
        self._turn: Turn | None = None
        self._tools = OpenTools()
        self._past: dict[str, None] = {}
        self._last_ns = 0

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met."""
        return list(self._sessions)

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units that a line completes."""
        data = parsed_object(document)
        if "$set" in data or "$rewindTo" in data:
            return []  # what was said stays said; copies of messages that were masked since are no news
        if "id" in data:
            message = _message(data)
            if self._trace is None:
                raise MalformedDocumentError(
                    "a message before the line that names the session",
                    hint="it is read once that line is there",
                )
            return list(self._take(message))
        session_id = text(data.get("sessionId"))
        if not session_id:
            raise MalformedDocumentError("neither a session nor a message", hint="the other records are read")
        messages = [_message(each) for each in sequence(data.get("messages")) if mapping(each).get("id")]
        return list(self._begin(session_id, data, messages))

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        """Return the last message and the open turn, if nobody writes any more."""
        if finished and not settled and self._last and _may_grow(self._last.data):
            yield from self._trace.over(self._turn) if self._trace else ()
        elif finished:
            yield from self._closed()

    def _begin(self, session_id: str, data: dict[str, Any], messages: list[_Message]) -> Iterator[ImportUnit]:
        if self._trace is None or self._trace.session_id != session_id:
            yield from self._closed()
            self._turn = None
            self._sessions.setdefault(session_id)
            self._trace = SessionTrace(
                GEMINI_CLI.format,
                session_id,
                agent=GEMINI_CLI.service,
                resource={"service.name": GEMINI_CLI.service},
            )
            started = instant(data.get("startTime"))
            first = started if started is not None else (messages[0].time_ns if messages else None)
            self._session = {
                "gemini_cli.project_hash": text(data.get("projectHash")) or None,
                "gemini_cli.session.kind": text(data.get("kind")) or None,
            }
            if first is not None:
                self._last_ns = first
                yield from self._trace.begin(first, self._session)
        for message in messages:
            yield from self._take(message)

    def _take(self, message: _Message) -> Iterator[ImportUnit]:
        if self._last and self._last.identity == message.identity:
            self._last = message
            return
        if message.identity in self._past:
            return
        yield from self._complete()
        self._last = message
        self._past[message.identity] = None
        if len(self._past) > _LATER:
            self._past.pop(next(iter(self._past)))

    def _complete(self) -> Iterator[ImportUnit]:
        message, self._last = self._last, None
        trace = self._trace
        if message is None or trace is None:
            return
        yield from trace.begin(message.time_ns, self._session)
        if message.kind == "user":
            yield from self._user(trace, message)
        elif message.kind == "gemini":
            yield from self._answer(trace, message)
        elif self._turn:
            said = _said(message.data.get("content"))
            self._turn.note(message.kind, message.time_ns, {"message": said})
            if message.kind == "error":
                self._turn.error = said or "error"
        self._last_ns = max(self._last_ns, message.time_ns)
        if self._turn:
            self._turn.reach(message.time_ns)

    def _user(self, trace: SessionTrace, message: _Message) -> Iterator[ImportUnit]:
        shown = message.data.get("displayContent") or message.data.get("content")
        if not _said(shown) and any(
            part["type"] == "tool_call_response" for part in google_parts(message.data.get("content"))
        ):
            return
        yield from trace.over(self._turn)
        self._turn = Turn(
            identity=message.identity,
            start_ns=message.time_ns,
            end_ns=message.time_ns,
            prompt=_said(shown),
            attributes={"message.uuid": message.identity, "gen_ai.provider.name": GEMINI_CLI.provider},
        )

    def _answer(self, trace: SessionTrace, message: _Message) -> Iterator[ImportUnit]:
        data = message.data
        parts: list[Part] = [
            reasoning_part(
                "\n".join(filter(None, (text(each.get("subject")), text(each.get("description")))))
            )
            for each in map(mapping, sequence(data.get("thoughts")))
        ]
        parts += [part for part in google_parts(data.get("content")) if part["type"] != "tool_call"]
        tools = [mapping(each) for each in sequence(data.get("toolCalls"))]
        parts += [tool_call_part(text(tool.get("name")), None, text(tool.get("id"))) for tool in tools]
        tokens = mapping(data.get("tokens"))
        usage = google_usage(
            prompt=tokens.get("input"),
            candidates=tokens.get("output"),
            cached=tokens.get("cached"),
            thoughts=tokens.get("thoughts"),
            tools=tokens.get("tool"),
            total=tokens.get("total"),
            whole_output=False,
        )
        attributes: dict[str, AttributeInput] = {
            "message.uuid": message.identity,
            "gen_ai.provider.name": GEMINI_CLI.provider,
            **usage.attributes(),
        }
        put_answer(attributes, parts)
        yield trace.call(
            message.identity,
            self._turn,
            model=text(data.get("model")),
            start_ns=min(self._last_ns or message.time_ns, message.time_ns),
            end_ns=message.time_ns,
            attributes=attributes,
        )
        for place, tool in enumerate(tools):
            yield from self._tool(trace, message, tool, place)

    def _tool(
        self, trace: SessionTrace, message: _Message, tool: dict[str, Any], place: int
    ) -> Iterator[ImportUnit]:
        call_id = text(tool.get("id")) or f"{message.identity}:{place}"
        status = text(tool.get("status"))
        end = instant(tool.get("timestamp")) or message.time_ns
        yield from self._tools.call(
            trace,
            self._turn,
            call_id,
            name=text(tool.get("name")),
            arguments=tool.get("args"),
            time_ns=min(message.time_ns, end),
            attributes={
                "gen_ai.provider.name": GEMINI_CLI.provider,
                "message.uuid": message.identity,
                "gen_ai.agent.id": text(tool.get("agentId")) or None,
            },
        )
        if status not in _OVER:
            yield from self._tools.unanswered(trace)
            return
        self._last_ns = max(self._last_ns, end)
        if self._turn:
            self._turn.reach(end)
        result = _result(tool)
        failed = status != "success"
        yield self._tools.answer(
            trace,
            self._turn,
            call_id,
            result=result,
            time_ns=end,
            error=as_text(result or tool.get("resultDisplay") or status) if failed else "",
            error_type=("tool_error" if status == "error" else status) if failed else "",
        )

    def _closed(self) -> Iterator[ImportUnit]:
        yield from self._complete()
        if self._trace:
            yield from self._trace.over(self._turn)


def _may_grow(data: dict[str, Any]) -> bool:
    """Return True for an answer whose tokens, or whose tools' answers, are not there yet."""
    tools = (mapping(each) for each in sequence(data.get("toolCalls")))
    unfinished = any(text(tool.get("status")) not in _OVER for tool in tools)
    return data.get("type") == "gemini" and (unfinished or ("tokens" in data and data["tokens"] is None))


def _message(data: dict[str, Any]) -> _Message:
    time_ns = instant(data.get("timestamp"))
    identity, kind = text(data.get("id")), text(data.get("type"))
    if not identity or not kind or time_ns is None:
        raise MalformedDocumentError(
            "a message without id, type or timestamp", hint="the other messages are read"
        )
    return _Message(data, identity, kind, time_ns)


def _said(content: object) -> str:
    return "\n".join(part["content"] for part in google_parts(content) if part["type"] == "text")


def _result(tool: dict[str, Any]) -> object:
    """Return what a tool answered: one answer as it is, several as a list."""
    parts = google_parts(tool.get("result"))
    found = [
        part["result"] if part["type"] == "tool_call_response" else part.get("content") for part in parts
    ]
    kept = [each for each in found if each is not None]
    if not kept:
        return None
    return kept[0] if len(kept) == 1 else kept
