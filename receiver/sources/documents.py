"""Cuts the bytes of a file into documents: lines, JSON values that span several, messages with their length.

A framing takes the bytes as they come, in pieces of any size, and holds no more than one document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from receiver.sources.source import MalformedDocumentError

DOCUMENT_LIMIT = 64 << 20
"""Bytes of one document: as many as a request may have. Longer ones are skipped and said."""
UNFINISHED = "unfinished line at the end, read again when it is complete"


@dataclass(frozen=True, slots=True)
class Document:
    """One line or value of a file, without what stands around it."""

    data: bytes
    line: int | None
    """Where it begins, counted from 1; None in a file without lines."""
    name: str = ""
    """What it is in a file without lines: ``element 3``."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A place of a file that holds no document."""

    message: str
    line: int | None = None


Piece = Document | Damage


class Framing(Protocol):
    """**Protocol:** finds documents in bytes. Threads: one at a time; blocks for the CPU only."""

    @property
    def unfinished(self) -> bool:
        """Return True while something stands behind the last whole document."""
        ...

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield what the bytes complete; go through all of it before the next call."""
        ...

    def finish(self) -> Iterator[Piece]:
        """Yield what is left when no byte comes any more."""
        ...


class Lines:
    """Every line that is not blank is a document."""

    def __init__(self, limit: int = DOCUMENT_LIMIT) -> None:
        """Skip lines of more than ``limit`` bytes."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._number = 1

    @property
    def unfinished(self) -> bool:
        """Return True while a line has no end."""
        return self._held > 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the lines that end in these bytes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._hold(end)
            yield from self._taken()
            self._number += 1
        self._hold(rest)

    def finish(self) -> Iterator[Piece]:
        """Yield the last line if it is whole without its end; say so if it is not."""
        for piece in self._taken():
            if isinstance(piece, Document) and not _is_whole(piece.data):
                yield Damage(UNFINISHED, piece.line)
            else:
                yield piece

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _taken(self) -> Iterator[Piece]:
        line = b"".join(self._parts).strip() if len(self._parts) != 1 else self._parts[0].strip()
        held, self._held = self._held, 0
        self._parts.clear()
        if held > self._limit:
            yield Damage(f"a line of {held:,} bytes; at most {self._limit:,} are read", self._number)
        elif line:
            yield Document(line, self._number)


class Values:
    """JSON objects one after another, as ``JSON.stringify(value, null, 2)`` writes them.

    An object begins at a line that begins with ``{`` and ends at a line that is exactly ``}``; one that was cut
    off costs no other one. An object on one line is a document too.
    """

    def __init__(self, limit: int = DOCUMENT_LIMIT) -> None:
        """Skip objects of more than ``limit`` bytes."""
        self._limit = limit
        self._parts: list[bytes] = []  # pieces of the line that has no end so far
        self._part_bytes = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._number = 0
        self._began = 0
        self._open = False

    @property
    def unfinished(self) -> bool:
        """Return True while an object, or a line, has no end."""
        return self._open or self._part_bytes > 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the objects that end in these bytes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._hold(end)
            yield from self._line()
        self._hold(rest)

    def finish(self) -> Iterator[Piece]:
        """Yield the last object if only the end of its line is missing; say so if more is."""
        if self._part_bytes:
            yield from self._line()
        if self._open:
            self._open = False
            yield Damage(UNFINISHED.replace("line", "value"), self._began)

    def _hold(self, part: bytes) -> None:
        self._part_bytes += len(part)
        if self._part_bytes <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _line(self) -> Iterator[Piece]:
        line = b"".join(self._parts).rstrip(b"\r")
        too_long = self._part_bytes > self._limit
        self._parts.clear()
        self._part_bytes = 0
        self._number += 1
        if line.startswith(b"{"):
            if self._open:
                yield Damage("a JSON value that breaks off", self._began)
            self._lines, self._held, self._began, self._open = [], 0, self._number, True
        elif not self._open:
            if line.strip():
                yield Damage("a line outside of every JSON value", self._number)
            return
        self._held += self._limit + 1 if too_long else len(line) + 1
        if self._held > self._limit:
            self._lines.clear()
        else:
            self._lines.append(line)
        if line == b"}" or (len(self._lines) == 1 and line.startswith(b"{") and _is_whole(line)):
            yield self._closed()

    def _closed(self) -> Piece:
        self._open = False
        if self._held > self._limit:
            return Damage(
                f"a JSON value of {self._held:,} bytes; at most {self._limit:,} are read", self._began
            )
        data = b"\n".join(self._lines)
        self._lines = []
        return Document(data, self._began)


def parsed(document: bytes) -> Any:
    """Return the JSON of a document.

    Lone surrogates, which JavaScript writes where it cuts a text, are kept; the encoder replaces them.

    Raises:
        MalformedDocumentError: It is no JSON.
    """
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        raise MalformedDocumentError(f"not valid JSON: {reason}") from None


def parsed_object(document: bytes) -> dict[str, Any]:
    """Return the JSON object of a document.

    Raises:
        MalformedDocumentError: It is no JSON, or no object.
    """
    value = parsed(document)
    if not isinstance(value, dict):
        raise MalformedDocumentError("not a JSON object")
    return value


def _is_whole(line: bytes) -> bool:
    try:
        parsed(line)
    except MalformedDocumentError:
        return False
    return True
