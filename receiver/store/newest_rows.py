"""What the newest rows of a table say, those that no stretch has yet (:mod:`receiver.store.place_keeper`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.signals import Signal
from receiver.store.read_filters import TIME
from receiver.store.read_records import TABLES
from receiver.store.row_places import LOW_64, TRACE_KEY


@dataclass(frozen=True, slots=True)
class NewestRows:
    """What each of these rows says, as in :class:`receiver.store.row_places.RowFacts`."""

    places: NDArray[np.int64]
    times: NDArray[np.uint64]
    traces: NDArray[np.uint64]
    texts: NDArray[np.uint64]
    owners: NDArray[np.uint64]
    """The low 64 bits of the resource's id."""


def newest_rows(cursor: duckdb.DuckDBPyConnection, signal: Signal, first: int) -> NewestRows:
    """Return the rows of a table from the place ``first`` on."""
    found = cursor.execute(
        f"SELECT r.rowid AS place, {TIME[signal]} AS time, {TRACE_KEY.format('r.')} AS trace,"
        f" {LOW_64.format('r.text_id')} AS text, {LOW_64.format('r.resource_id')} AS owner"
        f" FROM {TABLES[signal]} r WHERE r.rowid >= ?",
        [first],
    ).fetchnumpy()

    def column(name: str) -> NDArray[np.uint64]:
        values: Any = np.ma.filled(found[name], 0)  # an array without a mask stays as it is
        return np.asarray(values, dtype=np.uint64)

    return NewestRows(
        np.asarray(found["place"], dtype=np.int64),
        times=column("time"),
        traces=column("trace"),
        texts=column("text"),
        owners=column("owner"),
    )
