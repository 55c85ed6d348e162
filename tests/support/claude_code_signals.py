"""One session of Claude Code as it sends it and as its transcript says it: made up, but true to the documented form.

Source: https://code.claude.com/docs/en/monitoring-usage. Two turns. The first asks the main model (call A), which starts a
subagent (call B, another model) with the tool Agent, and answers (C); meanwhile a small model finds a title (D), which no
transcript holds. In the second the request fails once and is tried again (E), the tool Bash fails, and the model
answers (F). Costs are those of the packaged price table, so that reported and estimated amounts can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

SESSION_ID = "b3a1f0de-5c1d-4c9e-9a63-0d5f6f1f2a10"
FIRST_PROMPT = "Why does the checkout test fail?"
SECOND_PROMPT = "Run it again with a clean cache"
T0 = 1_790_000_000_000_000_000
OPUS = "claude-opus-4-5-20251101"
SONNET = "claude-sonnet-4-5-20250929"
HAIKU = "claude-haiku-4-5-20251001"

_MS = 1_000_000
_RESOURCE = {"service.name": "claude-code", "service.version": "2.1.128", "os.type": "linux"}
_SUBAGENT = "a7f31c9"
_PROMPTS = ("5b0f6c1e-0001-4000-8000-000000000001", "5b0f6c1e-0002-4000-8000-000000000002")
_MESSAGES = ("9c2d1a00-0001-4000-8000-00000000000a", "9c2d1a00-0002-4000-8000-00000000000b")
_TRACES = (bytes.fromhex("a1" * 16), bytes.fromhex("a2" * 16))
_TITLE_TRACE = bytes.fromhex("a3" * 16)


@dataclass(frozen=True)
class ModelCall:
    """One request to the API, in the terms of its usage block."""

    letter: str
    turn: int
    model: str
    start_ms: int
    duration_ms: int
    first_token_ms: int
    input: int
    output: int
    cache_read: int
    cache_creation: int
    cost_usd: float
    attempt: int = 1

    @property
    def request_id(self) -> str:
        """Return the API's id of the request that succeeded."""
        return f"req_011CU{self.letter}"

    @property
    def start_ns(self) -> int:
        """Return the Unix time."""
        return T0 + self.start_ms * _MS

    @property
    def end_ns(self) -> int:
        """Return the Unix time."""
        return self.start_ns + self.duration_ms * _MS


CALLS = (
    ModelCall("A", 0, OPUS, 120, 4200, 900, 12, 340, 0, 15_000, 0.10231),
    ModelCall("D", 0, HAIKU, 150, 700, 210, 410, 24, 0, 0, 0.00053),
    ModelCall("B", 0, SONNET, 4600, 3100, 800, 8, 220, 4_000, 2_000, 0.012024),
    ModelCall("C", 0, OPUS, 8200, 2500, 650, 6, 180, 15_000, 700, 0.016405),
    ModelCall("E", 1, OPUS, 60_100, 6300, 4100, 9, 150, 15_700, 900, 0.01727, attempt=2),
    ModelCall("F", 1, OPUS, 68_000, 1900, 500, 5, 95, 16_600, 120, 0.01145),
)
"""In the order in which they began."""


def traces_request() -> ExportTraceServiceRequest:
    """Return the spans of beta tracing."""
    call = {each.letter: each for each in CALLS}
    spans = [
        _interaction(0, 0, 10_800),
        _llm_request(1, call["A"], parent=10),
        _tool(21, 0, parent=10, name="Agent", tool_use="toolu_agent", start=4500, end=8000),
        _tool_execution(22, 0, parent=21, start=4520, end=7990),
        _llm_request(2, call["B"], parent=22, agent_id=_SUBAGENT),
        _llm_request(3, call["C"], parent=10),
        _llm_request(4, call["D"], parent=0, trace=_TITLE_TRACE),
        _interaction(1, 60_000, 70_000),
        _llm_request(5, call["E"], parent=11),
        _tool(23, 1, parent=11, name="Bash", tool_use="toolu_bash", start=66_500, end=67_800),
        _blocked_on_user(25, 1, parent=23, start=66_510, end=66_900),
        _tool_execution(24, 1, parent=23, start=66_900, end=67_790, error="ShellError"),
        _llm_request(6, call["F"], parent=11),
    ]
    scope = InstrumentationScope(name="com.anthropic.claude_code.tracing", version="1.0.0")
    envelope = ResourceSpans(
        resource=Resource(attributes=key_values(_RESOURCE)),
        scope_spans=[ScopeSpans(scope=scope, spans=spans)],
    )
    return ExportTraceServiceRequest(resource_spans=[envelope])


