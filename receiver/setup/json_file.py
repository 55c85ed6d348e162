"""JSON settings: values are put into the text itself, so that everything else stays as its owner wrote it.

Settings of editors and agents may hold comments and trailing commas (JSONC). Such a file is read, to see whether
it holds the configuration, and never changed: https://code.visualstudio.com/docs/languages/json#_json-with-comments
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from receiver.setup.entry import Change, Entry, Merged, changes_of, same, with_changes
from receiver.setup.errors import NotMergeableError, SetupError

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_NOT_JSON = re.compile(
    r"""("(?:[^"\\]|\\.)*")|(//[^\r\n]*|/\*.*?\*/)|,(?=(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*[}\]])""", re.DOTALL
)
_BYTE_ORDER_MARK = "\ufeff"
_INDENT = "  "


class JsonFile:
    """A file that holds one JSON object."""

    language = "json"

    def rendered(self, entries: Sequence[Entry]) -> str:
        """Return an object that holds just the entries."""
        changes = [Change(entry.path, None, entry.value) for entry in entries]
        return json.dumps(with_changes({}, changes), indent=2, ensure_ascii=False) + "\n"

    def read(self, text: str) -> dict[str, Any]:
        """Return the object; that of an empty file is empty.

        Raises:
            SetupError: It is not JSON; the message names line and column.
        """
        return _parsed(text)[0]

    def merged(self, existing: str | None, entries: Sequence[Entry]) -> Merged:
        """Return the text with the entries in it.

        Raises:
            NotMergeableError: It has comments or trailing commas, and would have to change.
            SetupError: It is not JSON, or a value stands where an object has to be.
        """
        if existing is None or not existing.strip(_BYTE_ORDER_MARK + " \t\r\n"):
            data: dict[str, Any] = {}
            return Merged(self.rendered(entries), tuple(changes_of(data, entries)))
        data, has_comments = _parsed(existing)
        changes = changes_of(data, entries)
        if not changes:
            return Merged(existing, ())
        if has_comments:
            raise NotMergeableError(
                "it has comments or trailing commas, which a program would not keep",
                hint="put what is printed above into it by hand",
            )
        text = existing
        for change in changes:
            text = _changed(text, change)
        if not same(_parsed(text)[0], with_changes(data, changes)):
            raise NotMergeableError(
                "it cannot be changed without a loss", hint="put what is printed above into it by hand"
            )
        return Merged(text, tuple(changes))


@dataclass(frozen=True, slots=True)
class _Member:
    """Where one member of an object stands in the text."""

    name: str
    start: int
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Style:
    """How the file is laid out."""

    newline: str
    indent: str
    on_one_line: bool


def _parsed(text: str) -> tuple[dict[str, Any], bool]:
    """Return the object, and whether the text has what JSON does not have."""
    plain = text.removeprefix(_BYTE_ORDER_MARK)
    if not plain.strip():
        return {}, False
    try:
        try:
            data, has_comments = json.loads(plain), False
        except json.JSONDecodeError:
            data, has_comments = json.loads(_NOT_JSON.sub(_blank, plain)), True
    except json.JSONDecodeError as error:
        raise SetupError(
            f"it is not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            hint="nothing was written; mend it first",
        ) from None
    except RecursionError:
        raise SetupError("it is nested too deep to be settings", hint="nothing was written") from None
    if not isinstance(data, dict):
        raise SetupError("it holds no JSON object", hint="nothing was written; mend it first")
    return data, has_comments


def _blank(found: re.Match[str]) -> str:
    """Keep strings; put blanks for the rest, so that lines and columns stay."""
    return found[1] if found[1] is not None else re.sub(r"[^\r\n]", " ", found[0])


def _changed(text: str, change: Change) -> str:
    start = _skipped(text, 1 if text.startswith(_BYTE_ORDER_MARK) else 0)
    style = _style_of(text, start)
    for depth, name in enumerate(change.path):
        members, _ = _members(text, start)
        member = next((each for each in reversed(members) if each.name == name), None)  # the last one counts
        rest = change.path[depth + 1 :]
        if member is None:
            value = change.new
            for inner in reversed(rest):
                value = {inner: value}
            return _inserted(text, start, name, value, style)
        if not rest:
            pad = _indent_of_line(text, member.start)
            written = _written(change.new, pad, style)
            return text[: member.value_start] + written + text[member.end :]
        start = member.value_start
        if text[start] != "{":
            inside = ".".join(change.path[: depth + 1])
            raise SetupError(
                f"{inside} is {text[start : member.end][:60]}, where an object has to be",
                hint="nothing was written; mend it first",
            )
    raise AssertionError("a path has a name")


def _inserted(text: str, start: int, key: str, value: Any, style: _Style) -> str:
    """Return the text with a new member at the end of the object that opens at ``start``."""
    members, end = _members(text, start)
    name = json.dumps(key, ensure_ascii=False)
    if not members:
        if style.on_one_line:
            return f"{text[:start]}{{{name}: {_written(value, '', style)}}}{text[end + 1 :]}"
        outer = _indent_of_line(text, start)
        pad = outer + style.indent
        inside = f"{style.newline}{pad}{name}: {_written(value, pad, style)}{style.newline}{outer}"
        return f"{text[:start]}{{{inside}}}{text[end + 1 :]}"
    last = members[-1]
    if "\n" not in text[start:end]:
        line = _Style(style.newline, style.indent, on_one_line=True)
        return f"{text[: last.end]}, {name}: {_written(value, '', line)}{text[last.end :]}"
    pad = _indent_of_line(text, last.start)
    return f"{text[: last.end]},{style.newline}{pad}{name}: {_written(value, pad, style)}{text[last.end :]}"


def _written(value: Any, pad: str, style: _Style) -> str:
    if style.on_one_line:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, indent=style.indent, ensure_ascii=False).split("\n")
    return (style.newline + pad).join(lines)


def _style_of(text: str, start: int) -> _Style:
    newline = "\r\n" if "\r\n" in text else "\n"
    members, _ = _members(text, start)
    between = text[start + 1 : members[0].start] if members else ""
    indent = between.rpartition("\n")[2] if "\n" in between else _INDENT
    return _Style(newline, indent or _INDENT, on_one_line=bool(members) and "\n" not in text.strip())


def _indent_of_line(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _members(text: str, start: int) -> tuple[list[_Member], int]:
    """Return the members of the object that opens at ``start``, and where it closes."""
    members: list[_Member] = []
    at = _skipped(text, start + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        value_start = _skipped(text, _skipped(text, end) + 1)  # behind the colon
        _, value_end = _DECODER.raw_decode(text, value_start)
        members.append(_Member(name, at, value_start, value_end))
        at = _skipped(text, value_end)
        if text[at] == ",":
            at = _skipped(text, at + 1)
    return members, at


def _skipped(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
