"""Ids of things that stand in the store once and are known to be there, so that no statement has to look.

A system that sends has few resources, scopes, metrics and texts, and names them in every request.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_MOST = 65_536
"""Ids kept for one table: about 6 MB. Beyond it all are forgotten, and the store is asked again."""


class KnownKeys:
    """Remembers ids of committed rows. Threads: one at a time."""

    def __init__(self) -> None:
        """Know nothing."""
        self._stored: dict[str, set[bytes]] = {}
        self._pending: dict[str, set[bytes]] = {}

    def unknown(self, name: str, key: str, rows: pa.Table) -> pa.Table:
        """Return those rows of a table whose id may not be stored yet; they are, once the transaction commits."""
        ids = _ids(rows.column(key))
        stored = self._stored.get(name, set())
        pending = self._pending.setdefault(name, set())
        new = np.array([each not in stored and each not in pending for each in ids], dtype=np.bool_)
        pending.update(ids)
        return rows if new.all() else rows.filter(pa.array(new))

    def commit(self) -> None:
        """Take what was given to :meth:`unknown` for stored."""
        for name, ids in self._pending.items():
            stored = self._stored.setdefault(name, set())
            if len(stored) + len(ids) > _MOST:
                stored.clear()
            if len(ids) <= _MOST:
                stored |= ids
        self._pending.clear()

    def roll_back(self) -> None:
        """Forget what was given to :meth:`unknown` since the last commit."""
        self._pending.clear()

    def forget(self) -> None:
        """Know nothing any more: rows may be gone."""
        self._stored.clear()
        self._pending.clear()


def _ids(column: pa.ChunkedArray) -> list[bytes]:
    """Return the ids of a column; with Arrow's own ``to_pylist`` each takes twenty times as long."""
    found: list[bytes] = []
    for chunk in column.chunks:
        plain = chunk.cast(pa.binary(16))
        found += np.frombuffer(plain.buffers()[1], "V16", len(plain), 16 * plain.offset).tolist()
    return found
