"""The best record of each trace by its text, ranked by what is known of rows: no row of the table is read for it.

A hit is a record that has a text which is near the question, and passes the filters; the most similar are the best, and
of equally similar ones the newest. Where few rows pass the filters their texts are compared, all of them; else the
nearest texts are looked for among the rows that pass, more of them in turn until there are enough traces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.questions import Filters, NearTexts
from receiver.signals import Signal
from receiver.store.passing_rows import SIGNALS, PassingRows, Rows, TooManyRowsError
from receiver.store.row_places import RowPlaces, low_64

ROUNDS = (12, 50, 200, 1000)
"""Texts that are looked at in turn until enough records pass the filters; after these, all of them."""
_LOOKED_UP = {12: 12, 50: 200, 200: 200, 1000: 1000}
"""Texts whose hits are looked up at a time: a second look at all stretches costs more than those of 150 texts."""
_MOST_HITS = 1_000_000
"""Of more, reading the columns costs no more than ranking them here."""
_FEW_ROWS, _FEW_TEXTS = 50_000, 4_000
"""To compare the texts of so few rows costs less than to ask the index twice."""
_SOME_ROWS = 2_000_000
"""To compare the texts of so many rows costs less than to have the index walk through all of its texts."""
_SORTED = 4096
"""Hits that are sorted at a time; the best few are wanted of up to a million."""
Group = tuple[dict[str, Any], dict[str, Any], int]
"""The place of the best record of a trace, its similarity and time, and how many hits the trace has."""


def ranked_groups(
    cursor: duckdb.DuckDBPyConnection,
    places: Mapping[Signal, RowPlaces],
    near: NearTexts,
    filters: Filters,
    limit: int,
) -> list[Group] | None:
    """Return the best record of each trace, the best first; None where that takes reading the table.

    Args:
        cursor: In the transaction of the question; it had read nothing when ``places`` were asked for.
        places: What is known of spans and log records.
        near: The texts that are near the question.
        filters: What a record must be; other filters than service, time and signal take reading.
        limit: Most groups.
    """
    plain = replace(filters, service=None, since_ns=None, until_ns=None, signal=None)
    if plain != Filters() or not any(places[signal].known_rows for signal in SIGNALS):
        return None
    try:
        return _ranked(PassingRows(cursor, places, filters), near, limit)
    except TooManyRowsError:
        return None


def _ranked(passing: PassingRows, near: NearTexts, limit: int) -> list[Group]:
    if (compared := _compared(passing, near, limit, _FEW_ROWS, _FEW_TEXTS)) is not None:
        return compared
    hits, are_all = _Hits(), False
    for count in ROUNDS:
        if count > hits.texts:
            found, are_all = near.first(_LOOKED_UP[count])
            hits.add(passing, found)
        groups = hits.groups(count, limit)
        if len(groups) >= limit or (are_all and count >= hits.texts):
            return groups
    if (compared := _compared(passing, near, limit, _SOME_ROWS, _SOME_ROWS)) is not None:
        return compared
    hits.add(passing, near.first(len(near.index))[0])
    return hits.groups(hits.texts, limit)


def _compared(
    passing: PassingRows, near: NearTexts, limit: int, most_rows: int, most_texts: int
) -> list[Group] | None:
    """Return the groups of all texts of the rows that pass; None where these are too many."""
    rows = passing.all(most_rows)
    if rows is None:
        return None
    texts, of_row = np.unique(rows.texts, return_inverse=True)
    if len(texts) > most_texts:
        return None
    similarities = near.among(texts)[of_row]
    kept = similarities > -np.inf
    if not kept.any():
        return []
    return _groups(rows.where(kept), similarities[kept], limit)


class _Hits:
    """The hits of the texts that were looked at, the nearest texts first."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self.texts = 0
        """How many texts were looked at."""
        self._seen: set[UUID] = set()
        self._similarities: list[float] = []
        self._ranks: list[NDArray[np.int64]] = []
        self._parts: list[Rows] = []
        self._count = 0

    def add(self, passing: PassingRows, found: Mapping[UUID, float]) -> None:
        """Look up the rows of those texts that were not looked at before.

        Raises:
            TooManyRowsError: They have too many rows.
        """
        new = [text_id for text_id in found if text_id not in self._seen]
        self._seen.update(new)
        first = len(self._similarities)
        self._similarities += [found[text_id] for text_id in new]
        self.texts = len(self._similarities)
        if not new:
            return
        lows = np.array([low_64(text_id) for text_id in new], dtype=np.uint64)
        order = np.argsort(lows)
        lows = lows[order]
        for rows in passing.of_texts(lows):
            self._parts.append(rows)
            self._ranks.append(first + order[np.searchsorted(lows, rows.texts)])
            self._count += len(rows.places)
            if self._count > _MOST_HITS:
                raise TooManyRowsError

    def groups(self, count: int, limit: int) -> list[Group]:
        """Return the best groups of the hits of the ``count`` nearest texts."""
        if not self._count:
            return []
        rows, ranks = Rows.joined(self._parts), np.concatenate(self._ranks)
        self._parts, self._ranks = [rows], [ranks]
        if count < self.texts:
            kept = ranks < count
            rows, ranks = rows.where(kept), ranks[kept]
        return _groups(rows, np.array(self._similarities)[ranks], limit) if len(ranks) else []


def _groups(rows: Rows, similarities: NDArray[np.float64], limit: int) -> list[Group]:
    # A record without a trace stands with the others of its text: the same line, repeated, is one result.
    owned = rows.traces != 0
    keys = np.where(owned, rows.traces, rows.texts)
    chosen: dict[tuple[bool, int], int] = {}
    for at in _best_first(rows, similarities):
        key = bool(owned[at]), int(keys[at])
        if key not in chosen:
            chosen[key] = at
            if len(chosen) == limit:
                break
    return [
        (
            {"signal": SIGNALS[rows.signals[at]].value, "record": int(rows.places[at])},
            {"similarity": float(similarities[at]), "time": int(rows.times[at])},
            int(np.count_nonzero((keys == key) & (owned == is_owned))),
        )
        for (is_owned, key), at in chosen.items()
    ]


def _best_first(rows: Rows, similarities: NDArray[np.float64]) -> Iterator[int]:
    """Yield the hits, the most similar and of these the newest first; a slice of the similarities is sorted at a time."""
    left = np.arange(len(similarities))
    while len(left):
        taken, rest = left, left[:0]
        if len(left) > _SORTED:
            those = similarities[left]
            best = those >= np.partition(those, len(left) - _SORTED)[len(left) - _SORTED]
            taken, rest = left[best], left[~best]
        left = rest
        order = np.lexsort((rows.places[taken], ~rows.times[taken], -similarities[taken]))
        yield from taken[order].tolist()
