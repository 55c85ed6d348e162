"""Contents as Google's GenAI SDK writes them, which Gemini CLI and Qwen Code keep, in the conventions' form.

Source: https://github.com/googleapis/js-genai, types Content and Part: ``{"role", "parts": [{"text"} | …]}``.
"""

from __future__ import annotations

from typing import Any

from receiver.sources.contents.document import mapping, sequence, text, whole
from receiver.sources.contents.messages import (
    Message,
    Part,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)
from receiver.sources.contents.session_trace import Usage

_ROLES = {"model": "assistant", "user": "user", "system": "system", "function": "tool", "tool": "tool"}


def google_message(content: object) -> Message | None:
    """Return a Content as a message, or None where there is nothing in it."""
    parts = google_parts(mapping(content).get("parts"))
    if not parts:
        return None
    role = _ROLES.get(text(mapping(content).get("role")), "user")
    if all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    return message(role, parts)


def google_messages(contents: object) -> list[Message]:
    """Return a list of Contents as messages; what is none is left out."""
    return [each for each in map(google_message, sequence(contents)) if each]


def google_parts(parts: object) -> list[Part]:
    """Return the parts of a text, a Part or a list of them; bytes of images and the like are left out."""
    listed = parts if isinstance(parts, list) else [parts]
    return [part for part in map(_part, listed) if part]


def google_usage(
    *,
    prompt: object,
    candidates: object,
    cached: object,
    thoughts: object,
    tools: object,
    total: object,
    whole_output: bool,
) -> Usage:
    """Return a response's tokens from the counts of Google's usageMetadata.

    Args:
        prompt: Sent, the cached ones among them.
        candidates: Answered.
        cached: Read from a cache.
        thoughts: Thought: beside the candidates for Google's models, and among them for others.
        tools: Sent as results of the provider's own tools: beside the prompt.
        total: Of all; tells where the thoughts are.
        whole_output: Add thoughts that are beside the candidates to the output, as the conventions have it. False:
            the output stays as Google counts it.
    """
    sent, answered, thought = whole(prompt), whole(candidates), whole(thoughts)
    used = whole(tools) or 0
    apart = whole_output and whole(total) == (sent or 0) + (answered or 0) + used + (thought or 0)
    return Usage(
        input=sent if sent is None else sent + used,
        output=answered if answered is None or not apart else answered + (thought or 0),
        cache_read=whole(cached),
        reasoning=thought,
    )


def _part(part: object) -> Part | None:
    if isinstance(part, str):
        return text_part(part) if part else None
    given = mapping(part)
    if call := mapping(given.get("functionCall")):
        return tool_call_part(text(call.get("name")), call.get("args"), text(call.get("id")))
    if answer := mapping(given.get("functionResponse")):
        return tool_response_part(function_result(answer), text(answer.get("id")))
    if said := text(given.get("text")):
        return reasoning_part(said) if given.get("thought") is True else text_part(said)
    if data := mapping(given.get("inlineData")):
        return {"type": "blob", "mime_type": text(data.get("mimeType"))}
    if file := mapping(given.get("fileData")):
        return {"type": "uri", "mime_type": text(file.get("mimeType")), "uri": text(file.get("fileUri"))}
    for kind in ("executableCode", "codeExecutionResult"):
        if kind in given:
            return {"type": kind, "content": given[kind]}
    return None


def function_result(answer: dict[str, Any]) -> Any:
    """Return what a functionResponse says: its output alone where that is all there is."""
    response = answer.get("response")
    if isinstance(response, dict) and len(response) == 1:
        (key, value) = next(iter(response.items()))
        if key in {"output", "error", "result"}:
            return value
    return response
