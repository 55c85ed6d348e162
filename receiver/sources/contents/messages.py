"""What was said, in the form of the GenAI conventions: messages as JSON, cut where they are long.

Source: https://github.com/open-telemetry/semantic-conventions-genai, gen_ai.input.messages and
gen_ai.output.messages: ``[{"role", "parts": [{"type": "text|reasoning|tool_call|tool_call_response", …}]}]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import xxhash

from receiver.otlp.encode import valid_text
from receiver.otlp.span import AttributeInput

CONTENT_LIMIT = 60_000
"""Characters that one text keeps: as much as Claude Code sends of one, and far below what a request may hold."""
MESSAGES_LIMIT = 600_000
"""Characters that all texts of one attribute keep together."""
LEFT_OUT = "otlp_receiver.content.left_out"
"""Attribute: how many characters were cut from the contents of a span."""
REPEATED = "otlp_receiver.input.repeated_messages"
"""Attribute: how many messages of a model call stand at an earlier call of the same session already."""

Part = dict[str, Any]
Message = dict[str, Any]

_CONTENT_KEYS = ("content", "arguments", "result")
_SEEN_LIMIT = 200_000


def cut(text: str, limit: int = CONTENT_LIMIT) -> tuple[str, int]:
    """Return the first ``limit`` characters of a text, and how many were left out."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def as_text(value: object) -> str:
    """Return a text as it is and any other JSON value as compact JSON."""
    return valid_text(value) if isinstance(value, str) else _json(value)


def put(attributes: dict[str, AttributeInput], name: str, value: object) -> None:
    """Add a content to a span's attributes: cut, and what was left out counted in ``LEFT_OUT``; None adds nothing."""
    if value is None:
        return
    text, left_out = cut(as_text(value))
    attributes[name] = text
    count_left_out(attributes, left_out)


def put_messages(attributes: dict[str, AttributeInput], name: str, messages: Sequence[Message]) -> None:
    """Add messages to a span's attributes as JSON, cut and counted like ``put``; no message adds nothing."""
    if messages:
        text, left_out = input_messages(messages)
        attributes[name] = text
        count_left_out(attributes, left_out)


def count_left_out(attributes: dict[str, AttributeInput], left_out: int) -> None:
    """Add to the number of characters that were left out."""
    if left_out:
        before = attributes.get(LEFT_OUT)
        attributes[LEFT_OUT] = left_out + (before if isinstance(before, int) else 0)


def text_part(content: str) -> Part:
    """Return what was said."""
    return {"type": "text", "content": content}


def reasoning_part(content: str) -> Part:
    """Return what a model thought."""
    return {"type": "reasoning", "content": content}


def tool_call_part(name: str, arguments: object, call_id: str = "") -> Part:
    """Return a model's wish to call a tool."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_response_part(result: object, call_id: str = "") -> Part:
    """Return what a tool answered."""
    return {"type": "tool_call_response", "id": call_id, "result": result}


def message(role: str, parts: Iterable[Part]) -> Message:
    """Return a message; role is one of system, user, assistant, tool."""
    return {"role": role, "parts": list(parts)}


def input_messages(messages: Sequence[Message]) -> tuple[str, int]:
    """Return messages as JSON with their texts cut, and how many characters were left out.

    A content within the limit keeps its JSON type; one beyond it becomes the beginning of its text.
    """
    room = MESSAGES_LIMIT
    left_out = 0
    kept: list[Message] = []
    for each in messages:
        parts: list[Part] = []
        for part in each["parts"]:
            short = dict(part)
            for key in _CONTENT_KEYS:
                if short.get(key) is None:
                    continue
                whole = as_text(short[key])
                text, missing = cut(whole, min(CONTENT_LIMIT, room))
                room -= len(text)
                if missing:
                    short[key] = text
                    left_out += missing
            parts.append(short)
        kept.append({**each, "parts": parts})
    return _json(kept), left_out


def output_messages(messages: Sequence[Message], finish_reason: str = "") -> tuple[str, int]:
    """Return what a model answered like ``input_messages``; the reason why it stopped stands at the last message."""
    answered = [dict(each) for each in messages]
    if answered and finish_reason:
        answered[-1]["finish_reason"] = finish_reason
    return input_messages(answered)


class SeenMessages:
    """Tells the new messages of a model call from the history that every call repeats.

    A message is known by its role and contents and by how often it stood in the same call before, so a user who
    says "yes" twice has said it twice. Holds 8 bytes for each of the last 200,000 messages. Threads: one at a time.
    """

    def __init__(self) -> None:
        """Know no message."""
        self._seen: dict[int, None] = {}

    def new(self, messages: Sequence[Message]) -> tuple[list[Message], int]:
        """Return the messages that were in no call before, in their order, and how many others there were."""
        new: list[Message] = []
        occurrences: Counter[int] = Counter()
        for each in messages:
            plain = xxhash.xxh3_64_intdigest(_json(each).encode())
            key = plain ^ (occurrences[plain] * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
            occurrences[plain] += 1
            if key not in self._seen:
                self._seen[key] = None
                new.append(each)
        while len(self._seen) > _SEEN_LIMIT:
            self._seen.pop(next(iter(self._seen)))
        return new, len(messages) - len(new)


def _json(value: object) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate or an integer beyond 64 bits somewhere in it
        return orjson.dumps(_plain(value), default=str).decode()


def _plain(value: object) -> object:
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, dict):
        return {valid_text(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return str(value)
    return value
