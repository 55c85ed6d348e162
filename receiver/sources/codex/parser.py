"""Codex rollouts: ``~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl``.

Turns and tools are made here, model calls in ``codex_calls``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from receiver.ports import ImportUnit
from receiver.sources.codex.calls import ModelCalls
from receiver.sources.codex.items import (
    Line,
    input_of,
    is_context,
    is_rollout,
    parts_of,
    read_line,
    result_of,
    tool_call_of,
)
from receiver.sources.contents.document import mapping, sequence, text, whole
from receiver.sources.contents.messages import (
    as_text,
    tool_call_part,
)
from receiver.sources.contents.open_tools import OpenTools
from receiver.sources.contents.session_trace import SessionTrace, Turn
from receiver.sources.detect import lines_of, without_mark
from receiver.sources.source import MalformedDocumentError

FORMAT = "codex"
SERVICE = "codex-cli"
_MICROSECOND = 1_000


def recognises_rollout(head: bytes) -> bool:
    """Return True if a file that begins so is a rollout: its first line is one of today's or of the first form."""
    plain = without_mark(head).lstrip()
    lines = lines_of(plain)
    if lines:
        return is_rollout(lines[0])
    # A first line with all instructions in it may be longer than the head.
    return plain.startswith(b'{"timestamp":"') and b'"type":"session_meta","payload":{' in plain[:256]


