"""Environment variables: ``export`` lines for a shell, and a ``.env`` file that keeps its other lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from receiver.setup.entry import ABSENT, Entry, Merged, changes_of

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*?)(?=\r?\n|\Z)")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~-]*")
_ESCAPE = re.compile(r'\\(["\\$`])')


class EnvFile:
    """A file of ``NAME=value`` lines.

    There is no standard for such files; what is written here (double quotes around values with blanks) is read
    alike by shells, by Docker Compose, by python-dotenv and by ``node --env-file``.
    """

    language = "sh"

    def rendered(self, entries: Sequence[Entry]) -> str:
        """Return lines that a shell evaluates."""
        return "".join(f"export {each.path[0]}={shlex.quote(each.value)}\n" for each in entries)

    def read(self, text: str) -> dict[str, str]:
        """Return the variables of a file."""
        return {name: _unquoted(text[start:end]) for name, (start, end) in _places(text).items()}

    def merged(self, existing: str | None, entries: Sequence[Entry]) -> Merged:
        """Return the text with the variables in it; new ones stand at the end."""
        text = existing or ""
        changes = changes_of(self.read(text), entries)
        if not changes:
            return Merged(text, ())
        newline = "\r\n" if "\r\n" in text else "\n"
        for change in changes:
            name, value = change.path[0], _quoted(str(change.new))
            if change.old is ABSENT:
                text += ("" if not text or text.endswith("\n") else newline) + f"{name}={value}{newline}"
            else:
                start, end = _places(text)[name]
                text = text[:start] + value + text[end:]
        return Merged(text, tuple(changes))


def _places(text: str) -> dict[str, tuple[int, int]]:
    """Return where the value of each variable stands; of one that stands there twice, the last."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:
            at = _next_line(text, at)
            continue
        start, end = line.span(2)
        quote = text[start : start + 1]
        if quote and quote in "\"'":
            closing = _closing(text, start, quote)
            end = end if closing < 0 else closing + 1
        else:
            comment = re.search(r"[ \t]+(?:#.*)?$", text[start:end])
            end = end if comment is None else start + comment.start()
        found[line[1]] = (start, end)
        at = _next_line(text, end)
    return found


def _closing(text: str, start: int, quote: str) -> int:
    at = start + 1
    while at < len(text) and text[at] != quote:
        at += 2 if quote == '"' and text[at] == "\\" else 1
    return at if at < len(text) else -1


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPE.sub(r"\1", value[1:-1])
    return value


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
