"""Where rows are: which places (``rowid``) may hold an id, an attribute or a stretch of time.

Ids are random, so no zone map tells where they stand, and DuckDB's own indexes cost too much when its log is replayed
(ADR 2). This is the least that a question needs instead: per stretch of rows the sorted hashes of its ids, and how
early and late its rows are. It names candidates only. The statement that reads them asks for the id itself, so a
hash that two ids share costs time and never an answer. Derived, never saved: :mod:`receiver.store.place_keeper` makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

STRETCH_ROWS = 122_880
"""Rows of one stretch: DuckDB's row group, so that reading one touches no other."""
BLOCK_ROWS = 2048
"""Rows that attributes are told apart by: DuckDB's vector, the least that it reads."""
_BLOCK_BITS = 6
_BLOCKS = (1 << _BLOCK_BITS) - 1
"""The numbers of 60 blocks fit below it."""
LOW_32 = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Places = NDArray[np.int64]
_NOWHERE: Places = np.empty(0, dtype=np.int64)
Ranges = list[tuple[int, int]]
"""Stretches of places as first and end, ascending, apart from each other."""


LOW_64 = "({}::UHUGEINT & 18446744073709551615)::UBIGINT"
"""SQL for the low 64 bits of an id; no two ids of a store are taken to have the same."""
TRACE_KEY = "CASE WHEN {0}trace_id IS NULL THEN 0::UBIGINT ELSE hash({0}trace_id) END"
"""SQL for what tells the trace of a row from others; 0 where it has none."""


def id_hash(value: UUID) -> int:
    """Return the low 32 bits of an id."""
    return value.int & 0xFFFFFFFF


def low_64(value: UUID) -> int:
    """Return the low 64 bits of an id, as ``LOW_64`` does in SQL."""
    return value.int & 0xFFFF_FFFF_FFFF_FFFF


