"""The events of Qwen Code and Gemini CLI as a trace, for files that hold events and no spans.

Source: https://github.com/QwenLM/qwen-code and https://github.com/google-gemini/gemini-cli,
packages/core/src/telemetry/{types,loggers}.ts: user_prompt, api_request, api_response, api_error, tool_call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from receiver.otlp.encode_logs import LogDraft
from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.contents.document import maybe_json, nanoseconds, sequence, text, whole
from receiver.sources.contents.google import google_message, google_messages, google_usage
from receiver.sources.contents.messages import (
    REPEATED,
    Message,
    Part,
    SeenMessages,
    count_left_out,
    message,
    output_messages,
    put,
    put_messages,
    text_part,
)
from receiver.sources.contents.session_trace import SessionTrace, Turn, Usage

QUIET_NS = 60_000_000_000
"""Exporters write spans seconds after events: what is older than this by the file's own clock has none."""
_REQUESTS = 256
"""Requests without an answer that are remembered."""
_SESSIONS = 64
"""Sessions that are open at a time; the one that was quiet longest goes out whole."""
PROVIDERS = {
    "qwen-oauth": "qwen", "openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini",
    "gemini-api-key": "gcp.gemini", "oauth-personal": "gcp.gemini", "vertex-ai": "gcp.vertex_ai",
}  # fmt: skip


class _Session:
    """A session's trace while it is open."""

    def __init__(self, trace: SessionTrace) -> None:
        self.trace = trace
        self.turns: dict[str, Turn] = {}
        self.seen = SeenMessages()
        self.prompt_ns = 0


