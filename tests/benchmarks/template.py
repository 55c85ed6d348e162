"""A serialized request in which everything that must be new each time is written in place.

What changes has eight bytes: halves of trace ids, span ids, times, values and words of texts. A request is built
with *marks* in their places, serialized once, and searched for the marks once; making a fresh request of it is a
few numpy assignments and one copy.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.vocabulary import TEXT_WORDS, WORD_BYTES, text_words

_MAGIC = b"\xf1\x9e\xc3"  # no UTF-8, so it stands in no string
_ID, _TIME, _COUNT, _RATIO = b"\x01", b"\x02", b"\x03", b"\x04"
_MARK = re.compile(re.escape(_MAGIC) + rb"([\x01-\x04])(.{4})", re.DOTALL)
_TEXT = ("\x1a\x1b" * (WORD_BYTES // 2)) * TEXT_WORDS


class Message(Protocol):
    """A protobuf message."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's own name
        """Return the wire format."""
        ...


@dataclass
class Marks:
    """Hands out the marks of one request."""

    ids: int = 0
    times: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    texts: int = 0

    def span_id(self) -> bytes:
        """Return the mark of a new id of 8 bytes; where it is used again, the same new id will stand."""
        self.ids += 1
        return _mark(_ID, self.ids - 1)

    def trace_id(self) -> bytes:
        """Return the mark of a new id of 16 bytes."""
        return self.span_id() + self.span_id()

    def time(self, before_now_ns: int) -> int:
        """Return the mark of a time that lies so far before the moment of sending."""
        self.times.append(before_now_ns)
        return int.from_bytes(_mark(_TIME, len(self.times) - 1), "little")

    def count(self, start: int) -> int:
        """Return the mark of a 64-bit integer that begins at ``start`` and grows with each request."""
        self.counts.append(start)
        return int.from_bytes(_mark(_COUNT, len(self.counts) - 1), "little")

    def ratio(self, scale: float) -> float:
        """Return the mark of a double that is somewhere between 0 and ``scale``."""
        self.ratios.append(scale)
        (number,) = struct.unpack("<d", _mark(_RATIO, len(self.ratios) - 1))
        return float(number)

    def text(self) -> str:
        """Return the mark of words that never stood together before; 48 characters, the last is a space."""
        self.texts += 1
        return _TEXT


def _mark(kind: bytes, number: int) -> bytes:
    return _MAGIC + kind + number.to_bytes(4, "little")


class Chance:
    """Where new ids, values and texts come from. Threads: one at a time."""

    def __init__(self, seed: int | None = None, *, distinct_texts: int | None = None) -> None:
        """Begin.

        Args:
            seed: None: another one for each process, as ids need it that must be unique.
            distinct_texts: How many texts there are at most; None: none stands in two places.
        """
        self._chance = np.random.Generator(np.random.SFC64(seed))
        self._distinct_texts = distinct_texts
        self._next_text = int(self._chance.integers(1 << 41)) if distinct_texts is None else 0

    def ids(self, count: int) -> NDArray[np.uint64]:
        """Return random words."""
        return self._chance.integers(0, 1 << 64, count, dtype=np.uint64)

    def ratios(self, count: int) -> NDArray[np.float64]:
        """Return numbers between 0 and 1."""
        return self._chance.random(count)

    def texts(self, count: int) -> NDArray[np.uint64]:
        """Return the words of so many texts."""
        if self._distinct_texts is not None:
            return text_words(self._chance.integers(0, self._distinct_texts, count, dtype=np.uint64))
        first = self._next_text
        self._next_text += count
        return text_words(np.arange(first, first + count, dtype=np.uint64))


class Template:
    """One request. Threads: one at a time."""

    def __init__(self, message: Message, marks: Marks, records: int) -> None:
        """Serialize it and find the marks.

        Args:
            message: An ``Export…ServiceRequest``.
            marks: Those that stand in it.
            records: Spans, log records or data points in it.
        """
        raw = message.SerializeToString()
        self.records = records
        self._body = bytearray(raw)
        # The words at every place, aligned or not.
        self._words = np.ndarray((len(raw) - WORD_BYTES + 1,), "<u8", self._body, strides=(1,))
        found: dict[bytes, list[tuple[int, int]]] = {kind: [] for kind in (_ID, _TIME, _COUNT, _RATIO)}
        for match in _MARK.finditer(raw):
            found[match[1]].append((match.start(), int.from_bytes(match[2], "little")))
        self._ids = marks.ids
        self._id_places, self._id_numbers = _columns(found[_ID])
        self._time_places, numbers = _columns(found[_TIME])
        self._before_now = np.array(marks.times, dtype=np.uint64)[numbers]
        self._count_places, numbers = _columns(found[_COUNT])
        self._counts = np.array(marks.counts, dtype=np.uint64)[numbers]
        self._ratio_places, numbers = _columns(found[_RATIO])
        self._scales = np.array(marks.ratios, dtype=np.float64)[numbers]
        starts = np.array([match.start() for match in re.finditer(_TEXT.encode(), raw)], dtype=np.int64)
        self._text_places = starts[:, None] + np.arange(TEXT_WORDS) * WORD_BYTES
        expected = (len(marks.times), len(marks.counts), len(marks.ratios), marks.texts)
        places = (len(self._before_now), len(self._counts), len(self._scales), len(starts))
        if expected != places or len({number for _, number in found[_ID]}) != marks.ids:
            raise AssertionError(f"marks {marks.ids, expected}, found {len(found[_ID]), places}")

    def __len__(self) -> int:
        """Return the size in bytes; it is the same each time."""
        return len(self._body)

    def refresh(self, now_ns: int, chance: Chance) -> bytearray:
        """Return the request with everything new; the same object each time, so send or copy it before the next."""
        words = self._words
        words[self._id_places] = chance.ids(self._ids)[self._id_numbers]
        words[self._time_places] = np.uint64(now_ns) - self._before_now
        if len(self._counts):
            self._counts += np.uint64(17)
            words[self._count_places] = self._counts
        if len(self._scales):
            words[self._ratio_places] = (chance.ratios(len(self._scales)) * self._scales).view(np.uint64)
        if len(self._text_places):
            words[self._text_places] = chance.texts(len(self._text_places))
        return self._body

    def fresh(self, now_ns: int, chance: Chance) -> bytes:
        """Return a copy of the request with everything new."""
        return bytes(self.refresh(now_ns, chance))


def _columns(found: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = np.array(found, dtype=np.int64).reshape(-1, 2)
    return places[:, 0].copy(), places[:, 1].copy()
