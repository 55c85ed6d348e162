"""What Qwen Code, Gemini CLI and Codex leave on disks, built from their formats; times are milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from receiver.ports import ImportUnit
from receiver.sources.source import Parser
from tests.support.session_files import stamp

T0 = 1_790_000_000_000
"""A time in 2026."""
SESSION = "3f0e9d0a-5b1c-4f7e-9a51-0c6f1f6f2a11"


def hr(milliseconds: int) -> list[int]:
    """Return a time as the JavaScript SDK holds it."""
    return [milliseconds // 1000, milliseconds % 1000 * 1_000_000]


def dump(record: object) -> bytes:
    """Return a record as the file exporters write it: an object that was met before becomes a text."""
    met: set[int] = set()

    def copied(value: Any) -> Any:
        if isinstance(value, dict | list):
            if id(value) in met:
                return "[Circular]"
            met.add(id(value))
        if isinstance(value, dict):
            return {key: copied(each) for key, each in value.items() if each is not None}
        return [copied(each) for each in value] if isinstance(value, list) else value

    return json.dumps(copied(record), indent=2).encode()


def resource(service: str, **more: Any) -> dict[str, Any]:
    """Return a resource of version 2 of the SDK: the first of two equal names counts."""
    pairs = [["service.name", service], ["service.version", "0.9.0"], *([k, v] for k, v in more.items())]
    return {
        "_rawAttributes": [*pairs, ["service.name", "unknown_service:node"], ["host.id", {}]],
        "_asyncAttributesPending": False,
    }


def js_span(
    number: int, *, service: str, name: str, attributes: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a span as version 2 of the SDK holds it, with the things around it that a dump shows too."""
    shared = resource(service)
    return {
        "_spanContext": {"traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}", "traceFlags": 1},
        "kind": 2,
        "parentSpanContext": {"traceId": f"{number + 1:032x}", "spanId": "00000000000000ff", "traceFlags": 1},
        "attributes": dict(attributes or {}),
        "links": [],
        "events": [],
        "startTime": hr(T0 + number),
        "resource": shared,
        "instrumentationScope": {"name": service, "version": "1.0", "schemaUrl": ""},
        "_droppedAttributesCount": 0,
        "name": name,
        "status": {"code": 0},
        "endTime": hr(T0 + number + 40),
        "_ended": True,
        "_duration": [0, 40_000_000],
        "_spanProcessor": {"_spanProcessors": [{"_resource": shared, "_finishedSpans": []}]},
        **more,
    }


def js_log(
    number: int, event: str, *, service: str, at: int | None = None, session: str = SESSION, **attributes: Any
) -> dict[str, Any]:
    """Return an event as a log record of the SDK."""
    time = T0 + number if at is None else at
    return {
        "hrTime": hr(time),
        "hrTimeObserved": hr(time),
        "spanContext": {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "traceFlags": 1},
        "resource": resource(service),
        "instrumentationScope": {"name": service},
        "attributes": {
            "session.id": session,
            "event.name": event,
            "event.timestamp": stamp(time),
            **attributes,
        },
        "_body": f"{event} happened",
        "totalAttributesCount": 3 + len(attributes),
        "_isReadonly": True,
        "_logRecordLimits": {"attributeCountLimit": 128, "attributeValueLengthLimit": None},
    }


def js_metrics(service: str, *, at: int = T0 + 10_000) -> dict[str, Any]:
    """Return one collection: its points share their end time, and the histogram's points their bounds."""
    end, bounds = hr(at), [0, 5, 10]

    def point(value: Any, **attributes: Any) -> dict[str, Any]:
        return {"attributes": attributes, "startTime": hr(T0), "endTime": end, "value": value}

    def spread(counts: list[int], total: float) -> dict[str, Any]:
        return {
            "min": 1, "max": 9, "sum": total, "count": sum(counts),
            "buckets": {"boundaries": bounds, "counts": counts},
        }  # fmt: skip

    def metric(name: str, kind: int, points: list[Any], value_type: int = 1, **more: Any) -> dict[str, Any]:
        descriptor = {"name": name, "description": f"about {name}", "unit": "1", "valueType": value_type}
        return {
            "descriptor": descriptor, "aggregationTemporality": 1, "dataPointType": kind, "dataPoints": points, **more
        }  # fmt: skip

    exponential = {
        "min": 1, "max": 4, "sum": 7.5, "count": 3, "scale": 1, "zeroCount": 0,
        "positive": {"offset": -1, "bucketCounts": [1, 2]}, "negative": {"offset": 0, "bucketCounts": []},
    }  # fmt: skip
    return {
        "resource": resource(service),
        "scopeMetrics": [
            {
                "scope": {"name": service, "version": "v1"},
                "metrics": [
                    metric("tokens", 3, [point(12, type="input"), point(34, type="output")], 0, isMonotonic=True),
                    metric("latency", 0, [point(spread([1, 2, 0, 1], 20.5), a="x"), point(spread([0, 1, 0, 0], 3), a="y")]),
                    metric("memory", 2, [point(1.5)]),
                    metric("sizes", 1, [point(exponential)]),
                ],
            }
        ],
    }  # fmt: skip


