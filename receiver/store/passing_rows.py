"""The rows that pass a question's filters, by what is known of rows: no row of the table is read for it.

Stretches say it of the rows that they hold (:mod:`receiver.store.row_places`); newer rows are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.newest_rows import NewestRows, newest_rows
from receiver.store.parsed_statements import parsed
from receiver.store.row_places import LOW_32, NO_OWNER, STRETCH_ROWS, RowPlaces, Stretch, low_64

SIGNALS = (Signal.TRACES, Signal.LOGS)
_ROWS_PER_PASSING = 8
"""Rows that are looked at for one that may pass, at most, before the index is asked."""
_MOST_NEWEST = 3 * STRETCH_ROWS
"""Of more rows that are not known yet, reading their columns for a search costs more than the rest of it."""
_MOST_SERVICES = 1024
"""Whose resources are remembered between two commits."""
_OWNERS = "(SELECT list(resource_id) FROM resources WHERE service_name = ?)"
_Part = Stretch | NewestRows


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as columns."""

    signals: NDArray[np.uint8]
    places: NDArray[np.int64]
    texts: NDArray[np.uint64]
    traces: NDArray[np.uint64]
    times: NDArray[np.uint64]

    def where(self, kept: NDArray[np.bool_]) -> Rows:
        """Return some of them."""
        return Rows(
            self.signals[kept], self.places[kept], self.texts[kept], self.traces[kept], self.times[kept]
        )

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        """Return the rows of all of these, one behind the other."""
        columns = ("signals", "places", "texts", "traces", "times")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


class TooManyRowsError(Exception):
    """Ranking them here costs more than reading the table."""


class PassingRows:
    """The rows of the store that pass the filters, as far as they are asked for."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, places: Mapping[Signal, RowPlaces], filters: Filters
    ) -> None:
        """Ask the store for what has changed.

        Raises:
            TooManyRowsError: Rows were deleted since they were learnt, or too many are not known yet.
        """
        self._since = np.uint64(max(filters.since_ns or 0, 0))
        self._until = None if filters.until_ns is None else np.uint64(max(filters.until_ns, 0))
        state = _settled_state(cursor, places, filters) or _state(cursor, filters)
        self._owners = state.owners
        self._parts: list[tuple[Signal, _Part, NDArray[np.bool_] | None]] = []
        """With each stretch which of its resources pass; None: every one."""
        if self._owners is not None and not len(self._owners):
            return
        for signal in SIGNALS:
            known = places[signal]
            if filters.signal not in (None, signal) or not state.rows[signal]:
                continue
            unknown = state.rows[signal] - known.rows
            if (known.known_rows and known.retired != state.retired) or unknown > _MOST_NEWEST:
                raise TooManyRowsError
            if unknown:
                self._parts.append((signal, newest_rows(cursor, signal, known.known_rows), None))
            for stretch in known.newest_first(filters.since_ns, filters.until_ns):
                self._add(signal, stretch)

    def _add(self, signal: Signal, stretch: Stretch) -> None:
        facts = stretch.facts
        if self._owners is None:
            self._parts.append((signal, stretch, None))
            return
        if len(facts.owner_ids) >= NO_OWNER:
            raise TooManyRowsError
        if not len(facts.owner_ids):
            return
        places = np.minimum(np.searchsorted(facts.owner_ids, self._owners), len(facts.owner_ids) - 1)
        passing = np.zeros(len(facts.owner_ids), dtype=np.bool_)
        passing[places[facts.owner_ids[places] == self._owners]] = True
        if passing.any():
            self._parts.append((signal, stretch, passing))

    def of_texts(self, texts: NDArray[np.uint64]) -> Iterator[Rows]:
        """Yield the rows that have one of these texts, which ascend, of one stretch after the other."""
        hashes = np.unique(texts & LOW_32)
        for signal, part, owners in self._parts:
            if isinstance(part, Stretch):
                places = (part.entries("text_id", hashes) & LOW_32).astype(np.intp)
                places = self._passing(part, owners, places)
            else:
                places = self._passing(part, owners, None)
            have = (part.facts if isinstance(part, Stretch) else part).texts[places]
            at = np.minimum(np.searchsorted(texts, have), len(texts) - 1)
            kept = places[texts[at] == have]
            if len(kept):
                yield _taken(signal, part, kept)

    def all(self, most: int) -> Rows | None:
        """Return every row that has a text; None where they are more than ``most``, or hard to find."""
        if sum(_most_passing(part, owners) for _, part, owners in self._parts) > _ROWS_PER_PASSING * most:
            return None
        found: list[Rows] = [_NO_ROWS]
        count = 0
        for signal, part, owners in self._parts:
            places = self._passing(part, owners, None)
            count += len(places)
            if count > most:
                return None
            found.append(_taken(signal, part, places))
        return Rows.joined(found)

    def _passing(
        self, part: _Part, owners: NDArray[np.bool_] | None, places: NDArray[np.intp] | None
    ) -> NDArray[np.intp]:
        """Return those of some places (None: of all) whose row passes."""
        columns = part.facts if isinstance(part, Stretch) else part
        if places is None:
            places = self._owned(part, owners)
        elif owners is not None and isinstance(part, Stretch):
            places = places[owners[part.facts.owners[places]]]
        inside = isinstance(part, Stretch) and (
            part.earliest_ns >= self._since and (self._until is None or part.latest_ns < self._until)
        )
        if inside:
            return places
        times = columns.times[places]
        kept = times >= self._since
        if self._until is not None:
            kept &= times < self._until
        return places[kept]

    def _owned(self, part: _Part, owners: NDArray[np.bool_] | None) -> NDArray[np.intp]:
        """Return the places whose row has a text and a resource that passes."""
        if isinstance(part, NewestRows):
            texts = part.texts
            places = None if self._owners is None else np.flatnonzero(np.isin(part.owners, self._owners))
        else:
            texts = part.facts.texts
            places = None if owners is None else np.flatnonzero(_are_of(part.facts.owners, owners))
        return np.flatnonzero(texts) if places is None else places[texts[places] != 0]


def _are_of(owners: NDArray[np.uint16], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows are of one of the resources; comparing with one costs a tenth of looking each up."""
    few = np.flatnonzero(wanted)
    return owners == few[0] if len(few) == 1 else wanted[owners]


