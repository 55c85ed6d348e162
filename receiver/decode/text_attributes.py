"""Which attributes say something, and in which order they are told.

Source: the GenAI conventions (https://github.com/open-telemetry/semantic-conventions-genai) and the general
ones (https://opentelemetry.io/docs/specs/semconv/), with the names that agents and older SDKs use.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

NAMING_KEYS = (
    "gen_ai.operation.name",
    "gen_ai.request.model",
    "gen_ai.tool.name",
    "gen_ai.agent.name",
    "gen_ai.workflow.name",
    "tool_name",
    "model",
    "llm.model_name",
    "http.request.method",
    "http.method",
    "http.route",
    "http.target",
    "http.response.status_code",
    "http.status_code",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "rpc.grpc.status_code",
    "db.system.name",
    "db.system",
    "db.namespace",
    "db.name",
    "db.operation.name",
    "db.operation",
    "db.collection.name",
    "db.sql.table",
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation",
    "messaging.destination.name",
    "messaging.destination",
    "faas.name",
    "error.type",
    "event.name",
)
"""Short values: names of operations, tools, models, routes, services, tables, queues, errors."""

CONTENT_KEYS = (
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "llm.input_messages",
    "input.value",
    "traceloop.entity.input",
    "user_prompt",
    "prompt",
    "gen_ai.output.messages",
    "gen_ai.completion",
    "llm.output_messages",
    "output.value",
    "traceloop.entity.output",
    "response",
    "gen_ai.system_instructions",
    "gen_ai.tool.description",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "tool_input",
    "tool_parameters",
    "full_command",
    "file_path",
    "gen_ai.retrieval.query.text",
    "gen_ai.memory.query.text",
    "gen_ai.evaluation.explanation",
    "exception.type",
    "exception.message",
    "db.query.text",
    "db.statement",
    "error.message",
    "error",
    "message",
)
"""Long values: prompts, answers, arguments, queries, messages of errors."""

_NAMED = frozenset(NAMING_KEYS) | frozenset(CONTENT_KEYS)
PLUMBING = (
    "net.", "network.", "server.", "client.", "peer.", "thread.", "telemetry.", "process.", "host.", "os.",
    "container.", "k8s.", "cloud.", "code.", "user_agent.", "url.", "http.", "rpc.", "db.", "messaging.",
    "otel.", "service.", "enduser.", "gen_ai.", "llm.", "exception.", "tls.", "source.", "destination.",
    "log.", "vcs.", "otlp_receiver.", "openinference.", "traceloop.", "faas.", "aws.", "browser.", "session.", "organization.",
)  # fmt: skip
IDENTIFYING = (
    "id",
    "uuid",
    "guid",
    "hash",
    "token",
    "key",
    "email",
    "address",
    "ip",
    "url",
    "uri",
    "timestamp",
    "version",
)


_PARSED_CHARACTERS = 200_000  # of one JSON value: about 1 ms


@cache
def is_general(name: str) -> bool:
    """Return True if an attribute that no convention names may say something: app.ads.category, feature.flag."""
    if name in _NAMED or name.startswith(PLUMBING):
        return False
    last = name.replace("-", ".").replace("_", ".").lower().split(".")[-1]
    return last not in IDENTIFYING


def content_text(value: str) -> str:
    """Return what a content attribute says: of messages their texts, the last user turn first.

    Args:
        value: A string as it was sent, or the JSON text of a structured value; both forms are in use.
    """
    if len(value) > _PARSED_CHARACTERS:
        return value[:_PARSED_CHARACTERS]
    if value.strip() == "<REDACTED>":
        return ""
    if not value.startswith(("[", "{")):
        return value
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    turns = [t for t in content if isinstance(t, dict)] if isinstance(content, list) else []
    if turns and any("role" in t or "parts" in t for t in turns):
        users = [t for t in turns if t.get("role") == "user"]
        last = users[-1:]
        rest = [t for t in turns if t is not (last[0] if last else None)]
        return " ".join(filter(None, (_said(t) for t in [*last, *reversed(rest)])))
    return " ".join(_strings(content))


def _said(turn: dict[str, Any]) -> str:
    parts = turn.get("parts", turn.get("content", ""))
    return " ".join(_strings(parts))


_STRUCTURE = frozenset({"type", "role", "id", "finish_reason", "mime_type", "@bytes"})


def _strings(content: object) -> list[str]:
    """Return the strings of a JSON value in their order, without what only gives it structure."""
    found: list[str] = []
    stack: list[object] = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            stack.extend(v for k, v in reversed(item.items()) if k not in _STRUCTURE)
    return found
