"""Files as agents and Collectors leave them, built line by line, and what units say."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.access import Given
from receiver.ports import ImportOutcome, ImportUnit, Outcome
from receiver.signals import Signal
from receiver.sources.source import Parser

SESSION = "0b6e0a3c-6c58-4c65-a1b7-64f2d2f3f8aa"
T0 = 1_785_000_000_000
"""Milliseconds: where sessions begin."""


@dataclass
class PlainSpan:
    """A span as the tests look at it."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    start_ns: int
    end_ns: int
    status: int
    message: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any]

    @property
    def kind(self) -> str:
        """Return what the span is: session, turn, agent, call, tool."""
        return str(self.attributes.get("otlp_receiver.source.kind"))


def spans_of(units: Iterable[ImportUnit]) -> list[PlainSpan]:
    """Return the spans of units, in their order."""
    found = []
    for unit in units:
        assert unit.signal is Signal.TRACES
        request = ExportTraceServiceRequest.FromString(unit.payload)
        for group in request.resource_spans:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_spans:
                found += [
                    PlainSpan(
                        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                        span.start_time_unix_nano, span.end_time_unix_nano, span.status.code,
                        span.status.message, _plain(span.attributes),
                        [(e.name, _plain(e.attributes)) for e in span.events], resource,
                    )
                    for span in scope.spans
                ]  # fmt: skip
    return found


def _plain(pairs: Any) -> dict[str, Any]:
    def value(any_value: Any) -> Any:
        which = any_value.WhichOneof("value")
        if which == "array_value":
            return [value(each) for each in any_value.array_value.values]
        return getattr(any_value, which) if which else None

    return {pair.key: value(pair.value) for pair in pairs}


@dataclass
class ClaudeTranscript:
    """A Claude Code transcript in the making; every method appends lines and lets time pass."""

    session: str = SESSION
    version: str = "2.1.220"
    agent: str = ""
    now_ms: int = T0
    lines: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0
    _parent: str | None = None

    @property
    def data(self) -> bytes:
        """Return the file."""
        return b"".join(line(each) for each in self.lines)

    def envelope(self, kind: str, **more: Any) -> dict[str, Any]:
        """Return a line with what every line of the conversation has, appended to the file."""
        self._count += 1
        self.now_ms += 1_000
        record: dict[str, Any] = {
            "parentUuid": self._parent,
            "isSidechain": bool(self.agent),
            "userType": "external",
            "entrypoint": "cli",
            "cwd": "/projects/shop",
            "sessionId": self.session,
            "version": self.version,
            "gitBranch": "main",
            **({"agentId": self.agent} if self.agent else {}),
            "type": kind,
            "uuid": self.uuid(),
            "timestamp": stamp(self.now_ms),
            **more,
        }
        self._parent = record["uuid"]
        self.lines.append(record)
        return record

    def uuid(self) -> str:
        """Return the id of the line that was counted last."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.session}/{self.agent}/{self._count}"))

    def metadata(self) -> None:
        """Append lines that are about the session and not of it."""
        self.lines += [
            {"type": "mode", "mode": "default", "sessionId": self.session},
            {"type": "permission-mode", "permissionMode": "acceptEdits", "sessionId": self.session},
            {
                "type": "file-history-snapshot", "messageId": "m-1", "isSnapshotUpdate": False,
                "snapshot": {"messageId": "m-1", "trackedFileBackups": {}, "timestamp": stamp(self.now_ms)},
            },
            {
                "type": "queue-operation", "operation": "enqueue", "timestamp": stamp(self.now_ms),
                "sessionId": self.session, "content": "typed ahead",
            },
            {"type": "ai-title", "aiTitle": "Fix the cart", "sessionId": self.session},
            {"type": "a-kind-of-next-year", "sessionId": self.session},
        ]  # fmt: skip

    def prompt(self, text: str, prompt_id: str = "", **more: Any) -> dict[str, Any]:
        """Append what a user typed."""
        extra = {"promptId": prompt_id, "promptSource": "typed"} if prompt_id else {}
        return self.envelope("user", message={"role": "user", "content": text}, **extra, **more)

    def answer(
        self,
        message_id: str,
        *blocks: Mapping[str, Any],
        usage: Mapping[str, Any] | None = None,
        stop: str | None = "end_turn",
        model: str = "claude-opus-4-5-20251101",
        request_id: str = "",
        **more: Any,
    ) -> list[dict[str, Any]]:
        """Append an answer: a line for each of its blocks, the usage repeated, the output growing."""
        whole = dict(usage or USAGE)
        written = []
        for number, block in enumerate(blocks, 1):
            last = number == len(blocks)
            said = {**whole, "output_tokens": whole["output_tokens"] if last else number}
            message = {
                "model": model, "id": message_id, "type": "message", "role": "assistant", "content": [dict(block)],
                "stop_reason": stop if last else None, "stop_sequence": None, "usage": said,
            }  # fmt: skip
            written.append(
                self.envelope(
                    "assistant", message=message, requestId=request_id or f"req_{message_id}", **more
                )
            )
        return written

    def result(
        self, tool_id: str, content: Any, *, is_error: bool | None = None, **more: Any
    ) -> dict[str, Any]:
        """Append a tool's result."""
        block = {"type": "tool_result", "tool_use_id": tool_id, "content": content}
        if is_error is not None:
            block["is_error"] = is_error
        return self.envelope("user", message={"role": "user", "content": [block]}, **more)

    def system(self, subtype: str, **more: Any) -> dict[str, Any]:
        """Append a word of Claude Code's own."""
        return self.envelope("system", subtype=subtype, level="info", **more)


