"""What the bytes of one file mean: finds the format, cuts documents, gives them to the parser.

What is wrong with a file, or with a line of it, is told and never ends anything but that file, or that line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from receiver.ports import ImportUnit
from receiver.sources.collector.otlp_file import OtlpFileParser
from receiver.sources.detect import HEAD_BYTES, without_mark
from receiver.sources.documents import Damage, Document, Framing, Piece
from receiver.sources.formats import PARSERS, Format, ReadingContext, known_titles
from receiver.sources.source import MalformedDocumentError, Parser

_LISTED = 10
_PLACES = 2_048
"""Documents whose places are remembered: more than a parser judges together."""


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Why a file, or a part of it, was not read."""

    path: str
    line: int | None
    message: str

    def __str__(self) -> str:
        """Return the problem on one line, the file not named."""
        return self.message if self.line is None else f"line {self.line}: {self.message}"


@dataclass
class ProblemList:
    """The problems of one file: the first ten in words, the others counted."""

    path: str
    listed: list[SourceProblem] = field(default_factory=list)
    more: int = 0

    def add(self, message: str, line: int | None = None) -> None:
        """Add a problem."""
        if len(self.listed) < _LISTED:
            self.listed.append(SourceProblem(self.path, line, message))
        else:
            self.more += 1

    def __bool__(self) -> bool:
        """Return True if there are problems."""
        return bool(self.listed)


class FileReading:
    """What the bytes of one file mean, in the order in which they come.

    Threads: one at a time; blocks for the CPU only.
    """

    def __init__(self, path: str, context: ReadingContext, formats: Sequence[Format] = PARSERS) -> None:
        """Begin at the first byte of a file; the path is for problems only."""
        self.problems = ProblemList(path)
        self.format: Format | None = None
        self.refused = ""
        """Why nothing of the file is read; empty while something may be."""
        self._context = context
        self._formats = formats
        self._head = b""
        self._framing: Framing | None = None
        self._parser: Parser | None = None
        self._belated: OtlpFileParser | None = None
        self._documents = 0
        self._places: dict[int, tuple[int | None, str]] = {}

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met so far."""
        return [] if self._parser is None else self._parser.session_ids

    @property
    def undecided(self) -> bool:
        """Return True while the format is open."""
        return self._parser is None and not self.refused

    def feed(self, data: bytes) -> Iterator[ImportUnit]:
        """Yield the units that are complete with these bytes; go through all of it before the next call."""
        if self.refused:
            return
        if self._framing is None:
            self._head += data
            if len(self._head) >= HEAD_BYTES and self._decided():
                yield from self._begin()
            return
        yield from self._parsed(self._framing.feed(data))

    def unframed(self, head: bytes) -> Format | None:
        """Return the format of a file that begins so, if it is one that is not read from its beginning."""
        found = next((each for each in self._formats if each.recognises(head)), None)
        return found if found is not None and found.framing is None else None

    def documents(self, found: Format, documents: Iterable[bytes]) -> Iterator[ImportUnit]:
        """Yield the units of a file that somebody else cut into documents; what stops that is a problem."""
        self._take(found)
        try:
            for document in documents:
                yield from self._parsed(iter((Document(document, None),)))
        except MalformedDocumentError as error:
            if not self._documents:
                self.refuse(str(error))
                return
            self.problems.add(str(error))
        yield from self._flushed(finished=True)

    def pause(self) -> Iterator[ImportUnit]:
        """Yield what is certainly complete at the end of a file that may grow."""
        if self.undecided and b"\n" in self._head and self._decided(final=False):
            yield from self._begin()
        if self._parser is not None:
            yield from self._flushed(finished=False)

    def end(self, *, settled: bool = True) -> Iterator[ImportUnit]:
        """Yield what is left at the end of a file.

        Args:
            settled: Nobody writes it any more. False: what a half-written line may still change stays open, and
                so do tools without an answer.
        """
        if self.undecided and self._decided():
            yield from self._begin()
        if self._framing is None or self._parser is None:
            return
        unfinished = self._framing.unfinished
        before = len(self.problems.listed) + self.problems.more
        yield from self._parsed(self._framing.finish())
        broken = unfinished and len(self.problems.listed) + self.problems.more > before
        yield from self._flushed(finished=settled or not broken, settled=settled)

    def refuse(self, reason: str) -> None:
        """Read nothing more of the file."""
        self.refused = reason
        self.problems.add(reason)
        self._head = b""

    def _decided(self, *, final: bool = True) -> bool:
        """Find the format; return False where there is none."""
        head = without_mark(self._head[:HEAD_BYTES])
        if not head.strip():
            if final:
                self.refuse("the file is empty")
            return False
        found = next((each for each in self._formats if each.recognises(head)), None)
        if found is None:
            if final or len(self._head) >= HEAD_BYTES:
                self.refuse(_not_known(head, self._formats))
            return False
        if found.framing is None:
            self.refuse(f"only a whole file can be read of: {found.title}")
            return False
        self._framing = found.framing(head)
        self._take(found)
        self._head = without_mark(self._head)
        return True

    def _take(self, found: Format) -> None:
        self.format = found
        self._parser = found.parser(self._context)
        self._belated = self._parser if isinstance(self._parser, OtlpFileParser) else None

    def _begin(self) -> Iterator[ImportUnit]:
        """Yield what the first bytes hold, now that the format is known."""
        assert self._framing is not None  # noqa: S101 - the format is known
        data, self._head = self._head, b""
        yield from self._parsed(self._framing.feed(data))

    def _parsed(self, pieces: Iterator[Piece]) -> Iterator[ImportUnit]:
        assert self._parser is not None  # noqa: S101 - the format is known
        for piece in pieces:
            if isinstance(piece, Damage):
                self.problems.add(piece.message, piece.line)
                continue
            self._documents += 1
            if self._belated is not None:
                self._places[self._documents] = (piece.line, piece.name)
            try:
                yield from self._parser.feed(piece.data)
            except MalformedDocumentError as error:
                self._fault(str(error), piece.line, piece.name)
            self._collect()

    def _flushed(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:
        assert self._parser is not None  # noqa: S101 - the format is known
        yield from self._parser.flush(finished=finished, settled=settled)
        self._collect(everything=True)

    def _collect(self, *, everything: bool = False) -> None:
        """Take over what a parser that judges documents in groups found wrong."""
        if self._belated is None:
            return
        for number, message in self._belated.take_faults():
            self._fault(message, *self._places.get(number, (None, "")))
        if everything or len(self._places) > _PLACES:
            self._places = dict(list(self._places.items())[-_PLACES // 2 :])

    def _fault(self, message: str, line: int | None, name: str) -> None:
        self.problems.add(f"{name}: {message}" if name else message, line)


def _not_known(head: bytes, formats: Sequence[Format]) -> str:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        binary = b"\0" in head
    except UnicodeDecodeError:
        binary = True
    if binary:
        return "it is binary, not text in UTF-8"
    return f"its format is unknown; known are: {known_titles(formats)}"