def logs_request() -> ExportLogsServiceRequest:
    """Return the log events, each of them once."""
    events: list[tuple[int, str, int, dict[str, Any]]] = []
    for turn, (text, message) in enumerate(zip((FIRST_PROMPT, SECOND_PROMPT), _MESSAGES, strict=True)):
        said = {"prompt": "<REDACTED>", "prompt_length": len(text), "message.uuid": message}
        events.append((turn * 60_000, "user_prompt", turn, said))
    for call in CALLS:
        told = {
            **_usage(call),
            "model": call.model,
            "duration_ms": call.duration_ms,
            "cost_usd": call.cost_usd,
        }
        ids = {"request_id": call.request_id, "client_request_id": _client_id(call, call.attempt)}
        events.append((call.start_ms + call.duration_ms, "api_request", call.turn, {**told, **ids}))
    failed: dict[str, Any] = {
        "model": OPUS,
        "error": "529 overloaded_error",
        "status_code": "529",
        "duration_ms": 1200,
        "attempt": 1,
        "request_id": "req_011CUE1",
        "client_request_id": _client_id(CALLS[4], 1),
    }
    events.append((61_300, "api_error", 1, failed))
    for time, turn, name, tool_use, error in (
        (8000, 0, "Agent", "toolu_agent", ""),
        (67_800, 1, "Bash", "toolu_bash", "ShellError"),
    ):
        result: dict[str, Any] = {
            "tool_name": name,
            "tool_use_id": tool_use,
            "success": "false" if error else "true",
        }
        result |= {"duration_ms": 890 if error else 3470}
        events.append((time, "tool_result", turn, {**result, **({"error_type": error} if error else {})}))
    records = [
        LogRecord(
            time_unix_nano=T0 + time * _MS,
            observed_time_unix_nano=T0 + time * _MS,
            body=any_value(f"claude_code.{name}"),
            attributes=key_values(
                {
                    "session.id": SESSION_ID,
                    "event.name": name,
                    "event.timestamp": _iso(time),
                    "event.sequence": number,
                    "prompt.id": _PROMPTS[turn],
                    **attributes,
                }
            ),
        )
        for number, (time, name, turn, attributes) in enumerate(sorted(events, key=lambda each: each[:2]))
    ]
    scope = InstrumentationScope(name="com.anthropic.claude_code.events", version="2.1.128")
    envelope = ResourceLogs(
        resource=Resource(attributes=key_values(_RESOURCE)),
        scope_logs=[ScopeLogs(scope=scope, log_records=records)],
    )
    return ExportLogsServiceRequest(resource_logs=[envelope])


def metrics_request() -> ExportMetricsServiceRequest:
    """Return both exports of delta metrics: the first minute, with turn 1, and the second, with turn 2."""
    tokens: list[NumberDataPoint] = []
    costs: list[NumberDataPoint] = []
    sources = {"B": "subagent", "D": "auxiliary"}
    for turn in (0, 1):
        series: dict[tuple[str, str], list[ModelCall]] = {}
        for call in CALLS:
            if call.turn == turn:
                series.setdefault((call.model, sources.get(call.letter, "main")), []).append(call)
        for (model, source), calls in series.items():
            shared = {"session.id": SESSION_ID, "model": model, "query_source": source}
            place: dict[str, Any] = {
                "start_time_unix_nano": T0 + turn * 60_000 * _MS,
                "time_unix_nano": T0 + (turn + 1) * 60_000 * _MS,
            }
            for kind, field in (
                ("input", "input"),
                ("output", "output"),
                ("cacheRead", "cache_read"),
                ("cacheCreation", "cache_creation"),
            ):
                count = sum(getattr(call, field) for call in calls)
                if count:
                    point = NumberDataPoint(
                        attributes=key_values({**shared, "type": kind}), as_double=count, **place
                    )
                    tokens.append(point)
            cost = sum(call.cost_usd for call in calls)
            costs.append(NumberDataPoint(attributes=key_values(shared), as_double=cost, **place))
    scope = InstrumentationScope(name="com.anthropic.claude_code", version="2.1.128")
    metrics = [
        Metric(name=name, unit=unit, sum=_delta(points))
        for name, unit, points in (
            ("claude_code.token.usage", "tokens", tokens),
            ("claude_code.cost.usage", "USD", costs),
        )
    ]
    envelope = ResourceMetrics(
        resource=Resource(attributes=key_values(_RESOURCE)),
        scope_metrics=[ScopeMetrics(scope=scope, metrics=metrics)],
    )
    return ExportMetricsServiceRequest(resource_metrics=[envelope])