NO_OWNER = 0xFFFF
"""Of rows whose resource is one of too many to be numbered."""


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What each row of a stretch says, by its place within it."""

    times: NDArray[np.uint64]
    traces: NDArray[np.uint64]
    """``TRACE_KEY`` of each."""
    texts: NDArray[np.uint64]
    """The low 64 bits of the text's id; 0 where there is none."""
    owners: NDArray[np.uint16]
    """Which of ``owner_ids`` is the row's resource."""
    owner_ids: NDArray[np.uint64]
    """Ascending."""
    owner_rows: NDArray[np.int64]
    """How many rows each resource has, those of too many included."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is known of the rows from ``first`` to ``end``."""

    first: int
    end: int
    earliest_ns: int
    latest_ns: int
    ids: dict[str, NDArray[np.uint64]]
    """For each column of ids: hash and place within the stretch, 32 bits each, sorted."""
    facts: RowFacts
    tokens: NDArray[np.uint32] | None = None
    """Hashes of attributes, 26 bits, each with the block in which it stands; None: not looked at yet."""

    def places(self, column: str, hashes: NDArray[np.uint64]) -> Places:
        """Return the places whose id in ``column`` has one of the hashes."""
        entries = self.entries(column, hashes)
        return (entries & LOW_32).astype(np.int64) + self.first if len(entries) else _NOWHERE

    def entries(self, column: str, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the entries with one of these hashes: the hash in the upper half, the row's offset in the lower."""
        entries = self.ids[column]
        lowest = hashes << _HALF
        starts = entries.searchsorted(lowest)
        here = entries.take(starts, mode="clip") >> _HALF == hashes if len(entries) else hashes[:0]
        if not np.count_nonzero(here):  # so it is in most stretches
            return entries[:0]
        lowest, starts = lowest[here], starts[here]
        counts = entries.searchsorted(lowest | LOW_32, side="right") - starts
        # Of each hash its entries, one behind the other.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found: NDArray[np.uint64] = entries[np.repeat(starts, counts) + within]
        return found

    def blocks(self, token_hashes: Iterable[int]) -> Ranges:
        """Return the ranges of places that may have one of these attributes; all where that is not known."""
        if self.tokens is None:
            return [(self.first, self.end)]
        numbers: set[int] = set()
        for each in token_hashes:
            low = (each >> 38) << _BLOCK_BITS
            start = int(np.searchsorted(self.tokens, np.uint32(low)))
            end = int(np.searchsorted(self.tokens, np.uint32(low | _BLOCKS), side="right"))
            numbers.update((self.tokens[start:end] & np.uint32(_BLOCKS)).tolist())
        return joined(
            (self.first + number * BLOCK_ROWS, min(self.first + (number + 1) * BLOCK_ROWS, self.end))
            for number in sorted(numbers)
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing was committed since all rows were learnt: no row is newer, none was deleted."""

    commit: int
    """The number of the last commit (:mod:`receiver.store.commits`)."""
    owners: dict[str, NDArray[np.uint64]] = field(default_factory=dict)
    """The resources of services that were asked for meanwhile: the low 64 bits of their ids, ascending."""


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """What is known of one table; rows from ``known_rows`` on are not looked at yet. Never changes."""

    stretches: Sequence[Stretch] = ()
    retired: int = 0
    """How many records had been deleted from the store; facts hold only as long as that is so."""
    settled: Settled | None = None
    """None: there may be newer rows, and rows may have been deleted; the table has to be asked."""

    @property
    def known_rows(self) -> int:
        """Return the place below which every row is known."""
        return self.stretches[-1].end if self.stretches else 0

    @property
    def rows(self) -> int:
        """Return how many rows are known: less than ``known_rows`` where there are gaps."""
        return sum(int(stretch.facts.owner_rows.sum()) for stretch in self.stretches)

    def places(self, column: str, ids: Sequence[UUID]) -> Places:
        """Return the places below ``known_rows`` that may have one of these ids, ascending."""
        hashes = np.unique(np.array([id_hash(each) for each in ids], dtype=np.uint64))
        stretches = self.stretches if len(hashes) > 1 else self._with_hash(column, hashes[0])
        found = [places for stretch in stretches if len(places := stretch.places(column, hashes))]
        return np.sort(np.concatenate(found)) if found else _NOWHERE

    def _with_hash(self, column: str, one: np.uint64) -> list[Stretch]:
        """Return the stretches that have this hash; most have not, and nothing else is asked of those."""
        lowest, found = one << _HALF, []
        for stretch in self.stretches:
            entries = stretch.ids[column]
            at = entries.searchsorted(lowest)
            if at < len(entries) and entries[at] >> _HALF == one:
                found.append(stretch)
        return found

    def newest_first(self, since_ns: int | None, until_ns: int | None) -> list[Stretch]:
        """Return the stretches with rows from ``since_ns`` to before ``until_ns``, the one with the latest row first."""
        inside = [
            stretch
            for stretch in self.stretches
            if (since_ns is None or stretch.latest_ns >= since_ns)
            and (until_ns is None or stretch.earliest_ns < until_ns)
        ]
        return sorted(inside, key=lambda stretch: (stretch.latest_ns, stretch.first), reverse=True)


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return ascending ranges, those that touch as one."""
    found: Ranges = []
    for first, end in ranges:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found


def attribute_tokens(key: str, json_value: str) -> list[str]:
    """Return as what a top-level member may stand among the pieces of ``string_split(attributes, ',"')``.

    Empty where it cannot be told: the pieces of a text with other signs than these are not what they seem. Every
    ``,"`` of a JSON text is a cut, and a member begins after ``,"`` or after the first brace.
    """
    member = f'{key}":{json_value}'
    if ',"' in member:
        return []
    return [member, '{"' + member, member + "}", '{"' + member + "}"]


TOKENS = (
    f"SELECT DISTINCT ((hash(token) >> 38) << {_BLOCK_BITS} | (place - ?::BIGINT) // {BLOCK_ROWS})::UINTEGER AS entry"
    " FROM (SELECT rowid AS place, unnest(string_split(attributes, ',\"')) AS token"
    " FROM {} WHERE rowid >= ? AND rowid < ?)"
)
"""SQL for the ``tokens`` of a stretch: its first place, its first place again, its end."""
