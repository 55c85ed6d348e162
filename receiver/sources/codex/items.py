"""What stands in a line of a Codex rollout: items of the Responses API, events, and the line itself.

Source: https://github.com/openai/codex, codex-rs/protocol/src/{models,protocol}.rs (ResponseItem, RolloutLine,
EventMsg) and codex-rs/rollout/src/policy.rs (what is written).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.sources.contents.document import instant, mapping, maybe_json, sequence, text, whole
from receiver.sources.contents.messages import Message, Part, message, reasoning_part, text_part
from receiver.sources.contents.session_trace import Usage
from receiver.sources.documents import parsed_object
from receiver.sources.source import MalformedDocumentError

_LINES = frozenset(
    {
        "session_meta", "response_item", "event_msg", "turn_context", "compacted", "token_usage_record",
        "world_state", "retained_context", "security_risk_score", "inter_agent_communication",
        "inter_agent_communication_metadata", "realtime_item",
    }
)  # fmt: skip
_ITEMS = frozenset(
    {
        "message", "agent_message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output", "local_shell_call", "local_shell_call_output", "web_search_call",
        "image_generation_call", "tool_search_call", "tool_search_output", "mcp_tool_call_output",
    }
)  # fmt: skip
_EXIT = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d{1,9})$", re.MULTILINE)
_HEAD = 1_000
_CONTEXT = (
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md instructions",
    "<permissions",
    "<turn_aborted>",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: of today's form, or of the first one, whose lines are items without an envelope and a time."""

    kind: str
    time_ns: int | None
    payload: dict[str, Any]
    ordinal: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model called."""

    call_id: str
    name: str
    arguments: object


def read_line(document: bytes) -> Line | None:
    """Return the line, or None for one that says nothing (a state record of the first form).

    Raises:
        MalformedDocumentError: It is none.
    """
    data = parsed_object(document)
    kind, payload = text(data.get("type")), data.get("payload")
    if isinstance(payload, dict) and kind:
        time_ns = instant(data.get("timestamp"))
        if time_ns is None:
            raise MalformedDocumentError("a line without a timestamp", hint="the other lines are read")
        return Line(kind, time_ns, payload, whole(data.get("ordinal")))
    if "record_type" in data:
        return None
    if kind in _ITEMS:
        return Line("response_item", instant(data.get("timestamp")), data)
    started = instant(data.get("timestamp"))
    if text(data.get("id")) and started is not None:
        return Line("session_meta", started, data)
    raise MalformedDocumentError(
        "neither a session nor an item nor an event", hint="the other lines are read"
    )


def is_rollout(first: Mapping[str, Any]) -> bool:
    """Return True if the object is the first line of a rollout, of either form."""
    if isinstance(first.get("payload"), dict):
        return first.get("type") in _LINES and "timestamp" in first
    return (
        isinstance(first.get("id"), str)
        and isinstance(first.get("timestamp"), str)
        and "instructions" in first
        and "type" not in first
    )


def usage_of(given: object) -> Usage | None:
    """Return a TokenUsage of Codex; cached input is part of input, reasoning is part of output."""
    tokens = mapping(given)
    if whole(tokens.get("input_tokens")) is None and whole(tokens.get("output_tokens")) is None:
        return None
    return Usage(
        input=whole(tokens.get("input_tokens")),
        output=whole(tokens.get("output_tokens")),
        cache_read=whole(tokens.get("cached_input_tokens")),
        cache_creation=whole(tokens.get("cache_write_input_tokens")),
        reasoning=whole(tokens.get("reasoning_output_tokens")),
    )


def tool_call_of(item: Mapping[str, Any]) -> ToolCall | None:
    """Return the tool that an item calls, or None."""
    call_id = text(item.get("call_id")) or text(item.get("id"))
    match item.get("type"):
        case "function_call":
            arguments = text(item.get("arguments"))
            given = maybe_json(arguments)
            name = text(item.get("name"))
            space = text(item.get("namespace"))
            return ToolCall(
                call_id, f"{space}.{name}" if space else name, arguments if given is None else given
            )
        case "custom_tool_call":
            return ToolCall(call_id, text(item.get("name")), item.get("input"))
        case "local_shell_call":
            return ToolCall(call_id, "local_shell", item.get("action"))
        case "tool_search_call":
            return ToolCall(call_id, "tool_search", item.get("arguments"))
        case "web_search_call":
            return ToolCall(call_id, "web_search", item.get("action"))
        case "image_generation_call":
            return ToolCall(call_id, "image_generation", item.get("revised_prompt"))
        case _:
            return None


def parts_of(item: Mapping[str, Any]) -> list[Part]:
    """Return what a message or a reasoning item says; what is encrypted says nothing."""
    if item.get("type") == "reasoning":
        thoughts = [*sequence(item.get("summary")), *sequence(item.get("content"))]
        return [reasoning_part(said) for each in thoughts if (said := text(mapping(each).get("text")))]
    content = item.get("content")
    if isinstance(content, str):
        return [text_part(content)] if content else []
    parts: list[Part] = []
    for each in map(mapping, sequence(content)):
        if said := text(each.get("text")):
            parts.append(text_part(said))
        elif each.get("type") == "input_image":
            parts.append({"type": "uri", "modality": "image"})
    return parts


def input_of(item: Mapping[str, Any]) -> Message | None:
    """Return a message that is not the model's, or None where it says nothing."""
    parts = parts_of(item)
    role = text(item.get("role"))
    return message("system" if role in {"developer", "system"} else "user", parts) if parts else None


def is_context(said: Message) -> bool:
    """Return True for what Codex itself puts before a user's words."""
    first = said["parts"][0].get("content", "") if said["parts"] else ""
    return said["role"] == "system" or str(first).lstrip().startswith(_CONTEXT)


def result_of(item: Mapping[str, Any]) -> tuple[object, int | None]:
    """Return what a tool answered, and its exit code if it says one."""
    output = item.get("output", item.get("result", item.get("tools")))
    if isinstance(output, dict) and "content" in output:
        output = output["content"]
    if isinstance(output, list):
        texts = [text(mapping(each).get("text")) for each in output]
        output = "\n".join(texts) if all(texts) else [_without_image(each) for each in output]
    if not isinstance(output, str):
        return output, None
    given = maybe_json(output) if output.startswith('{"output"') else None
    if isinstance(given, dict):
        code = mapping(given.get("metadata")).get("exit_code")
        return given.get("output"), code if isinstance(code, int) else None
    found = _EXIT.search(output[:_HEAD])
    return output, int(found[1]) if found else None


def _without_image(part: object) -> object:
    given = mapping(part)
    return {"type": given["type"]} if "image" in text(given.get("type")) else part