def transcript() -> list[str]:
    """Return the lines of ``~/.claude/projects/…/SESSION_ID.jsonl``; it holds no cost and not the title's call."""
    call = {each.letter: each for each in CALLS}
    agent_use = {
        "type": "tool_use",
        "id": "toolu_agent",
        "name": "Agent",
        "input": {"prompt": "Read the test"},
    }
    bash_use = {"type": "tool_use", "id": "toolu_bash", "name": "Bash", "input": {"command": "make test"}}
    side = {"isSidechain": True, "agentId": _SUBAGENT}
    lines: list[dict[str, Any]] = [
        _user(_MESSAGES[0], 0, 0, FIRST_PROMPT),
        _assistant(call["A"], "a1", {"type": "text", "text": "I let somebody read it."}, stop=None),
        _assistant(call["A"], "a2", agent_use, stop="tool_use"),
        {**_user("side-1", 4550, 0, "Read the test"), **side},
        {**_assistant(call["B"], "b1", {"type": "text", "text": "It needs Redis."}, stop="end_turn"), **side},
        _result("r1", 8000, 0, "toolu_agent", "It needs Redis.", extra={"agentId": _SUBAGENT}),
        _assistant(call["C"], "c1", {"type": "text", "text": "Redis is missing."}, stop="end_turn"),
        _user(_MESSAGES[1], 60_000, 1, SECOND_PROMPT),
        _assistant(call["E"], "e1", bash_use, stop="tool_use"),
        _result("r2", 67_800, 1, "toolu_bash", "exit code 2", failed=True),
        _assistant(call["F"], "f1", {"type": "text", "text": "It still fails."}, stop="end_turn"),
    ]
    parent = None
    for line in lines:
        line["parentUuid"] = parent
        parent = line["uuid"]
    return [json.dumps(line) for line in lines]


def any_value(value: bool | float | str | list[str]) -> AnyValue:
    """Return a value as OTLP writes it."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))
    return AnyValue(string_value=value)


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Return attributes as OTLP writes them; those that are None are left out."""
    return [
        KeyValue(key=key, value=any_value(value)) for key, value in attributes.items() if value is not None
    ]


def _usage(call: ModelCall) -> dict[str, int]:
    return {
        "input_tokens": call.input,
        "output_tokens": call.output,
        "cache_read_tokens": call.cache_read,
        "cache_creation_tokens": call.cache_creation,
    }


def _client_id(call: ModelCall, attempt: int) -> str:
    return f"c11e4700-000{attempt}-4000-8000-00000000000{call.letter.lower()}"


def _span(
    name: str,
    number: int,
    attributes: Mapping[str, Any],
    *,
    turn: int,
    parent: int,
    start: int,
    end: int,
    **fields: Any,
) -> Span:
    kind = name.removeprefix("claude_code.")
    return Span(
        trace_id=fields.pop("trace", _TRACES[turn]),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=T0 + start * _MS,
        end_time_unix_nano=T0 + end * _MS,
        attributes=key_values({"session.id": SESSION_ID, "span.type": kind, **attributes}),
        **fields,
    )


def _interaction(turn: int, start: int, end: int) -> Span:
    attributes = {
        "user_prompt": "<REDACTED>",
        "user_prompt_length": len((FIRST_PROMPT, SECOND_PROMPT)[turn]),
        "interaction.sequence": turn + 1,
        "interaction.duration_ms": end - start,
    }
    return _span("claude_code.interaction", 10 + turn, attributes, turn=turn, parent=0, start=start, end=end)


