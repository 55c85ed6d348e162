"""Rows by their ids: from ids to places with the help of what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import duckdb
import numpy as np

from receiver.signals import Signal
from receiver.store.parsed_statements import parsed
from receiver.store.read_records import TABLES
from receiver.store.row_places import Places, RowPlaces

_LARGEST_SHARE = 0.01
"""Of the rows that are known; more candidates than that cost more to look up than the column costs to read."""
_FEW = 4096


def candidates(
    cursor: duckdb.DuckDBPyConnection, signal: Signal, places: RowPlaces, column: str, ids: Sequence[UUID]
) -> Places | None:
    """Return the places of all rows whose ``column`` is one of the ids, and of a few others; None: read them all.

    Args:
        cursor: Reads what is not known yet.
        signal: Spans or log records.
        places: Of this table.
        column: ``trace_id`` or ``text_id``.
        ids: What is looked for.
    """
    known = places.known_rows
    if not ids or not (known or places.settled):
        return None
    found = places.places(column, ids)
    if len(found) > max(_FEW, known * _LARGEST_SHARE):
        return None
    if places.settled:
        return found
    if len(ids) == 1:
        wanted, values = "r.{} = ?", list[Any]([ids[0]])
    else:
        wanted, values = "r.{} IN (SELECT unnest(?::UUID[]))", [list(ids)]
    newer = f"SELECT r.rowid FROM {TABLES[signal]} r WHERE r.rowid >= ? AND {wanted.format(column)}"
    rest: Places = cursor.execute(parsed(cursor, newer), [known, *values]).fetchnumpy()["rowid"]
    return np.concatenate([found, rest]) if len(rest) else found