def _most_passing(part: _Part, owners: NDArray[np.bool_] | None) -> int:
    """Return how many rows have a resource that passes."""
    if isinstance(part, NewestRows):
        return len(part.texts)
    rows = part.facts.owner_rows
    return int(rows.sum() if owners is None else rows[owners].sum())


def _taken(signal: Signal, part: _Part, places: NDArray[np.intp]) -> Rows:
    columns = part.facts if isinstance(part, Stretch) else part
    return Rows(
        signals=np.full(len(places), SIGNALS.index(signal), dtype=np.uint8),
        places=places + part.first if isinstance(part, Stretch) else part.places[places],
        texts=columns.texts[places],
        traces=columns.traces[places],
        times=columns.times[places],
    )


@dataclass(frozen=True, slots=True)
class _State:
    """The store as this transaction sees it."""

    retired: int
    """How many records were ever deleted."""
    rows: Mapping[Signal, int]
    owners: NDArray[np.uint64] | None
    """The resources of the service that is asked for, ascending; None where every one passes."""


def _settled_state(
    cursor: duckdb.DuckDBPyConnection, places: Mapping[Signal, RowPlaces], filters: Filters
) -> _State | None:
    """Return what was learnt of the store, if nothing has changed since."""
    known = [places[signal] for signal in SIGNALS]
    settled = known[0].settled
    if settled is None or any(each.settled is not settled for each in known):
        return None
    rows = {signal: places[signal].rows for signal in SIGNALS}
    if filters.service is None:
        return _State(known[0].retired, rows, None)
    owners = settled.owners.get(filters.service)
    if owners is None:
        if len(settled.owners) >= _MOST_SERVICES:
            return None
        owners = _state(cursor, filters).owners
        if owners is not None:
            settled.owners[filters.service] = owners
    return _State(known[0].retired, rows, owners)


def _state(cursor: duckdb.DuckDBPyConnection, filters: Filters) -> _State:
    """Ask for all of it at once: each statement costs a millisecond."""
    of_service = "NULL" if filters.service is None else _OWNERS
    asked = (
        "SELECT (SELECT sum(retired)::UBIGINT FROM record_totals), (SELECT count(*) FROM spans),"
        f" (SELECT count(*) FROM logs), {of_service}"
    )
    ((retired, spans, logs, owners),) = cursor.execute(
        parsed(cursor, asked),
        [] if filters.service is None else [filters.service],
    ).fetchall()
    rows = {Signal.TRACES: int(spans), Signal.LOGS: int(logs)}
    if filters.service is None:
        return _State(int(retired or 0), rows, None)
    lows = np.array([low_64(owner) for owner in owners or ()], dtype=np.uint64)
    return _State(int(retired or 0), rows, np.unique(lows))


_NO_ROWS = Rows(np.empty(0, np.uint8), np.empty(0, np.int64), *(np.empty(0, np.uint64) for _ in range(3)))
