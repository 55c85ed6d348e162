"""Keeps :class:`receiver.store.row_places.RowPlaces` of spans and log records in step with the table.

Rows are looked at a stretch at a time, in short questions of their own, and those of the last stretch as they come:
nothing is added to a load. Attributes are looked at only after somebody has asked for one that has no column, because that
costs twenty times what ids and times do. Everything is thrown away when rows may have moved
(:mod:`receiver.store.row_moves`), and when there is no room for it: questions read whole columns then.

Numbers (2 cores, 10 million spans): ids and times 10 ms a stretch of 122,880 rows, 1.8 s in all on a busy
machine; attributes 130 ms a stretch, 6 s in all. The file has 42 bytes a row, with attributes about 51.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from receiver.signals import Signal
from receiver.store.commits import Commits
from receiver.store.known_texts import MOST_PARTS, NO_TEXTS, PART_ROWS, KnownTexts, TextPart
from receiver.store.read_filters import TIME
from receiver.store.read_records import TABLES
from receiver.store.row_moves import RowMoves
from receiver.store.row_places import (
    LOW_32,
    LOW_64,
    NO_OWNER,
    STRETCH_ROWS,
    TOKENS,
    TRACE_KEY,
    RowFacts,
    RowPlaces,
    Settled,
    Stretch,
)

_LOG = logging.getLogger(__name__)
_IDS = ("trace_id", "text_id")
_MOST_TEXT_BYTES = 256 << 20
_LEAST_STORED = 1 << 20
"""Bytes of a part that may grow: smaller ones stay in memory, as they are soon replaced."""
T = TypeVar("T", bound=np.generic)


class _Part(Protocol):
    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...


P = TypeVar("P", bound=_Part)


@dataclass(frozen=True, slots=True)
class _Known:
    """What holds as long as rows have not moved since ``mark``."""

    mark: int
    retired: int = 0
    """How many records had been deleted."""
    deletions: int = 0
    """How many commits that delete had begun."""
    texts: KnownTexts = NO_TEXTS
    settled: Settled | None = None
    """None: there is more to learn."""
    tables: dict[Signal, RowPlaces] = field(default_factory=lambda: dict.fromkeys(Signal, RowPlaces()))


class PlaceKeeper:
    """Knows where rows are. Threads: ``step`` in one at a time; everything else in any."""

    def __init__(
        self,
        moves: RowMoves | None,
        folder: Path | None,
        *,
        commits: Commits | None = None,
        stretch_rows: int = STRETCH_ROWS,
    ) -> None:
        """Know nothing yet.

        Args:
            moves: Tells when rows move; None: nobody writes.
            folder: Where a file without a name is made that takes up what is known; None: memory does.
            commits: Tells when anything changes; None: it may at any time, and texts are not copied.
            stretch_rows: Rows of one stretch, at most 64 blocks.
        """
        self._stretch_rows = stretch_rows
        self._moves = moves
        self._commits = commits
        self._folder = folder
        self._file: BinaryIO | None = None
        self._known = _Known(self._mark())
        self._lock = threading.Lock()
        self._attributes_wanted = False
        self._given_up = False

    def all_places(self) -> Mapping[Signal, RowPlaces]:
        """Return what is known of each table at one moment: nothing where rows have moved since it was learnt.

        For use inside one question, which is asked again should rows move before it ends. Where it is settled, the
        question has to ask :meth:`is_settled` when it has read, and to begin again if not.
        """
        known = self._known
        if known.mark != self._mark():
            return dict.fromkeys(Signal, RowPlaces())
        settled = known.settled
        if settled is None or not self.is_settled(settled):
            return known.tables
        return {
            signal: replace(each, retired=known.retired, settled=settled)
            for signal, each in known.tables.items()
        }

    def is_settled(self, settled: Settled) -> bool:
        """Return True if nothing was committed since."""
        return (
            self._commits is not None
            and self._known.settled is settled
            and self._known.mark == self._mark()
            and self._commits.count == settled.commit
        )

    def texts(self) -> KnownTexts:
        """Return the texts that are known: none where one of them may have been deleted since.

        The question has to ask :meth:`holds` when it has read, and to begin again without them if not.
        """
        known = self._known
        if known.mark != self._mark() or known.deletions != self._deletions():
            return NO_TEXTS
        return replace(known.texts, deletions=known.deletions)

    def holds(self, texts: KnownTexts) -> bool:
        """Return True if none of the texts can have been deleted since it was given out."""
        return not texts.parts or texts.deletions == self._deletions()

    def want_attributes(self) -> None:
        """Have attributes looked at from now on."""
        self._attributes_wanted = True

    def step(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        """Look at one more stretch; return False if there is none to look at. Blocks for up to 0.2 s."""
        if self._given_up:
            return False
        # All before the first statement: the transaction sees what was committed when that begins.
        mark, deletions = self._mark(), self._deletions()
        commit = None if self._commits is None else self._commits.count
        if mark < 0:
            return False
        settled = self._known.settled
        is_settled = settled is not None and self.is_settled(settled)
        if not is_settled:
            retired = retired_records(cursor)
            if (self._known.mark, self._known.retired) != (mark, retired):
                with self._lock:
                    self._forget(mark, retired, deletions)
            elif self._known.deletions != deletions:
                self._publish(mark, texts=NO_TEXTS, deletions=deletions)
        try:
            if not is_settled:
                if any(self._learn(cursor, signal, mark) for signal in TABLES):
                    return True
                # What is read while a commit goes on may be what that one deletes.
                if commit is not None and self._learn_texts(cursor, mark):
                    return True
                if commit is not None and self._commits is not None and commit == self._commits.count:
                    self._publish(mark, settled=Settled(commit))
            return self._attributes_wanted and any(
                self._learn_attributes(cursor, signal, mark) for signal in TABLES
            )
        except OSError as error:
            self._given_up = True
            with self._lock:
                self._forget(mark)
            _LOG.warning(
                "questions look at all rows, as there is no room for an index of their ids: %s", error
            )
            return False

    def close(self) -> None:
        """Know nothing any more and give the file back."""
        self._given_up = True
        with self._lock:
            self._forget(self._mark())

    def _mark(self) -> int:
        return self._moves.count if self._moves else 0

    def _deletions(self) -> int:
        return self._commits.deletions if self._commits else 0

    def _forget(self, mark: int, retired: int = 0, deletions: int = 0) -> None:
        self._known = _Known(mark, retired, deletions)
        if self._file is not None:
            self._file.close()  # what is mapped of it stays until nobody looks at it
            self._file = None

    def _learn(self, cursor: duckdb.DuckDBPyConnection, signal: Signal, mark: int) -> bool:
        """Look at the next stretch if it is complete, else at what there is of it; return True if more may be left.

        A stretch is complete when a place beyond it is taken: no row can come into it any more. Nor can one come
        below the last row, as there is one writer and it appends. So what there is of the next stretch is known in
        pieces, which are put together as they grow: they stay few, and a row is looked at but a few times.
        """
        table, stretches = TABLES[signal], self._known.tables[signal].stretches
        if (found := _next(cursor, table, stretches, self._stretch_rows)) is None:
            return False
        kept, first, end = found
        self._publish_rows(signal, mark, [*kept, self._looked_at(cursor, signal, first, end)])
        return end is not None

    def _learn_texts(self, cursor: duckdb.DuckDBPyConnection, mark: int) -> bool:
        """Copy the next part of the texts as :meth:`_learn` does; return True if more is left."""
        parts = self._known.texts.parts
        full = [each for each in parts if each.end - each.first == PART_ROWS]
        if (
            self._commits is None
            or len(full) >= MOST_PARTS
            or sum(each.utf8.nbytes for each in full) > _MOST_TEXT_BYTES
            or (found := _next(cursor, "texts", parts, PART_ROWS)) is None
        ):
            return False
        kept, first, end = found
        keep = self._stored if end is not None else self._stored_if_large
        part = TextPart.read(cursor, first, end, keep)
        self._publish(mark, texts=KnownTexts((*kept, part)))
        if part.utf8.nbytes >= _LEAST_STORED:
            pa.default_memory_pool().release_unused()  # it would keep 20 MB
        return end is not None

    def _is_complete(self, stretch: Stretch) -> bool:
        return stretch.end - stretch.first == self._stretch_rows

    def _looked_at(
        self, cursor: duckdb.DuckDBPyConnection, signal: Signal, first: int, end: int | None
    ) -> Stretch:
        """Return what rows from ``first`` on say; without an ``end`` all there are, and that is kept in memory."""
        lows = ", ".join(f"{LOW_64.format(f'r.{column}')} AS {column}" for column in (*_IDS, "resource_id"))
        found = cursor.execute(
            f"SELECT r.rowid AS place, {TIME[signal]} AS time, {TRACE_KEY.format('r.')} AS trace, {lows}"
            f" FROM {TABLES[signal]} r WHERE r.rowid >= ? AND r.rowid < ?",
            [first, first + self._stretch_rows if end is None else end],
        ).fetchnumpy()
        keep = self._stored
        if end is None:
            keep, end = _as_it_is, int(found["place"].max()) + 1
        offsets = (found["place"] - first).astype(np.uint64)
        times = found["time"]
        ids = {column: keep(_entries(found[column] & LOW_32, offsets)) for column in _IDS}
        earliest, latest = (int(times.min()), int(times.max())) if len(times) else (2**64 - 1, 0)
        return Stretch(first, end, earliest, latest, ids, _facts(found, offsets, end - first, keep))

    def _learn_attributes(self, cursor: duckdb.DuckDBPyConnection, signal: Signal, mark: int) -> bool:
        stretches = self._known.tables[signal].stretches
        # the newest first, as questions look at them in this order
        for at in range(len(stretches) - 1, -1, -1):
            if stretches[at].tokens is None and self._is_complete(stretches[at]):
                break
        else:
            return False
        first, end = stretches[at].first, stretches[at].end
        found = cursor.execute(TOKENS.format(TABLES[signal]), [first, first, end]).fetchnumpy()
        tokens = self._stored(np.sort(np.asarray(found["entry"], dtype=np.uint32)))
        self._publish_rows(
            signal, mark, [*stretches[:at], replace(stretches[at], tokens=tokens), *stretches[at + 1 :]]
        )
        return True

    def _publish_rows(self, signal: Signal, mark: int, stretches: list[Stretch]) -> None:
        places = RowPlaces(tuple(stretches), self._known.retired)
        self._publish(mark, tables={**self._known.tables, signal: places})

    def _publish(self, mark: int, **changes: Any) -> None:
        with self._lock:
            if self._known.mark == mark and not self._given_up:
                self._known = replace(self._known, **changes)

    def _stored_if_large(self, values: NDArray[T]) -> NDArray[T]:
        return self._stored(values) if values.nbytes >= _LEAST_STORED else values

    def _stored(self, values: NDArray[T]) -> NDArray[T]:
        """Return the same values, in the file where there is one: they are looked at rarely and in few places."""
        if self._folder is None or not len(values):
            return values
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open as long as it is known
        begin = self._file.seek(0, 2)
        self._file.write(values.tobytes())
        self._file.flush()
        mapped: Any = np.memmap(self._file, dtype=values.dtype, mode="r", offset=begin, shape=values.shape)
        stored: NDArray[T] = mapped.view(np.ndarray)  # each look at a memmap costs microseconds
        return stored


def _next(
    cursor: duckdb.DuckDBPyConnection, table: str, parts: Sequence[P], rows: int
) -> tuple[Sequence[P], int, int | None] | None:
    """Return which part of a table to look at next: the parts before it, its first place and end; None: all is known.

    A part has so many ``rows``. The end of one that is not complete yet is None: it takes in those before it that
    are not larger than it has become.
    """
    if not _is_taken(cursor, table, parts[-1].end if parts else 0):
        return None
    complete = [each for each in parts if each.end - each.first == rows]
    pieces = parts[len(complete) :]
    first = complete[-1].end if complete else 0
    if _is_taken(cursor, table, first + rows):
        return complete, first, first + rows
    first = parts[-1].end if parts else 0
    ((grown,),) = cursor.execute(f"SELECT count(*) FROM {table} WHERE rowid >= ?", [first]).fetchall()
    while pieces and pieces[-1].end - pieces[-1].first <= grown:
        grown += pieces[-1].end - pieces[-1].first
        first = pieces[-1].first
        pieces = pieces[:-1]
    return [*complete, *pieces], first, None


def _is_taken(cursor: duckdb.DuckDBPyConnection, table: str, place: int) -> bool:
    """Return True if there is a row at a place or beyond it."""
    return bool(cursor.execute(f"SELECT 1 FROM {table} WHERE rowid >= ? LIMIT 1", [place]).fetchall())


def _as_it_is(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _facts(
    found: dict[str, Any],
    offsets: NDArray[np.uint64],
    rows: int,
    keep: Callable[[NDArray[Any]], NDArray[Any]],
) -> RowFacts:
    owner_ids, owners, owner_rows = np.unique(found["resource_id"], return_inverse=True, return_counts=True)

    def by_place(values: Any, dtype: Any) -> NDArray[Any]:
        whole = np.zeros(rows, dtype=dtype)
        whole[offsets] = np.ma.filled(values, 0)  # an array without a mask stays as it is
        return keep(whole)

    return RowFacts(
        times=by_place(found["time"], np.uint64),
        traces=by_place(found["trace"], np.uint64),
        texts=by_place(found["text_id"], np.uint64),
        owners=by_place(np.minimum(owners, NO_OWNER), np.uint16),
        owner_ids=owner_ids[:NO_OWNER],
        owner_rows=owner_rows,
    )


def retired_records(cursor: duckdb.DuckDBPyConnection) -> int:
    """Return how many records were ever deleted, as this transaction sees it."""
    ((count,),) = cursor.execute("SELECT sum(retired)::UBIGINT FROM record_totals").fetchall()
    return int(count or 0)


def _entries(hashes: Any, offsets: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the sorted entries of one column; rows without an id have none."""
    if np.ma.isMaskedArray(hashes):
        present = ~np.ma.getmaskarray(hashes)
        hashes, offsets = np.ma.getdata(hashes)[present], offsets[present]
    entries: NDArray[np.uint64] = (hashes.astype(np.uint64) << np.uint64(32)) | offsets
    entries.sort()
    return entries