class CodexParser:
    """Implements ``receiver.sources.source.Parser``. What is held is the last call, the open turn and open tools."""

    def __init__(self) -> None:
        """Know no session."""
        self._trace: SessionTrace | None = None
        self._provider = ""
        self._model_calls: ModelCalls | None = None
        self._turn: Turn | None = None
        self._turns = 0
        self._told = False  # the file says itself when a turn begins and ends
        self._tools = OpenTools()
        self._failed: dict[str, str] = {}
        self._last_ns = 0
        self._timeless = False
        self._history_ends = 0

    @property
    def session_ids(self) -> list[str]:
        """Return the session that the file is of."""
        return [self._trace.session_id] if self._trace else []

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the units that a line completes."""
        line = read_line(document)
        if line is None:
            return []
        if self._trace is None and line.kind != "session_meta":
            raise MalformedDocumentError(
                "a line before the one that names the session", hint="it is read once that line is there"
            )
        if line.kind == "session_meta" and not text(line.payload.get("id")):
            raise MalformedDocumentError("a session without an id", hint="without it nothing can be read")
        return list(self._take(line))

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        """Return the last call, open tools and the open turn, if nobody writes any more."""
        if finished and self._trace:
            if settled or not self._calls.waits_for_tokens:
                yield from self._close_call()
            if settled:
                yield from self._tools.unanswered()
            yield from self._trace.over(self._turn)

    def _take(self, line: Line) -> Iterator[ImportUnit]:
        now = self._now(line)
        if line.kind == "session_meta":
            yield from self._begin(line.payload, now)
        elif line.ordinal is not None and line.ordinal < self._history_ends:
            pass  # a subagent's file begins with its parent's history
        elif line.kind == "turn_context":
            self._calls.model = text(line.payload.get("model")) or self._calls.model
        elif line.kind == "response_item":
            yield from self._item(line.payload, now)
        elif line.kind == "event_msg":
            yield from self._event(line.payload, now)
        elif line.kind == "token_usage_record":
            yield from self._tokens(
                line.payload.get("usage"),
                line.payload.get("thread_token_usage"),
                now,
                text(line.payload.get("response_id")),
            )
        elif line.kind == "compacted" and self._turn:
            self._turn.note("compaction", now, {"summary": text(line.payload.get("message")) or None})
        self._last_ns = max(self._last_ns, now)

    def _now(self, line: Line) -> int:
        if line.time_ns is not None:
            return line.time_ns
        # The first form has no times: microseconds keep the order of its lines.
        self._timeless = True
        return self._last_ns + _MICROSECOND

    def _begin(self, meta: dict[str, Any], now: int) -> Iterator[ImportUnit]:
        if self._trace:
            return  # a fork repeats its parent's lines, the first one too
        self._trace = SessionTrace(
            FORMAT,
            text(meta.get("id")),
            agent=SERVICE,
            resource={"service.name": SERVICE, "service.version": text(meta.get("cli_version")) or None},
        )
        self._provider = text(meta.get("model_provider"))
        self._model_calls = ModelCalls(self._trace, self._provider)
        self._history_ends = whole(meta.get("subagent_history_start_ordinal")) or 0
        git = mapping(meta.get("git"))
        source = meta.get("source")
        yield from self._trace.begin(
            now,
            {
                "gen_ai.provider.name": self._provider or None,
                "code.workspace": text(meta.get("cwd")) or None,
                "vcs.ref.head.name": text(git.get("branch")) or None,
                "vcs.ref.head.revision": text(git.get("commit_hash")) or None,
                "vcs.repository.url.full": text(git.get("repository_url")) or None,
                "codex.originator": text(meta.get("originator")) or None,
                "codex.source": None if source is None else as_text(source),
                "otlp_receiver.source.forked_from": text(meta.get("forked_from_id")) or None,
                "otlp_receiver.source.parent_session": text(meta.get("parent_thread_id")) or None,
            },
        )

    def _item(self, item: dict[str, Any], now: int) -> Iterator[ImportUnit]:
        kind = text(item.get("type"))
        if kind.endswith("_output"):
            yield from self._answered(item, now)
        elif kind in {"message", "agent_message"} and item.get("role", "assistant") != "assistant":
            yield from self._said(item, now)
        elif (tool := tool_call_of(item)) is not None:
            yield from self._calls.open(self._turn, now, self._last_ns)
            call_id = tool.call_id or self._calls.place
            self._calls.extend([tool_call_part(tool.name, None, call_id)], now)
            yield from self._tools.call(
                self._session,
                self._turn,
                call_id,
                name=tool.name,
                arguments=tool.arguments,
                time_ns=now,
                attributes={"gen_ai.provider.name": self._provider or None},
            )
            status = text(item.get("status"))
            if kind in {"web_search_call", "image_generation_call"} and status in {"", "completed", "failed"}:
                # The provider's own tools: their answers are not in the file.
                yield self._tools.answer(
                    self._session,
                    self._turn,
                    call_id,
                    result=None,
                    time_ns=now,
                    error_type="failed" if status == "failed" else "",
                )
        elif parts := parts_of(item):
            yield from self._calls.open(self._turn, now, self._last_ns)
            self._calls.extend(parts, now)

    def _said(self, item: dict[str, Any], now: int) -> Iterator[ImportUnit]:
        said = input_of(item)
        self._calls.spoken_to()
        if said is None:
            return
        words = "\n".join(str(part.get("content", "")) for part in said["parts"])
        if is_context(said):
            self._calls.context(said)
        elif self._told and self._turn and not self._turn.sent and not self._turn.prompt:
            self._turn.prompt = words
        elif self._timeless and not self._told:
            yield from self._begin_turn(now, words)

    def _answered(self, item: dict[str, Any], now: int) -> Iterator[ImportUnit]:
        self._calls.spoken_to()
        self._calls.given(now)
        call_id = text(item.get("call_id"))
        result, code = result_of(item)
        error = self._failed.pop(call_id, "")
        if not error and code:
            error = f"exit code {code}"
        yield self._tools.answer(
            self._session,
            self._turn,
            call_id,
            result=result,
            time_ns=now,
            attributes={"process.exit.code": code},
            error=error,
            error_type="tool_error" if error else "",
        )
        if self._turn:
            self._turn.reach(now)

    def _event(self, event: dict[str, Any], now: int) -> Iterator[ImportUnit]:
        match text(event.get("type")):
            case "task_started" | "turn_started":
                self._told = True
                yield from self._begin_turn(now, "", text(event.get("turn_id")))
            case "user_message":
                yield from self._prompt(text(event.get("message")), now)
            case "item_completed" if mapping(event.get("item")).get("type") == "UserMessage":
                parts = parts_of(mapping(event.get("item")))
                yield from self._prompt("\n".join(str(part.get("content", "")) for part in parts), now)
            case "token_count":
                tokens = mapping(event.get("info"))
                yield from self._tokens(tokens.get("last_token_usage"), tokens.get("total_token_usage"), now)
            case "task_complete" | "turn_complete":
                failure = mapping(event.get("error"))
                info = failure.get("codex_error_info")
                yield from self._end_turn(
                    now, text(failure.get("message")), "" if info is None else as_text(info)
                )
            case "turn_aborted":
                reason = text(event.get("reason")) or "aborted"
                yield from self._end_turn(now, f"the turn was aborted: {reason}", reason)
            case "error" if self._turn:
                self._turn.error = text(event.get("message")) or "error"
                self._turn.note("error", now, {"message": self._turn.error})
            case "mcp_tool_call_end" | "patch_apply_end":
                self._fate(event)
            case "thread_rolled_back" if self._turn:
                self._turn.note("thread_rolled_back", now, {"turns": whole(event.get("num_turns"))})
            case _:
                pass

    def _prompt(self, said: str, now: int) -> Iterator[ImportUnit]:
        turn = self._turn
        if not self._told or turn is None or turn.sent:
            yield from self._begin_turn(now, said)
        elif not turn.prompt:
            turn.prompt = said
        elif turn.prompt != said:
            turn.note("user_message", now, {"prompt": said})

    def _begin_turn(self, now: int, prompt: str, turn_id: str = "") -> Iterator[ImportUnit]:
        yield from self._close_call()
        yield from self._tools.unanswered()
        yield from self._session.over(self._turn)
        self._turns += 1
        self._calls.given(now)
        self._turn = Turn(
            identity=turn_id or str(self._turns),
            start_ns=now,
            end_ns=now,
            prompt=prompt,
            prompt_id=turn_id,
            attributes={"gen_ai.provider.name": self._provider or None},
        )

    def _end_turn(self, now: int, error: str, error_type: str) -> Iterator[ImportUnit]:
        yield from self._close_call()
        if self._turn and not self._turn.sent:
            self._turn.reach(now)
            if error:
                self._turn.error, self._turn.error_type = error, error_type
        yield from self._tools.unanswered()
        yield from self._session.over(self._turn)

    def _tokens(self, last: object, total: object, now: int, response_id: str = "") -> Iterator[ImportUnit]:
        yield from self._calls.tokens(last, total, now, response_id, turn=self._turn, last_ns=self._last_ns)

    def _close_call(self) -> Iterator[ImportUnit]:
        yield from self._calls.close(self._turn, self._last_ns)

    def _fate(self, event: dict[str, Any]) -> None:
        """Remember why a tool failed: its answer comes next and does not say so."""
        call_id = text(event.get("call_id"))
        if not self._tools.is_open(self._session, call_id):
            return
        result = mapping(event.get("result"))
        if event.get("success") is False:
            self._failed[call_id] = text(event.get("stderr")) or "the patch was not applied"
        elif "Err" in result:
            self._failed[call_id] = as_text(result["Err"])
        elif (
            mapping(result.get("Ok")).get("isError") is True
            or mapping(result.get("Ok")).get("is_error") is True
        ):
            content = sequence(mapping(result.get("Ok")).get("content"))
            self._failed[call_id] = (
                "\n".join(text(mapping(each).get("text")) for each in content) or "tool error"
            )

    @property
    def _calls(self) -> ModelCalls:
        if self._model_calls is None:
            raise MalformedDocumentError("a line before the one that names the session")
        return self._model_calls

    @property
    def _session(self) -> SessionTrace:
        if self._trace is None:
            raise MalformedDocumentError("a line before the one that names the session")
        return self._trace
