"""Resources and scopes by id, remembered: an id is the hash of all that its row says, in every store.

A statement costs a millisecond however little it reads, and most records name a resource that was just asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import duckdb

_MOST = 4096
Row = tuple[Any, ...]


class DimensionCache:
    """The rows of one table that were asked for lately. Threads: any."""

    def __init__(self, table: str, key: str, columns: str) -> None:
        """Know nothing yet.

        Args:
            table: Its rows are named by the hash of their content.
            key: The column of the hash.
            columns: What is remembered, as SQL.
        """
        self._statement = f"SELECT {key}, {columns} FROM {table} WHERE {key} IN (SELECT unnest(?::UUID[]))"
        self._rows: OrderedDict[UUID, Row] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, cursor: duckdb.DuckDBPyConnection, ids: Iterable[UUID]) -> dict[UUID, Row]:
        """Return the columns of each of these rows that is there; the store is asked for those not known."""
        wanted = set(ids)
        found: dict[UUID, Row] = {}
        with self._lock:
            for each in wanted:
                if each in self._rows:
                    self._rows.move_to_end(each)
                    found[each] = self._rows[each]
        missing = sorted(wanted - found.keys())
        if missing:
            new = {row[0]: row[1:] for row in cursor.execute(self._statement, [missing]).fetchall()}
            found |= new
            with self._lock:
                self._rows |= new
                while len(self._rows) > _MOST:
                    self._rows.popitem(last=False)
        return found


RESOURCES = DimensionCache(
    "resources",
    "resource_id",
    "service_name, attributes, dropped_attributes_count, entity_refs, schema_url",
)
SCOPES = DimensionCache(
    "scopes", "scope_id", "name, version, attributes, dropped_attributes_count, schema_url"
)