USAGE: Mapping[str, Any] = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 1_500,
    "cache_read_input_tokens": 20_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1_000},
    "output_tokens": 345,
    "server_tool_use": {"web_search_requests": 0},
    "service_tier": "standard",
}


def said(text: str) -> dict[str, Any]:
    """Return a block of text."""
    return {"type": "text", "text": text}


def thought(text: str) -> dict[str, Any]:
    """Return a block of thinking."""
    return {"type": "thinking", "thinking": text, "signature": "EqQB"}


def wanted(tool_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Return a block that asks for a tool."""
    return {"type": "tool_use", "id": tool_id, "name": name, "input": arguments}


def usual_session() -> ClaudeTranscript:
    """Return a session of two turns: tools that work and fail, a command, a compaction, an interruption."""
    made = ClaudeTranscript()
    made.metadata()
    made.prompt("Why does the cart lose items?", "p-1", permissionMode="acceptEdits")
    made.envelope("attachment", attachment={"type": "skill_listing", "content": "…"})
    made.answer(
        "msg_01", thought("Look at the code first."), said("I look."),
        wanted("toolu_1", "Read", file_path="/projects/shop/cart.py"),
        wanted("toolu_2", "Bash", command="pytest -x"), stop="tool_use",
    )  # fmt: skip
    made.result("toolu_1", "def add(item): …", toolUseResult={"type": "text", "file": {"numLines": 1}})
    made.result("toolu_2", "Exit code 1\nE assert 2 == 3", is_error=True, toolUseResult="Error: Exit code 1")
    made.answer("msg_02", said("It is the cache."))
    made.system("turn_duration", durationMs=6_000, isMeta=False)
    made.prompt("<command-name>/model</command-name><command-args></command-args>")
    made.envelope(
        "user", message={"role": "user", "content": "<local-command-stdout>Set model</local-command-stdout>"}
    )
    made.prompt("Fix it", "p-2")
    made.answer(
        "msg_03",
        wanted("toolu_3", "Edit", file_path="cart.py", old_string="a", new_string="b"),
        stop="tool_use",
    )
    made.system("compact_boundary", content="Conversation compacted", compactMetadata={"trigger": "auto"})
    made.envelope("user", isCompactSummary=True, message={"role": "user", "content": "So far: …"})
    made.result("toolu_3", "The user doesn't want to proceed with this tool use.", is_error=True)
    made.envelope(
        "user", message={"role": "user", "content": [said("[Request interrupted by user for tool use]")]}
    )
    made.prompt("Go on", "p-3")
    made.answer("msg_04", said("Done."))
    return made


def line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def stamp(milliseconds: int) -> str:
    """Return a time as JavaScript writes it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def units_of(parser: Parser, documents: Iterable[bytes], *, finished: bool = True) -> list[ImportUnit]:
    """Return everything that a parser makes of documents."""
    units = [unit for document in documents for unit in parser.feed(document)]
    return [*units, *parser.flush(finished=finished)]


def otlp_line(signal: Signal, number: int, **attributes: str) -> bytes:
    """Return a line of the Collector's file exporter with one record."""
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    time = str((T0 + number) * 1_000_000)
    if signal is Signal.TRACES:
        span = {
            "traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}", "name": f"step {number}", "kind": 2,
            "startTimeUnixNano": time, "endTimeUnixNano": time, "attributes": pairs, "status": {},
        }  # fmt: skip
        whole = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [span]}]}]}
    elif signal is Signal.LOGS:
        log = {
            "timeUnixNano": time,
            "severityNumber": 9,
            "body": {"stringValue": f"line {number}"},
            "attributes": pairs,
        }
        whole = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": [log]}]}]}
    else:
        point = {"timeUnixNano": time, "asInt": str(number), "attributes": pairs}
        metric = {
            "name": "orders",
            "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
        }
        whole = {
            "resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {}, "metrics": [metric]}]}]
        }
    return json.dumps(whole, separators=(",", ":")).encode() + b"\n"


def trace_dict(number: int, **more: Any) -> dict[str, Any]:
    """Return a trace in the documented form."""
    return {
        "trace_id": f"trace-{number}",
        "spans": [
            {
                "name": f"claude.step {number}",
                "start_time": stamp(T0 + number),
                "end_time": stamp(T0 + number + 250),
                "attributes": {"service.name": "claude-integration", "http.status_code": 200},
            }
        ],
        **more,
    }


class KeptUnits:
    """An ``Access`` that keeps units by their keys, as the spool does, and answers no question."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.units: dict[bytes, ImportUnit] = {}
        self.calls = 0

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Refuse."""
        raise NotImplementedError(question)

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Refuse."""
        raise NotImplementedError(signal)

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Keep what is new."""
        self.calls += 1
        stored = []
        for unit in units:
            assert len(unit.key) == 16
            stored.append(unit.key not in self.units)
            self.units.setdefault(unit.key, unit)
        return ImportOutcome(stored)

    async def flush(self, *, embeddings: bool = False) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
