"""Calls under the GenAI conventions' names, whoever sent them: instrumentations, Copilot, Qwen Code, session files.

Source: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai. Only the innermost calls of a model
count: ``invoke_agent``, workflows and chains repeat the usage of the calls below them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from receiver.questions import AgentRecord, Status
from receiver.sessions.agents import CLAUDE_CODE, FILE_FORMAT, FILE_SCOPE, GEMINI_CLI
from receiver.sessions.attributes import Attributes, first, number, text, truth, whole
from receiver.sessions.statements import CallKind, CallStatement, Context
from receiver.sessions.tokens import Tokens, split_input

MODEL_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings", "llm_call"})
"""``llm_call`` is Gemini CLI's: packages/core/src/telemetry/constants.ts."""
TOOL_OPERATIONS = frozenset({"execute_tool", "tool_call"})
"""``tool_call`` is Gemini CLI's."""
AGENT_OPERATIONS = frozenset({"invoke_agent", "invoke_workflow", "create_agent", "agent_call"})
DETAILS_EVENT = "gen_ai.client.inference.operation.details"

_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cached_tokens",
    "llm.token_count.prompt_details.cache_read",
    "llm.usage.cache_read_input_tokens",
)
_CACHE_CREATION = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "thoughts_token_count",
    "codex.usage.reasoning_output_tokens",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
)
_TOOL_IDS = ("gen_ai.tool.call.id", "gen_ai.tool.call_id", "tool.call_id", "tool_use_id", "call_id")
_REQUEST_IDS = ("request_id", "client_request_id")
_RESPONSE_IDS = ("gen_ai.response.id", "response_id")
_LONGEST_MESSAGES = 1 << 20
_NUMBERED_MESSAGES = (
    ("llm.input_messages.{}.message.role", "llm.input_messages.{}.message.content"),
    ("gen_ai.prompt.{}.role", "gen_ai.prompt.{}.content"),
)
"""Messages as OpenInference and OpenLLMetry write them: an attribute for each field."""


def kind_of(attributes: Attributes) -> CallKind | None:
    """Return which kind of call a span is, by its normalised attributes; None: it is none, or holds others."""
    if text(attributes, "openinference.span.kind").lower() == "prompt":
        return None  # a template that was filled in; nothing was called
    operation = text(attributes, "gen_ai.operation.name")
    if operation in MODEL_OPERATIONS:
        return CallKind.MODEL
    if operation in TOOL_OPERATIONS:
        return CallKind.TOOL
    if not operation and first(attributes, *_INPUT, *_OUTPUT) is not None:
        return CallKind.MODEL
    return None


def read_call(record: AgentRecord, attributes: Attributes, context: Context, kind: CallKind) -> CallStatement:
    """Return what a span, or the event that holds an inference's details, says about its call.

    Args:
        record: The span or event.
        attributes: Its normalised attributes.
        context: Where it stands.
        kind: What ``kind_of`` found.
    """
    failed = _failed(record, attributes)
    common: dict[str, Any] = {
        "context": context,
        "kind": kind,
        "end_ns": record.end_ns,
        "duration_ns": _duration(record, attributes),
        "failed": failed,
        "error": _error(record, attributes) if failed else "",
        "agent": text(attributes, "subagent_name", "agent_id"),
    }
    if kind is CallKind.TOOL:
        tool_ids = _distinct(attributes, _TOOL_IDS)
        return CallStatement(
            ids=tool_ids,
            id_kinds=frozenset({"tool"} if tool_ids else ()),
            name=text(attributes, "gen_ai.tool.name", "tool_name", "function_name", "traceloop.entity.name"),
            **common,
        )
    request_ids, response_ids = _distinct(attributes, _REQUEST_IDS), _distinct(attributes, _RESPONSE_IDS)
    return CallStatement(
        ids=tuple(dict.fromkeys(request_ids + response_ids)),
        id_kinds=frozenset({"request"} if request_ids else ())
        | frozenset({"response"} if response_ids else ()),
        name=text(attributes, "gen_ai.operation.name") or "chat",
        provider=text(attributes, "gen_ai.provider.name", "gen_ai.system", "llm.system"),
        model=text(attributes, "gen_ai.response.model", "gen_ai.request.model", "model"),
        tokens=usage(attributes, _file_format(record)),
        cost_usd=number(attributes, "gen_ai.usage.cost", "llm.cost.total", "cost_usd"),
        first_token_ms=_first_token_ms(attributes),
        attempts=whole(attributes, "attempt") or 1,
        prompt=last_user_message(attributes.get("gen_ai.input.messages")) or _last_numbered(attributes),
        **common,
    )


