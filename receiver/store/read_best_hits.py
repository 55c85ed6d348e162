"""The best hits of some texts by what is known of rows: only rows that may be among the best are read.

A hit is a record that has one of the texts and passes the filters; the most similar are the best, and of equally
similar ones the newest. Texts are taken in the order of their similarity. Rare ones are read together; a frequent
one is read from its newest row back, until enough is found. Filters that let few rows pass end it: reading whole
columns, which skips by the same filters, costs less then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import duckdb
import numpy as np

from receiver.signals import Signal
from receiver.store.read_filters import TIME, Conditions
from receiver.store.read_places import candidates
from receiver.store.read_records import TABLES
from receiver.store.row_places import Places, RowPlaces, id_hash

_FEW = 4096
"""Rows of equally similar texts that are read in one statement; of more the newest are read first."""
_AT_LEAST = 256
_MOST_ROWS = 3000
_MOST_FILTERED_ROWS = 600
"""Rows that are looked up for a question, one with filters, before whole columns are read instead."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that has one of the texts and passes."""

    signal: Signal
    record: int
    trace_id: UUID | None
    text_id: UUID
    similarity: float
    time: int


class HitFinder:
    """Finds the hits of one question, inside its transaction. Threads: one."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        places: Mapping[Signal, RowPlaces],
        asked: Mapping[Signal, Conditions],
        similarities: Mapping[UUID, float],
    ) -> None:
        """Look at nothing yet; ``asked`` names the tables that are looked at."""
        self._cursor = cursor
        self._places = places
        self._asked = asked
        self._similarities = similarities
        self._looked_up = 0
        self._most_rows = _MOST_FILTERED_ROWS if any(each.parts for each in asked.values()) else _MOST_ROWS

    def best(self, count: int, traces: int) -> list[Hit] | None:
        """Return the best hits, the best first; None where reading whole columns costs less.

        They are ``count``, or fewer where these are all, or where they are of ``traces`` traces and every one has a
        trace.
        """
        found: list[Hit] = []
        new = self._new_rows()
        for texts in self._groups(2 * traces):
            of_texts = set(texts)
            more = [hit for hit in new if hit.text_id in of_texts]
            for signal in self._asked:
                more += self._known(signal, texts, count - len(found))
            if self._looked_up > self._most_rows:
                return None
            more.sort(key=lambda hit: (hit.similarity, hit.time), reverse=True)
            found += more[: count - len(found)]
            seen = {hit.trace_id for hit in found}
            if len(found) >= count or (len(seen) >= traces and None not in seen):
                break
        return found

    def matches(self, trace_ids: Sequence[UUID]) -> dict[UUID, int] | None:
        """Return how many hits each of these traces has; None where reading whole columns costs less."""
        counts: dict[UUID, int] = {}
        for signal, asked in self._asked.items():
            places = self._places[signal]
            rows = candidates(self._cursor, signal, places, "trace_id", trace_ids)
            if rows is None:
                return None
            of_texts = places.places("text_id", list(self._similarities))
            rows = rows[(rows >= places.known_rows) | np.isin(rows, of_texts)]
            if len(rows):
                found = self._cursor.execute(
                    f"SELECT r.trace_id, count(*) FROM {TABLES[signal]} r"
                    " WHERE r.rowid IN (SELECT unnest(?::BIGINT[])) AND r.trace_id IN (SELECT unnest(?::UUID[]))"
                    f" AND r.text_id IN (SELECT unnest(?::UUID[])) AND {asked.sql} GROUP BY r.trace_id",
                    [rows, list(trace_ids), list(self._similarities), *asked.values],
                ).fetchall()
                for trace_id, count in found:
                    counts[trace_id] = counts.get(trace_id, 0) + count
        return counts

    def _groups(self, rows: int) -> Iterator[list[UUID]]:
        """Yield texts, the most similar first: those of one similarity, or some rare ones of about ``rows`` rows."""
        gathered: list[UUID] = []
        size = 0
        ordered = sorted(self._similarities, key=self._similarities.__getitem__, reverse=True)
        for _, equal in groupby(ordered, key=self._similarities.__getitem__):
            texts = list(equal)
            mine = sum(len(self._places[signal].places("text_id", texts)) for signal in self._asked)
            if gathered and size + mine > _FEW:
                yield gathered
                gathered, size = [], 0
            gathered, size = gathered + texts, size + mine
            if size >= rows:
                yield gathered
                gathered, size = [], 0
        if gathered:
            yield gathered

    def _new_rows(self) -> list[Hit]:
        """Return all hits among the rows that are not known yet."""
        return [
            hit
            for signal, places in self._places.items()
            if signal in self._asked
            for hit in self._hits(signal, "r.rowid >= ?", [places.known_rows], list(self._similarities))
        ]

    def _known(self, signal: Signal, texts: list[UUID], count: int) -> list[Hit]:
        """Return the hits among the known rows: all, or of equally similar texts the newest ``count``."""
        places = self._places[signal]
        rows = places.places("text_id", texts)
        if len(rows) <= max(_AT_LEAST, 2 * count) or len({self._similarities[text] for text in texts}) > 1:
            return self._at(signal, rows, texts)
        hashes = np.unique(np.array([id_hash(text) for text in texts], dtype=np.uint64))
        order = places.newest_first(None, None)
        found: list[Hit] = []
        at = looked = 0
        while at < len(order) and self._looked_up <= self._most_rows:
            taken: list[Places] = []
            size = 0
            while at < len(order) and size < max(_AT_LEAST, 2 * count, looked):
                taken.append(order[at].places("text_id", hashes))
                size += len(taken[-1])
                at += 1
            looked += size
            found += self._at(signal, np.concatenate(taken), texts)
            found.sort(key=lambda hit: hit.time, reverse=True)
            del found[count:]
            if len(found) == count and (at == len(order) or found[-1].time >= order[at].latest_ns):
                break
        return found

    def _at(self, signal: Signal, rows: Places, texts: Sequence[UUID]) -> list[Hit]:
        self._looked_up += len(rows)
        if not len(rows) or self._looked_up > self._most_rows:
            return []
        return self._hits(signal, "r.rowid IN (SELECT unnest(?::BIGINT[]))", [rows], texts)

    def _hits(self, signal: Signal, where: str, values: list[Any], texts: Sequence[UUID]) -> list[Hit]:
        asked = self._asked[signal]
        found = self._cursor.execute(
            f"SELECT r.rowid, r.trace_id, r.text_id, {TIME[signal]} FROM {TABLES[signal]} r"
            f" WHERE {where} AND r.text_id IN (SELECT unnest(?::UUID[])) AND {asked.sql}",
            [*values, list(texts), *asked.values],
        ).fetchall()
        return [
            Hit(signal, record, trace_id, text_id, self._similarities[text_id], time)
            for record, trace_id, text_id, time in found
        ]