class Events:
    """Holds what events became until it is certain that no span says it. Threads: one at a time."""

    def __init__(
        self, format_name: str, service: str, prefix: str, *, provider: str, whole_output: bool
    ) -> None:
        """Know no session.

        Args:
            format_name: Of the agent; part of every id.
            service: The agent's name.
            prefix: What the events' names begin with.
            provider: Of the models, where events do not say it.
            whole_output: See :func:`receiver.sources.contents.google.google_usage`.
        """
        self._whole_output = whole_output
        self._format = format_name
        self._service = service
        self._prefix = prefix
        self._provider = provider
        self._sessions: dict[str, _Session] = {}
        self._requests: dict[tuple[str, str], tuple[list[Message], int]] = {}
        self._held: deque[tuple[int, ImportUnit]] = deque()
        self._now = 0
        self._spans = False

    def spans_exist(self) -> None:
        """Give up: the file says it with spans."""
        self._spans = True
        self._sessions.clear()
        self._requests.clear()
        self._held.clear()

    def take(self, log: LogDraft, resource: dict[str, AttributeInput]) -> None:
        """Take a log record; what is no event of a session is passed over."""
        name = log.event_name or text(log.attributes.get("event.name"))
        session_id = text(log.attributes.get("session.id"))
        if self._spans or not session_id or not name.startswith(self._prefix):
            return
        session = self._session(session_id, log.time_ns, resource)
        kind = name.removeprefix(self._prefix)
        if kind == "user_prompt":
            self._turn(session, log).prompt = text(log.attributes.get("prompt"))
            session.prompt_ns = max(session.prompt_ns, log.time_ns)
        elif kind == "api_request":
            self._request(session, log)
        elif kind in {"api_response", "api_error"}:
            self._call(session, log, failed=kind == "api_error")
        elif kind == "tool_call":
            self._tool(session, log)

    def past(self, time_ns: int) -> list[ImportUnit]:
        """Return what is certain, now that the file has come to a time (Unix nanoseconds)."""
        self._now = max(self._now, time_ns)
        before = self._now - QUIET_NS
        for session in self._sessions.values():
            over = [turn for turn in session.turns.values() if turn.end_ns < min(before, session.prompt_ns)]
            for turn in over:
                del session.turns[turn.identity]
                self._hold(turn.end_ns, [session.trace.turn(turn)])
        found = []
        while self._held and self._held[0][0] < before:
            found.append(self._held.popleft()[1])
        return found

    def rest(self) -> list[ImportUnit]:
        """Return everything: nothing comes any more."""
        found = [unit for _, unit in self._held]
        self._held.clear()
        for session in self._sessions.values():
            found += [session.trace.turn(turn) for turn in session.turns.values()]
            session.turns.clear()
        return found

    def _session(self, session_id: str, time_ns: int, resource: dict[str, AttributeInput]) -> _Session:
        found = self._sessions.pop(session_id, None)
        if found is None:
            trace = SessionTrace(
                self._format, session_id, agent=self._service, resource=resource, made_of="events"
            )
            found = _Session(trace)
            self._hold(time_ns, trace.begin(time_ns))
        self._sessions[session_id] = found  # the last one used stands last
        if len(self._sessions) > _SESSIONS:
            oldest = self._sessions.pop(next(iter(self._sessions)))
            self._hold(time_ns, [oldest.trace.turn(turn) for turn in oldest.turns.values()])
        return found

    def _hold(self, time_ns: int, units: list[ImportUnit]) -> None:
        self._held.extend((max(time_ns, self._now), unit) for unit in units)

    def _turn(self, session: _Session, log: LogDraft, start_ns: int | None = None) -> Turn:
        prompt_id = text(log.attributes.get("prompt_id"))
        identity = prompt_id or "none"
        start = log.time_ns if start_ns is None else start_ns
        turn = session.turns.get(identity)
        if turn is None:
            turn = Turn(identity=identity, start_ns=start, end_ns=start, prompt_id=prompt_id)
            session.turns[identity] = turn
        turn.reach(log.time_ns)
        return turn

    def _request(self, session: _Session, log: LogDraft) -> None:
        self._turn(session, log)
        contents = maybe_json(text(log.attributes.get("request_text")))
        key = (session.trace.session_id, text(log.attributes.get("prompt_id")))
        self._requests[key] = session.seen.new(google_messages(contents))
        if len(self._requests) > _REQUESTS:
            self._requests.pop(next(iter(self._requests)))

    def _call(self, session: _Session, log: LogDraft, *, failed: bool) -> None:
        given = log.attributes
        start = max(0, log.time_ns - nanoseconds(given.get("duration_ms")))
        turn = self._turn(session, log, start)
        said, repeated = self._requests.pop((session.trace.session_id, turn.prompt_id), ([], 0))
        provider = PROVIDERS.get(text(given.get("auth_type")), self._provider)
        attributes: dict[str, AttributeInput] = {
            "gen_ai.provider.name": provider or None,
            "gen_ai.response.id": text(given.get("response_id")) or None,
            "http.response.status_code": whole(given.get("status_code")),
            REPEATED: repeated or None,
        }
        if not failed:
            attributes |= usage_of(given, whole_output=self._whole_output).attributes()
        if agent := text(given.get("subagent_name")):
            attributes["gen_ai.agent.name"] = agent
        put_messages(attributes, "gen_ai.input.messages", said)
        if answered := _answer(text(given.get("response_text"))):
            spoken, left_out = output_messages([answered])
            attributes["gen_ai.output.messages"] = spoken
            count_left_out(attributes, left_out)
        error = (
            text(given.get("error_message")) or text(given.get("error.message")) or text(given.get("error"))
        )
        error_type = text(given.get("error_type")) or text(given.get("error.type"))
        unit = session.trace.call(
            f"{log.time_ns}\0{given.get('response_id')}\0{turn.prompt_id}",
            turn,
            model=text(given.get("model")),
            start_ns=start,
            end_ns=log.time_ns,
            attributes=attributes,
            error=(error or "the model call failed") if failed else "",
            error_type=error_type if failed else "",
        )
        self._hold(log.time_ns, [unit])

    def _tool(self, session: _Session, log: LogDraft) -> None:
        given = log.attributes
        start = max(0, log.time_ns - nanoseconds(given.get("duration_ms")))
        turn = self._turn(session, log, start)
        name = text(given.get("function_name"))
        attributes: dict[str, AttributeInput] = {
            "gen_ai.tool.type": "extension" if given.get("tool_type") == "mcp" else "function",
            "gen_ai.tool.call.id": text(given.get("call_id")) or text(given.get("tool_call_id")) or None,
            "mcp.server.name": text(given.get("mcp_server_name")) or None,
            "decision": text(given.get("decision")) or None,
        }
        put(attributes, "gen_ai.tool.call.arguments", _compact(given.get("function_args")))
        failed = given.get("success") is False
        error = text(given.get("error")) or text(given.get("error.message"))
        error_type = (
            text(given.get("error_type")) or text(given.get("error.type")) or text(given.get("status"))
        )
        unit = session.trace.tool(
            f"{log.time_ns}\0{name}\0{given.get('function_args')}",
            turn,
            tool_name=name,
            start_ns=start,
            end_ns=log.time_ns,
            attributes=attributes,
            error=error if failed else "",
            error_type=(error_type or "tool_error") if failed else "",
        )
        self._hold(log.time_ns, [unit])


def usage_of(event: Mapping[str, Any], *, whole_output: bool) -> Usage:
    """Return the tokens of an api_response event; see :func:`google_usage`."""
    return google_usage(
        prompt=event.get("input_token_count"),
        candidates=event.get("output_token_count"),
        cached=event.get("cached_content_token_count"),
        thoughts=event.get("thoughts_token_count"),
        tools=event.get("tool_token_count"),
        total=event.get("total_token_count"),
        whole_output=whole_output,
    )


def _answer(said: str) -> Message | None:
    """Return an answer's text as a message: plain text, or the JSON of one response or of all parts of a stream."""
    if not said:
        return None
    given = maybe_json(said)
    responses = [given] if isinstance(given, dict) else sequence(given)
    parts: list[Part] = []
    for response in responses:
        for candidate in sequence(response.get("candidates") if isinstance(response, dict) else None)[:1]:
            found = google_message(candidate.get("content") if isinstance(candidate, dict) else None)
            parts += found["parts"] if found else []
    return message("assistant", parts or [text_part(said)])


def _compact(arguments: AttributeInput) -> object:
    given = maybe_json(arguments) if isinstance(arguments, str) else None
    return arguments if given is None else given