def _llm_request(
    number: int, call: ModelCall, *, parent: int, agent_id: str | None = None, trace: bytes | None = None
) -> Span:
    attributes = {
        "model": call.model,
        "gen_ai.system": "anthropic",
        "gen_ai.request.model": call.model,
        "agent_id": agent_id,
        "duration_ms": call.duration_ms,
        "ttft_ms": call.first_token_ms,
        **_usage(call),
        "request_id": call.request_id,
        "gen_ai.response.id": call.request_id,
        "client_request_id": _client_id(call, call.attempt),
        "attempt": call.attempt,
        "success": True,
        "stop_reason": "end_turn",
        "gen_ai.response.finish_reasons": ["end_turn"],
    }
    attempts = [
        Span.Event(
            name="gen_ai.request.attempt",
            time_unix_nano=call.start_ns + attempt * _MS,
            attributes=key_values({"attempt": attempt, "client_request_id": _client_id(call, attempt)}),
        )
        for attempt in range(1, call.attempt + 1)
    ]
    end = call.start_ms + call.duration_ms
    fields: dict[str, Any] = {"events": attempts, **({"trace": trace} if trace else {})}
    place = {"turn": call.turn, "parent": parent, "start": call.start_ms, "end": end}
    return _span("claude_code.llm_request", number, attributes, **place, **fields)


def _tool(number: int, turn: int, *, parent: int, name: str, tool_use: str, start: int, end: int) -> Span:
    attributes = {
        "tool_name": name,
        "tool_use_id": tool_use,
        "gen_ai.tool.call.id": tool_use,
        "duration_ms": end - start,
    }
    return _span("claude_code.tool", number, attributes, turn=turn, parent=parent, start=start, end=end)


def _tool_execution(number: int, turn: int, *, parent: int, start: int, end: int, error: str = "") -> Span:
    attributes = {"duration_ms": end - start, "success": not error, "error": error or None}
    status = Status(code=Status.STATUS_CODE_ERROR, message=error) if error else Status()
    place = {"turn": turn, "parent": parent, "start": start, "end": end}
    return _span("claude_code.tool.execution", number, attributes, **place, status=status)


def _blocked_on_user(number: int, turn: int, *, parent: int, start: int, end: int) -> Span:
    attributes = {"duration_ms": end - start, "decision": "accept", "source": "user_temporary"}
    place = {"turn": turn, "parent": parent, "start": start, "end": end}
    return _span("claude_code.tool.blocked_on_user", number, attributes, **place)


def _delta(points: Sequence[NumberDataPoint]) -> Sum:
    temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    return Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=True)


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(T0 // 1_000_000_000 + milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def _line(uuid: str, milliseconds: int, kind: str, message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": uuid,
        "sessionId": SESSION_ID,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/user/shop",
        "version": "2.1.128",
        "gitBranch": "main",
        "timestamp": _iso(milliseconds),
        "message": dict(message),
    }


def _user(uuid: str, milliseconds: int, turn: int, text: str) -> dict[str, Any]:
    line = _line(uuid, milliseconds, "user", {"role": "user", "content": text})
    return {**line, "promptId": _PROMPTS[turn]}


def _assistant(call: ModelCall, uuid: str, block: Mapping[str, Any], *, stop: str | None) -> dict[str, Any]:
    message = {
        "id": f"msg_01{call.letter}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [block],
        "stop_reason": stop,
        "usage": {
            "input_tokens": call.input,
            "output_tokens": call.output,
            "cache_read_input_tokens": call.cache_read,
            "cache_creation_input_tokens": call.cache_creation,
        },
    }
    line = _line(uuid, call.start_ms + call.duration_ms, "assistant", message)
    return {**line, "requestId": call.request_id}


def _result(
    uuid: str,
    milliseconds: int,
    turn: int,
    tool_use: str,
    text: str,
    *,
    extra: Mapping[str, Any] | None = None,
    failed: bool = False,
) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": tool_use, "content": text, "is_error": failed}
    line = _line(uuid, milliseconds, "user", {"role": "user", "content": [block]})
    return {**line, "promptId": _PROMPTS[turn], "toolUseResult": dict(extra) if extra else text}
