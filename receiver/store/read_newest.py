"""The newest rows that pass, a stretch of the table at a time: exact, and older rows are not read for it.

``ORDER BY time DESC LIMIT n`` reads a table from its oldest row to its newest. Rows come in about in the order of
their times, and :class:`receiver.store.row_places.RowPlaces` knows from when to when each stretch of them is: so the
latest stretches are read first, until those that are left are older than what was found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.read_filters import TIME, Conditions
from receiver.store.read_records import TABLES
from receiver.store.row_places import Ranges, RowPlaces, Stretch, joined

_MOST_RANGES = 8
"""Ranges of a stretch that are read one by one; with more of them all of it is."""
_GROWTH = 2
_LEAST_LIMIT = 64
"""DuckDB 2.0 fails with an internal error where a range of ``rowid`` is asked for, ordered, with a LIMIT of up to 50 (its
``late_materialization_max_rows``)."""


def newest_rows(
    cursor: duckdb.DuckDBPyConnection,
    signal: Signal,
    places: RowPlaces,
    *,
    filters: Filters,
    asked: Conditions,
    columns: str,
    limit: int,
    distinct: int | None = None,
) -> list[tuple[Any, ...]]:
    """Return ``columns`` of the newest rows that pass, each with its time before them, the newest first.

    No row that passes is newer than the last of them and missing.

    Args:
        cursor: In the transaction that ``asked`` was made in.
        signal: Spans or log records.
        places: Of this table; may know nothing.
        filters: Their times tell which stretches are left out.
        asked: Which rows pass; alias ``r``.
        columns: As SQL.
        limit: Most rows.
        distinct: Fewer rows will do if so many values of the first of ``columns`` are among them.
    """
    query = f"SELECT {TIME[signal]} AS time, {columns} FROM {TABLES[signal]} r WHERE {asked.sql}"
    order = " ORDER BY time DESC LIMIT ?"
    found: list[tuple[Any, ...]] = []
    tokens = _hashes(cursor, asked.tokens)
    for ranges, rest_ns in _batches(places, places.newest_first(filters.since_ns, filters.until_ns), tokens):
        for first, end in ranges:
            within, values = (" AND r.rowid >= ?", [first]) if first else ("", [])
            if end is not None:
                within, values = f"{within} AND r.rowid < ?", [*values, end]
            found += cursor.execute(
                query + within + order, [*asked.values, *values, max(limit, _LEAST_LIMIT)]
            ).fetchall()
        if ranges:
            found.sort(key=_time_of, reverse=True)
            del found[limit:]
        certain = bisect_right(found, -rest_ns, key=lambda row: -row[0])
        if certain == limit or (
            distinct is not None and len({row[1] for row in found[:certain]}) >= distinct
        ):
            return found[:certain]
    return found


def _time_of(row: tuple[Any, ...]) -> int:
    time: int = row[0]
    return time


def _batches(
    places: RowPlaces, order: Sequence[Stretch], tokens: list[list[int]]
) -> Iterator[tuple[Sequence[tuple[int, int | None]], int]]:
    """Yield ranges of rows to be read next, and the latest time of all that come after them (-1: none do)."""
    first, at, count = places.known_rows, 0, 1
    if order and order[0].end == first and not tokens:  # one statement for both
        first, at = order[0].first, 1
    yield [(first, None)], order[at].latest_ns if at < len(order) else -1
    while at < len(order):
        batch = sorted(order[at : at + count], key=lambda stretch: stretch.first)
        at += count
        ranges = joined(each for stretch in batch for each in _candidates(stretch, tokens))
        yield ranges, order[at].latest_ns if at < len(order) else -1
        count = min(count * _GROWTH, 16)


def _candidates(stretch: Stretch, tokens: list[list[int]]) -> Ranges:
    fewest: Ranges = [(stretch.first, stretch.end)]
    for each in tokens:
        ranges = stretch.blocks(each)
        if not ranges:
            return []
        if len(ranges) <= _MOST_RANGES and _rows(ranges) < _rows(fewest):
            fewest = ranges
    return fewest


def _rows(ranges: Ranges) -> int:
    return sum(end - first for first, end in ranges)


def _hashes(cursor: duckdb.DuckDBPyConnection, tokens: list[list[str]]) -> list[list[int]]:
    return [
        [value for (value,) in cursor.execute("SELECT hash(unnest(?::VARCHAR[]))", [each]).fetchall()]
        for each in tokens
    ]
