"""The best record of each trace for some texts, ranked by what is known of rows: no row of the table is read for it.

A hit is a record that has one of the texts and passes the filters; the most similar are the best, and of equally similar
ones the newest. Only rows that are not known yet are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.place_keeper import retired_records
from receiver.store.read_filters import TIME, Conditions
from receiver.store.read_records import TABLES
from receiver.store.row_places import LOW_32, LOW_64, NO_OWNER, TRACE_KEY, RowPlaces, Stretch

_MOST_HITS = 1_000_000
"""Of more, reading the columns costs no more than ranking them here."""
_SIGNALS = (Signal.TRACES, Signal.LOGS)
Group = tuple[dict[str, Any], dict[str, Any], int]
"""The place of the best record of a trace, its similarity and time, and how many hits the trace has."""


@dataclass(frozen=True, slots=True)
class _Hits:
    """Some hits as columns."""

    signals: NDArray[np.uint8]
    rows: NDArray[np.int64]
    texts: NDArray[np.uint64]
    traces: NDArray[np.uint64]
    times: NDArray[np.uint64]


def ranked_groups(
    cursor: duckdb.DuckDBPyConnection,
    places: Mapping[Signal, RowPlaces],
    asked: Mapping[Signal, Conditions],
    *,
    filters: Filters,
    similarities: Mapping[UUID, float],
    limit: int,
) -> list[Group] | None:
    """Return the best record of each trace, the best first; None where that takes reading the table.

    Args:
        cursor: In the transaction of the question.
        places: Of spans and log records.
        asked: The conditions of each table that is searched.
        filters: What the conditions say; other ones than service and time take reading.
        similarities: Of each text.
        limit: Most groups.
    """
    plain = replace(filters, service=None, since_ns=None, until_ns=None, signal=None)
    if plain != Filters() or not any(places[signal].known_rows for signal in asked):
        return None
    retired = retired_records(cursor)
    if any(places[signal].known_rows and places[signal].retired != retired for signal in asked):
        return None
    owners = _owners(cursor, filters)
    wanted = _Wanted(similarities)
    parts: list[_Hits] = []
    count = 0
    for signal in asked:
        for stretch in places[signal].newest_first(filters.since_ns, filters.until_ns):
            hits = _known_hits(signal, stretch, wanted, filters, owners)
            if hits is None:
                return None
            parts.append(hits)
            count += len(hits.rows)
            if count > _MOST_HITS:
                return None
        parts.append(_new_hits(cursor, signal, places[signal].known_rows, asked[signal], similarities))
    return _groups(parts, wanted, limit)


class _Wanted:
    """The texts that are looked for, by the low 64 bits of their ids."""

    def __init__(self, similarities: Mapping[UUID, float]) -> None:
        lows = np.array([text.int & 0xFFFF_FFFF_FFFF_FFFF for text in similarities], dtype=np.uint64)
        order = np.argsort(lows)
        self.lows = lows[order]
        self.similarities = np.array(list(similarities.values()), dtype=np.float64)[order]
        self.hashes = np.unique(self.lows & LOW_32)

    def places_of(self, texts: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each text stands, and whether it is there at all."""
        at = np.minimum(np.searchsorted(self.lows, texts), len(self.lows) - 1)
        return at, self.lows[at] == texts


def _owners(cursor: duckdb.DuckDBPyConnection, filters: Filters) -> NDArray[np.uint64] | None:
    """Return the resources of the service that is asked for; None where every one passes."""
    if filters.service is None:
        return None
    low = LOW_64.format("resource_id")
    found = cursor.execute(
        f"SELECT DISTINCT {low} FROM resources WHERE service_name = ?", [filters.service]
    ).fetchall()
    return np.array([value for (value,) in found], dtype=np.uint64)


def _known_hits(
    signal: Signal, stretch: Stretch, wanted: _Wanted, filters: Filters, owners: NDArray[np.uint64] | None
) -> _Hits | None:
    entries = stretch.entries("text_id", wanted.hashes)
    offsets = (entries & LOW_32).astype(np.intp)
    facts = stretch.facts
    texts = (facts.texts[offsets].astype(np.uint64) << np.uint64(32)) | (entries >> np.uint64(32))
    passing = wanted.places_of(texts)[1]
    times = facts.times[offsets]
    if filters.since_ns is not None:
        passing &= times >= np.uint64(max(filters.since_ns, 0))
    if filters.until_ns is not None:
        passing &= times < np.uint64(max(filters.until_ns, 0))
    if owners is not None:
        if len(facts.owner_ids) >= NO_OWNER:
            return None
        passing &= np.isin(facts.owner_ids, owners)[facts.owners[offsets]]
    kept = offsets[passing]
    return _Hits(
        signals=np.full(len(kept), _SIGNALS.index(signal), dtype=np.uint8),
        rows=kept + stretch.first,
        texts=texts[passing],
        traces=facts.traces[kept],
        times=times[passing],
    )


def _new_hits(
    cursor: duckdb.DuckDBPyConnection,
    signal: Signal,
    known_rows: int,
    asked: Conditions,
    similarities: Mapping[UUID, float],
) -> _Hits:
    """Return the hits among the rows that are not known yet."""
    found = cursor.execute(
        f"SELECT r.rowid AS place, {LOW_64.format('r.text_id')} AS text, {TIME[signal]} AS time,"
        f" {TRACE_KEY.format('r.')} AS trace FROM {TABLES[signal]} r"
        f" WHERE r.rowid >= ? AND r.text_id IN (SELECT unnest(?::UUID[])) AND {asked.sql}",
        [known_rows, list(similarities), *asked.values],
    ).fetchnumpy()
    return _Hits(
        signals=np.full(len(found["place"]), _SIGNALS.index(signal), dtype=np.uint8),
        rows=np.asarray(found["place"], dtype=np.int64),
        texts=np.asarray(found["text"], dtype=np.uint64),
        traces=np.asarray(found["trace"], dtype=np.uint64),
        times=np.asarray(found["time"], dtype=np.uint64),
    )


def _groups(parts: Sequence[_Hits], wanted: _Wanted, limit: int) -> list[Group]:
    rows = np.concatenate([part.rows for part in parts])
    signals = np.concatenate([part.signals for part in parts])
    times = np.concatenate([part.times for part in parts])
    traces = np.concatenate([part.traces for part in parts])
    places = wanted.places_of(np.concatenate([part.texts for part in parts]))[0]
    similarities = wanted.similarities[places]
    # A record without a trace stands with the others of its text: the same line, repeated, is one result.
    keys = np.where(traces != 0, traces, places.astype(np.uint64))
    owned = traces != 0
    best_first = np.lexsort((rows, ~times, -similarities))
    chosen: dict[tuple[bool, int], int] = {}
    for at in best_first.tolist():
        key = bool(owned[at]), int(keys[at])
        if key not in chosen:
            chosen[key] = at
            if len(chosen) == limit:
                break
    return [
        (
            {"signal": _SIGNALS[signals[at]].value, "record": int(rows[at])},
            {"similarity": float(similarities[at]), "time": int(times[at])},
            int(np.count_nonzero((keys == key) & (owned == is_owned))),
        )
        for (is_owned, key), at in chosen.items()
    ]
