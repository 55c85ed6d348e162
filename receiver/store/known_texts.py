"""A copy of short texts, by their ids: to look twelve of them up in their table costs 1.5 to 3 ms, here 0.05.

Ids are hashes, so no zone map skips anything, and one row of text costs DuckDB the decoding of 2,048. The copy is
derived and never saved; :mod:`receiver.store.place_keeper` makes it, in the file of the places of rows. It holds
as long as nothing is deleted: a text that was deleted may come again in another wording of the same meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from receiver.store.row_places import LOW_64, low_64

PART_ROWS = 32_768
_LONGEST_TEXT = 1024
"""In bytes; longer ones are rare among what spans and log records are called, and are asked for."""
MOST_PARTS = 32
"""Of these, a million texts, each is looked at for each question."""
_PART = (
    f"SELECT rowid AS place, {LOW_64.format('text_id')} AS low, (text_id::UHUGEINT >> 64)::UBIGINT AS high,"
    f" CASE WHEN strlen(text) <= {_LONGEST_TEXT} THEN text END AS text"
    " FROM texts WHERE rowid >= ? AND rowid < ?"
)


@dataclass(frozen=True, slots=True)
class TextPart:
    """The short texts of the rows from ``first`` to ``end``, sorted by the lower half of their ids."""

    first: int
    end: int
    lows: NDArray[np.uint64]
    highs: NDArray[np.uint64]
    starts: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    utf8: NDArray[np.uint8]

    @classmethod
    def read(
        cls,
        cursor: duckdb.DuckDBPyConnection,
        first: int,
        end: int | None,
        keep: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> TextPart:
        """Return the part from ``first`` on; without an ``end`` all there is of it, at most ``PART_ROWS``."""
        found = cursor.sql(_PART, params=[first, first + PART_ROWS if end is None else end]).to_arrow_table()
        if end is None:
            end = int(found["place"].to_numpy().max()) + 1
        found = found.filter(found["text"].is_valid())
        texts = pa.concat_arrays(
            [pa.array([], pa.string()), *(_as_text(each) for each in found["text"].chunks)]
        )
        _, offsets, utf8 = texts.buffers()
        bounds = (
            np.frombuffer(offsets, dtype=np.uint32, count=len(texts) + 1)
            if offsets
            else np.zeros(1, np.uint32)
        )
        lows = found["low"].to_numpy()
        order = np.argsort(lows)
        return cls(
            first,
            end,
            lows=keep(lows[order]),
            highs=keep(found["high"].to_numpy()[order]),
            starts=keep(bounds[:-1][order]),
            ends=keep(bounds[1:][order]),
            utf8=keep(
                np.frombuffer(utf8, dtype=np.uint8, count=int(bounds[-1])) if utf8 else np.empty(0, np.uint8)
            ),
        )

    def look_up(self, ids: Sequence[UUID], lows: NDArray[np.uint64], into: dict[UUID, str]) -> None:
        """Add those of the texts that are here; ``lows`` are the lower halves of their ids."""
        places = self.lows.searchsorted(lows)
        places[places == len(self.lows)] = 0
        if not len(self.lows):
            return
        for at in np.flatnonzero(self.lows[places] == lows).tolist():
            place = places[at]
            if int(self.highs[place]) == ids[at].int >> 64:
                into[ids[at]] = self.utf8[self.starts[place] : self.ends[place]].tobytes().decode()


@dataclass(frozen=True, slots=True)
class KnownTexts:
    """The texts that are known. Never changes."""

    parts: Sequence[TextPart] = ()
    deletions: int = 0
    """How many commits that delete had begun when they were given out."""

    def texts(self, ids: Iterable[UUID]) -> dict[UUID, str]:
        """Return those of these texts that are known."""
        wanted = list(ids)
        lows = np.array([low_64(each) for each in wanted], dtype=np.uint64)
        found: dict[UUID, str] = {}
        for part in self.parts:
            part.look_up(wanted, lows, found)
        return found


NO_TEXTS = KnownTexts()


def _as_text(chunk: pa.Array) -> pa.StringArray:
    """Return a chunk with offsets of 32 bits, whatever DuckDB made of it."""
    return chunk.cast(pa.string())