def usage(attributes: Attributes, file_format: str = "") -> Tokens | None:
    """Return the tokens of a call; None where nothing is said about them.

    Args:
        attributes: Of its record, normalised.
        file_format: Of the session file that the record was made of: these spans hold the file's own counts, which
            for Claude Code leave out the cached tokens, and for Gemini CLI have the thoughts beside the output.
    """
    sent = whole(attributes, *_INPUT, "input_tokens")
    output = whole(attributes, *_OUTPUT, "output_tokens")
    if sent is None and output is None:
        return None
    reasoning = whole(attributes, *_REASONING) or 0
    return split_input(
        sent=sent or 0,
        cache_read=whole(attributes, *_CACHE_READ) or 0,
        cache_creation=whole(attributes, *_CACHE_CREATION) or 0,
        output=(output or 0) + (reasoning if file_format == GEMINI_CLI else 0),
        reasoning=reasoning,
        included=file_format != CLAUDE_CODE,
    )


def _file_format(record: AgentRecord) -> str:
    return text(record.attributes, FILE_FORMAT) if record.scope == FILE_SCOPE else ""


def last_user_message(messages: Any) -> str:
    """Return the text of the last message of a user; empty where there is none, or the value is none of these.

    Args:
        messages: As the conventions have them, a list or its JSON, or a plain text.
    """
    if isinstance(messages, str):
        if len(messages) > _LONGEST_MESSAGES or not messages.lstrip().startswith(("[", "{")):
            return messages
        try:
            messages = orjson.loads(messages)
        except ValueError:
            return messages
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, list):
        return ""
    for message in reversed(messages):
        if isinstance(message, Mapping) and text(message, "role") in {"user", ""}:
            said = _said(message)
            if said:
                return said
    return ""


def _last_numbered(attributes: Attributes) -> str:
    for role, content in _NUMBERED_MESSAGES:
        number, said = 0, ""
        while role.format(number) in attributes:
            if attributes[role.format(number)] == "user":
                said = text(attributes, content.format(number)) or said
            number += 1
        if said:
            return said
    return ""


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("parts", message.get("content"))
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [
        part.get("content") or part.get("text")
        for part in content
        if isinstance(part, Mapping) and part.get("type", "text") == "text"
    ]
    return "\n".join(each for each in texts if isinstance(each, str))


def _failed(record: AgentRecord, attributes: Attributes) -> bool | None:
    if record.status is Status.ERROR or first(attributes, "error.type") is not None:
        return True
    success = truth(attributes, "success")
    if success is not None:
        return not success
    return False if record.scope == FILE_SCOPE or record.status is Status.OK else None


def _error(record: AgentRecord, attributes: Attributes) -> str:
    for event in record.events:
        if event.get("name") == "exception":
            said = text(event.get("attributes") or {}, "exception.message", "exception.type")
            if said:
                return said
    return record.status_message or text(attributes, "error", "error.message", "error.type", "error_type")


def _duration(record: AgentRecord, attributes: Attributes) -> int | None:
    if record.end_ns > record.time_ns:
        return record.end_ns - record.time_ns
    stated = number(attributes, "duration_ms")
    return None if stated is None else round(stated * 1_000_000)


def _first_token_ms(attributes: Attributes) -> float | None:
    stated = number(attributes, "ttft_ms", "copilot_chat.time_to_first_token")
    if stated is not None:
        return stated
    seconds = number(attributes, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    return None if seconds is None else round(seconds * 1000, 6)


def _distinct(attributes: Attributes, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in (text(attributes, name) for name in names) if each))