def contents(*texts: str) -> str:
    """Return a conversation as ``request_text`` holds it: user and model in turn."""
    roles = ("user", "model")
    return json.dumps([{"role": roles[n % 2], "parts": [{"text": said}]} for n, said in enumerate(texts)])


def qwen_chat() -> list[dict[str, Any]]:
    """Return a session of two turns: a tool that works, one that fails, a call that fails, a side question."""
    usage = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "cachedContentTokenCount": 60,
        "thoughtsTokenCount": 5,
    }
    done = {"promptTokenCount": 150, "candidatesTokenCount": 10, "totalTokenCount": 160}
    said = {
        "event.name": "qwen-code.api_response",
        "model": "qwen3-coder",
        "auth_type": "openai",
        "prompt_id": "p#1",
    }
    wanted = {"functionCall": {"id": "call_1", "name": "read_file", "args": {"path": "cart.py"}}}
    broken = {"functionCall": {"id": "call_2", "name": "run_shell_command", "args": {"command": "make"}}}
    read = {"functionResponse": {"id": "call_1", "name": "read_file", "response": {"output": "def add(): …"}}}
    failed = {
        "functionResponse": {"id": "call_2", "name": "run_shell_command", "response": {"error": "no make"}}
    }
    records: list[dict[str, Any]] = [
        {"type": "user", "promptId": "p#1", "message": _content("user", {"text": "Why is the cart empty?"})},
        _ui(3_000, **said, response_id="r-1", duration_ms=900, input_token_count=100, output_token_count=20),
        {
            "type": "assistant", "model": "qwen3-coder", "usageMetadata": usage,
            "message": _content("model", {"text": "Let me look.", "thought": True}, wanted, broken),
        },
        {
            "type": "tool_result", "message": _content("user", read),
            "toolCallResult": {"callId": "call_1", "status": "success"},
        },
        {
            "type": "tool_result", "message": _content("user", failed),
            "toolCallResult": {
                "callId": "call_2", "status": "error", "errorType": "execution_failed", "error": {"message": "no make"},
            },
        },
        _ui(
            6_000, **{**said, "event.name": "qwen-code.api_error"}, error_message="429 Too Many", error_type="RateLimit",
            duration_ms=100, status_code=429,
        ),
        _ui(7_000, **said, response_id="r-2", duration_ms=500, input_token_count=150, output_token_count=10),
        {
            "type": "assistant", "model": "qwen3-coder", "usageMetadata": done,
            "message": _content("model", {"text": "It is the cache."}),
        },
        _ui(8_000, **said, response_id="r-3", duration_ms=50, input_token_count=7, output_token_count=1),
        {"type": "user", "promptId": "p#2", "message": _content("user", {"text": "Thanks"})},
        {"type": "assistant", "model": "qwen3-coder", "message": _content("model", {"text": "Bye"})},
    ]  # fmt: skip
    return [_record(number, record) for number, record in enumerate(records)]


def gemini_chat() -> list[dict[str, Any]]:
    """Return a recording of two turns; a message grows line by line, one is an error, one is taken back."""
    tokens = {"input": 200, "output": 30, "cached": 80, "thoughts": 12, "tool": 0, "total": 242}
    tool = {
        "id": "t-1", "name": "list_directory", "args": {"path": "."}, "status": "success",
        "timestamp": stamp(T0 + 3_500), "displayName": "ReadFolder",
        "result": [{"functionResponse": {"id": "t-1", "name": "list_directory", "response": {"output": "a b c"}}}],
    }  # fmt: skip
    bad = {
        "id": "t-2", "name": "write_file", "args": {"path": "/"}, "status": "error", "timestamp": stamp(T0 + 3_600),
        "result": [{"functionResponse": {"id": "t-2", "name": "write_file", "response": {"error": "denied"}}}],
    }  # fmt: skip
    thought = {"subject": "Plan", "description": "list first", "timestamp": stamp(T0 + 1_500)}
    answer = {
        "id": "m-2",
        "timestamp": stamp(T0 + 2_000),
        "type": "gemini",
        "content": "I look.",
        "model": "gemini-3-pro",
    }
    return [
        {
            "sessionId": SESSION, "projectHash": "abc123", "startTime": stamp(T0), "lastUpdated": stamp(T0),
            "kind": "main",
        },
        {"id": "m-1", "timestamp": stamp(T0 + 1_000), "type": "user", "content": [{"text": "What is here?"}]},
        {"$set": {"lastUpdated": stamp(T0 + 1_000)}},
        {**answer, "thoughts": [thought], "tokens": None},
        {**answer, "thoughts": [thought], "tokens": tokens},
        {**answer, "thoughts": [thought], "tokens": tokens, "toolCalls": [tool, bad]},
        {"id": "m-3", "timestamp": stamp(T0 + 4_000), "type": "error", "content": "quota exceeded"},
        {"id": "m-4", "timestamp": stamp(T0 + 9_000), "type": "user", "content": "Again"},
        {"id": "m-5", "timestamp": stamp(T0 + 10_000), "type": "gemini", "content": "a b c", "tokens": tokens},
        {"$rewindTo": "m-4"},
    ]  # fmt: skip


