"""Contents as Google's GenAI SDK writes them, which Gemini CLI and Qwen Code keep, in the conventions' form.

Source: https://github.com/googleapis/js-genai, types Content and Part: ``{"role", "parts": [{"text"} | …]}``.
"""

from __future__ import annotations

from typing import Any

from receiver.sources.contents import (
    Message,
    Part,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)
from receiver.sources.contents_document import mapping, sequence, text

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
