"""One JSON document of any size, read element by element."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import ijson  # type: ignore[import-untyped]
import orjson

from receiver.sources.documents import DOCUMENT_LIMIT, Damage, Document, Piece


class Elements:
    """The elements of an array, or of arrays that stand in an object, are documents.

    Several JSON documents one after another are read too. What follows the first mistake in the JSON is lost.
    """

    def __init__(self, keys: Sequence[str] = (), *, wrap: bool = False, limit: int = DOCUMENT_LIMIT) -> None:
        """Read the arrays under some keys.

        Args:
            keys: Of the outermost object; none: the document is the array.
            wrap: Give each element back inside ``{key: [element]}``.
            limit: Bytes that may pass without the end of an element.
        """
        self._wrap = wrap
        self._limit = limit
        self._paths = [(key, f"{key}.item") for key in keys] or [("", "item")]
        self._found = [ijson.sendable_list() for _ in self._paths]
        self._parsers = [
            ijson.items_coro(found, path, multiple_values=True)
            for found, (_, path) in zip(self._found, self._paths, strict=True)
        ]
        self._count = 0
        self._since = 0
        self._broken = False
        self._blank = True

    @property
    def unfinished(self) -> bool:
        """Return False: whether the document is whole is known at its end only."""
        return False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the elements that end in these bytes."""
        if self._broken:
            return
        self._blank = self._blank and not data.strip()
        self._since += len(data)
        problem = ""
        try:
            for parser in self._parsers:
                parser.send(data)
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
            problem = f"the JSON is invalid{self._behind()}: {_reason(error)}"
        yield from self._elements()
        if not problem and self._since > self._limit:
            problem = f"{self._since:,} bytes without the end of an element{self._behind()}"
        if problem:
            self._broken = True
            yield Damage(problem)

    def finish(self) -> Iterator[Piece]:
        """Say whether the document breaks off."""
        if self._broken or self._blank:
            return
        self._broken = True
        try:
            for parser in self._parsers:
                parser.close()
        except (ijson.JSONError, UnicodeDecodeError, ValueError):
            yield Damage(f"the JSON breaks off{self._behind()}")
            return
        yield from self._elements()

    def _elements(self) -> Iterator[Piece]:
        for (key, _), found in zip(self._paths, self._found, strict=True):
            for element in found:
                self._count += 1
                self._since = 0
                value: Any = {key: [element]} if self._wrap else element
                yield Document(_dumped(value), None, f"element {self._count}")
            del found[:]

    def _behind(self) -> str:
        return f" behind element {self._count}" if self._count else ""


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=float)
    except TypeError:  # an integer beyond 64 bits, or a lone surrogate
        return json.dumps(value, default=float).encode()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