def codex_rollout() -> list[dict[str, Any]]:
    """Return a rollout of two turns without words about their beginning; token counts come twice."""
    first = _tokens(1_000, 600, 50, 20)
    second = _tokens(1_400, 1_000, 30, 0)
    both = _tokens(2_400, 1_600, 80, 20)
    third = _tokens(1_500, 1_400, 5, 0)
    payloads: list[tuple[str, dict[str, Any]]] = [
        (
            "session_meta",
            {
                "id": SESSION, "timestamp": stamp(T0), "cwd": "/projects/shop", "originator": "codex_cli_rs",
                "cli_version": "0.46.0", "source": "cli", "model_provider": "openai",
                "git": {"branch": "main", "commit_hash": "abc"},
            },
        ),
        ("response_item", _said("user", "<environment_context>cwd</environment_context>")),
        ("response_item", _said("user", "Fix the cart")),
        ("event_msg", {"type": "user_message", "message": "Fix the cart", "kind": "plain"}),
        ("turn_context", {"cwd": "/projects/shop", "approval_policy": "never", "model": "gpt-5-codex", "summary": "auto"}),
        ("event_msg", {"type": "token_count", "info": None, "rate_limits": {}}),
        ("response_item", {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Tests first"}], "encrypted_content": "x"}),
        (
            "response_item",
            {"type": "function_call", "name": "shell", "arguments": '{"command":["pytest"]}', "call_id": "call_1"},
        ),
        ("event_msg", {"type": "token_count", "info": {"total_token_usage": first, "last_token_usage": first}}),
        (
            "response_item",
            {
                "type": "function_call_output", "call_id": "call_1",
                "output": '{"output":"1 failed","metadata":{"exit_code":1,"duration_seconds":0.4}}',
            },
        ),
        ("event_msg", {"type": "token_count", "info": {"total_token_usage": first, "last_token_usage": first}}),
        (
            "response_item",
            {"type": "custom_tool_call", "status": "completed", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin"},
        ),
        ("event_msg", {"type": "token_count", "info": {"total_token_usage": both, "last_token_usage": second}}),
        ("response_item", {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Exit code: 0\nSuccess"}),
        ("response_item", _said("assistant", "Done.")),
        (
            "event_msg",
            {"type": "token_count", "info": {"total_token_usage": _tokens(3_900, 3_000, 85, 20), "last_token_usage": third}},
        ),
        ("event_msg", {"type": "agent_message", "message": "Done."}),
        ("response_item", _said("user", "Thanks")),
        ("event_msg", {"type": "user_message", "message": "Thanks", "kind": "plain"}),
        ("compacted", {"message": "We fixed the cart."}),
        ("response_item", {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "carts"}}),
        ("event_msg", {"type": "turn_aborted", "reason": "interrupted"}),
    ]  # fmt: skip
    return [
        {"timestamp": stamp(T0 + 1_000 * n), "type": kind, "payload": payload}
        for n, (kind, payload) in enumerate(payloads)
    ]


def old_codex_rollout() -> list[dict[str, Any]]:
    """Return a rollout of the first form: items without envelope, time or tokens."""
    return [
        {"id": SESSION, "timestamp": stamp(T0), "instructions": None, "git": {"branch": "main"}},
        {"record_type": "state"},
        _said("user", "<environment_context>cwd</environment_context>"),
        _said("user", "List files"),
        {
            "type": "function_call",
            "id": "fc_1",
            "name": "shell",
            "arguments": '{"command":["ls"]}',
            "call_id": "c1",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "a b c"},
        _said("assistant", "a, b and c"),
    ]


def lines(records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Return records as lines without their ends."""
    return [json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() for record in records]


def read(parser: Parser, documents: Iterable[bytes]) -> list[ImportUnit]:
    """Return everything a parser makes of documents."""
    units = [unit for document in documents for unit in parser.feed(document)]
    return [*units, *parser.flush(finished=True)]


def _content(role: str, *parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def _record(number: int, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": f"u-{number}",
        "parentUuid": f"u-{number - 1}" if number else None,
        "sessionId": SESSION,
        "timestamp": stamp(T0 + 1_000 * (number + 1)),
        "cwd": "/projects/shop",
        "version": "0.9.0",
        "gitBranch": "main",
        **record,
    }


def _ui(after: int, **event: Any) -> dict[str, Any]:
    event["event.timestamp"] = stamp(T0 + after)
    return {"type": "system", "subtype": "ui_telemetry", "systemPayload": {"uiEvent": event}}


def _said(role: str, said: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


def _tokens(sent: int, cached: int, output: int, reasoning: int) -> dict[str, int]:
    return {
        "input_tokens": sent, "cached_input_tokens": cached, "output_tokens": output,
        "reasoning_output_tokens": reasoning, "total_tokens": sent + output,
    }  # fmt: skip
