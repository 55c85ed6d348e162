"""Text for a terminal: nothing that telemetry holds can move the cursor, change colours or reorder a line."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED = 10_000
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SUSPECT = re.compile(r"[^ -~]")  # looked at one by one; all other characters are plain
_JOINERS = frozenset("\u200c\u200d")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: object) -> str:
    """Return the text on one line, with every control, formatting and unpaired surrogate character as an escape.

    Joiners stay: they hold emoji and some scripts together and move nothing.
    """
    return _SUSPECT.sub(lambda found: _shown(found[0]), str(text))


def escaped_json(text: str) -> str:
    """Return JSON of the same value in which such characters stand as JSON escapes; new lines stay."""
    return _SUSPECT.sub(
        lambda found: _json_escape(found[0]) if found[0] != "\n" and _is_unsafe(found[0]) else found[0], text
    )


def console(*, errors: bool = False) -> Console:
    """Return the console for standard output, or standard error; markup in texts is never interpreted.

    Colours only on a terminal. Where the output is no terminal, lines are as long as they need to be.
    """
    from rich.console import Console  # noqa: PLC0415 - only commands that draw wait for it

    stream = sys.stderr if errors else sys.stdout
    made = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = _UNLIMITED
    return made


def print_note(text: str) -> None:
    """Say something about the answer on standard error."""
    sys.stderr.write(f"note: {escaped(text)}\n")
    sys.stderr.flush()


def print_error(text: str) -> None:
    """Say on one line what went wrong."""
    sys.stderr.write(f"error: {escaped(text)}\n")
    sys.stderr.flush()


def print_json(body: bytes) -> None:
    """Print an answer of the API as it is; on a terminal with escapes, which JSON reads as the same value."""
    text = body.decode()
    sys.stdout.write((escaped_json(text) if sys.stdout.isatty() else text) + "\n")
    sys.stdout.flush()


def styled(text: object, style: str = "") -> Any:
    """Return escaped text for a console."""
    from rich.text import Text  # noqa: PLC0415 - see console

    return Text(escaped(text), style=style)


def _is_unsafe(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _UNSAFE


def _shown(character: str) -> str:
    if not _is_unsafe(character):
        return character
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
