"""What a transaction brings of things that stand in the store once: resources, scopes, metrics, texts."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from receiver.store.arrow_rows import INPUT_ROWS, insert_rows

KEYED = {"resources": "resource_id", "scopes": "scope_id", "metrics": "metric_id", "texts": "text_id"}
"""Tables that hold each thing once, and the column that says which."""


class NewThings:
    """What may not be there yet, until it is written. Threads: one at a time."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._tables: dict[tuple[str, pa.Schema], list[pa.Table]] = {}
        self.nbytes = 0
        """What is held takes in memory."""

    def add(self, name: str, table: pa.Table) -> None:
        """Hold rows of one of the ``KEYED`` tables; each id only once, but for metrics."""
        if len(table):
            self._tables.setdefault((name, table.schema), []).append(table)
            self.nbytes += table.nbytes

    def insert(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what is not there yet, in the transaction in hand, and hold nothing any more.

        To look costs the more the more is there, however little is looked for, so it is done for all together.

        Raises:
            duckdb.Error: The transaction has failed.
        """
        found = [(name, pa.concat_tables(tables)) for (name, _), tables in self._tables.items()]
        self._tables.clear()
        self.nbytes = 0
        for name, table in found:
            key = KEYED[name]
            rows = f"(SELECT DISTINCT ON ({key}) * FROM {INPUT_ROWS})" if key == "metric_id" else INPUT_ROWS
            # With NOT IN all that is there would be put into a hash table: four times the time.
            insert_rows(connection, name, table, f"SELECT r.* FROM {rows} r ANTI JOIN {name} USING ({key})")
