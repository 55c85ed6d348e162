"""One line of a Claude Code transcript, as far as a trace is made of it.

The format is not documented (https://code.claude.com/docs/en/agent-sdk/sessions says where the files are); what is
here was read off projects that parse it. Every field may be missing. Lines of kinds that are not known say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import InvalidFilterError
from receiver.sources.detect import lines_of
from receiver.sources.documents import parsed_object
from receiver.sources.source import MalformedDocumentError
from receiver.times import time_ns

_KINDS = frozenset({"user", "assistant", "system", "attachment"})
"""Lines with a ``uuid``, which stand in the conversation's tree."""
_META_KEYS = {
    "summary": "leafUuid",
    "file-history-snapshot": "messageId",
    "file-history-delta": "messageId",
    "queue-operation": "operation",
    "permission-mode": "permissionMode",
    "mode": "mode",
    "last-prompt": "lastPrompt",
    "ai-title": "aiTitle",
    "custom-title": "customTitle",
    "agent-name": "agentName",
}
"""Lines about the session, and the key that each has: they tell a transcript's format."""

_INTERRUPTION = "[Request interrupted by user"
_COMMAND = re.compile(r"^\s*<(?:command-name|command-message|bash-input)>")
_OUTPUT = re.compile(r"^\s*<(?:local-command-\w+|bash-stdout|bash-stderr|system-reminder)>")
_TAGGED = re.compile(r"<(command-name|command-args|bash-input)>(.*?)</\1>", re.DOTALL)
_ISO = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Record:
    """A line with a place in the conversation and in time."""

    kind: str
    uuid: str
    parent: str
    session: str
    """The session that the line was written for first: a fork copies lines and names their origin."""
    own_session: str
    """The session of the file's lines."""
    agent: str
    """Empty in the main conversation and in a subagent's of old versions, which has no id."""
    sidechain: bool
    time_ns: int
    data: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a field's text; empty where there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    @property
    def message(self) -> Mapping[str, Any]:
        """Return the message in Anthropic's form."""
        value = self.data.get("message")
        return value if isinstance(value, dict) else {}

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """Return the message's content as blocks."""
        content = self.message.get("content")
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def read_record(document: bytes) -> Record | None:
    """Return what a line says; None if it is of a kind that says nothing about calls.

    Raises:
        MalformedDocumentError: It is no JSON object, or one without a session or a time that must have them.
    """
    data = parsed_object(document)
    if data.get("type") not in _KINDS:
        return None
    uuid, own = data.get("uuid"), data.get("sessionId") or data.get("session_id")
    if not isinstance(uuid, str) or not uuid or not isinstance(own, str) or not own:
        raise MalformedDocumentError(f"a line of type {data['type']} without uuid or sessionId")
    forked = data.get("forkedFrom")
    origin = forked.get("sessionId") if isinstance(forked, dict) else None
    agent = data.get("agentId")
    parent = data.get("parentUuid")
    return Record(
        kind=data["type"],
        uuid=uuid,
        parent=parent if isinstance(parent, str) else "",
        session=origin if isinstance(origin, str) and origin else own,
        own_session=own,
        agent=agent if isinstance(agent, str) and data.get("isSidechain") is True else "",
        sidechain=data.get("isSidechain") is True,
        time_ns=_time(data.get("timestamp")),
        data=data,
    )


def recognises_claude_code(head: bytes) -> bool:
    """Return True if a file that begins so is a transcript of Claude Code."""
    for line in lines_of(head):
        kind = line.get("type")
        if not isinstance(kind, str):
            continue
        if kind in _KINDS and "uuid" in line and "parentUuid" in line and "systemPayload" not in line:
            message = line.get("message")
            if kind in {"system", "attachment"} or (isinstance(message, dict) and "content" in message):
                return True
        if kind in _META_KEYS and _META_KEYS[kind] in line:
            return True
    return False


def prompt_of(record: Record) -> tuple[str, bool] | None:
    """Return what the user asked with a line, and whether it is a command that may stay without an answer.

    None: the line is no prompt, but a tool's result, an output, or a word of Claude Code itself.
    """
    data = record.data
    if record.kind != "user" or data.get("isMeta") is True or data.get("isCompactSummary") is True:
        return None
    blocks = record.blocks
    if any(block.get("type") == "tool_result" for block in blocks):
        return None
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    text = "\n".join(texts)
    if text.startswith(_INTERRUPTION) or _OUTPUT.match(text) or not blocks:
        return None
    if _COMMAND.match(text):
        return " ".join(each[1].strip() for each in _TAGGED.findall(text)).strip() or text.strip(), True
    images = sum(1 for block in blocks if block.get("type") == "image")
    return text or f"[{images} image(s)]", False


def is_interruption(record: Record) -> bool:
    """Return True if the user broke off the turn with this line."""
    return record.kind == "user" and any(
        isinstance(block.get("text"), str) and block["text"].startswith(_INTERRUPTION)
        for block in record.blocks
    )


def _time(value: object) -> int:
    if isinstance(value, str) and _ISO.match(value):
        try:
            return time_ns(value, now_ns=0)
        except InvalidFilterError:
            pass
    raise MalformedDocumentError(f"the timestamp {value!r:.60} cannot be read")
