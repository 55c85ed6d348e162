"""The one writer: rows, spool position and totals in one transaction; implements ``receiver.ports.StoreWriter``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa

from receiver.errors import StoreRejectedError, StoreUnavailableError
from receiver.ports import LoadBatch, Retired, TextVectors
from receiver.signals import Signal
from receiver.store.duckdb_store import DuckDbStore

_KEYED = {"resources": "resource_id", "scopes": "scope_id", "metrics": "metric_id", "texts": "text_id"}
"""Tables that hold each thing once, and the column that says which."""
_TABLES = (
    *_KEYED,
    "spans",
    "logs",
    "metric_points",
    "histogram_points",
    "exponential_histogram_points",
    "summary_points",
)
_POINT_TABLES = _TABLES[-4:]
_PERMANENT = (
    duckdb.ConversionException,
    duckdb.ConstraintException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.BinderException,
    duckdb.TypeMismatchException,
    duckdb.DataError,
)
_END_TIME = {
    "spans": "greatest(start_time_unix_nano, end_time_unix_nano)",
    "logs": "greatest(time_unix_nano, observed_time_unix_nano)",
    **dict.fromkeys(_POINT_TABLES, "time_unix_nano"),
}
_SIGNAL = {"spans": Signal.TRACES, "logs": Signal.LOGS, **dict.fromkeys(_POINT_TABLES, Signal.METRICS)}


class DuckDbWriter:
    """Writes to an open store. Threads: one at a time."""

    def __init__(self, store: DuckDbStore) -> None:
        """Take a connection of its own."""
        self._store = store
        self._connection = store.cursor()

    def position(self, spool: UUID) -> int:
        """Return the stored position of a spool; 0 for one never seen."""
        position = self._value("SELECT max(position) FROM spool_positions WHERE spool = ?", str(spool))
        return position if position is not None else 0

    def load(self, batch: LoadBatch) -> None:
        """Write a batch in one transaction; see the port."""
        connection = self._connection
        try:
            connection.execute("BEGIN")
            for name in _TABLES:
                if name in batch.tables:
                    self._insert(name, batch.tables[name])
            self._advance(batch)
            connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            if isinstance(error, _PERMANENT) and not isinstance(error, duckdb.OperationalError):
                raise StoreRejectedError(f"the store refused the rows: {error}") from error
            raise StoreUnavailableError(f"the store could not write: {error}") from error
        finally:
            self._forget_input("input_rows")

    def checkpoint(self) -> Mapping[UUID, int]:
        """Complete a checkpoint; return the positions that it covers."""
        rows = self._connection.execute(
            "SELECT spool, max(position) FROM spool_positions GROUP BY spool"
        ).fetchall()
        try:
            self._connection.execute("CHECKPOINT")
        except duckdb.Error as error:
            raise StoreUnavailableError(f"the checkpoint did not complete: {error}") from error
        return dict(rows)

    def write_embeddings(self, rows: Sequence[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors; texts that have some of this model keep them, texts that are gone get none.

        With ``replace`` the new vectors stand in the place of those that a text has; one transaction.
        """
        if not rows:
            return
        ids = [str(row.text_id) for row in rows for _ in row.vectors]
        chunks = np.concatenate([np.arange(len(row.vectors), dtype=np.uint16) for row in rows])
        vectors = np.concatenate([row.vectors for row in rows]).astype(np.float32, copy=False)
        table = pa.table(
            {
                "text_id": pa.array(ids, pa.string()),
                "chunk": pa.array(chunks),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
            }
        )
        self._connection.register("input_vectors", table)
        try:
            self._connection.execute("BEGIN")
            if replace:
                self._connection.execute(
                    "DELETE FROM embeddings WHERE model = ?"
                    " AND text_id IN (SELECT text_id::UUID FROM input_vectors)",
                    [model],
                )
            self._connection.execute(
                "INSERT INTO embeddings SELECT text_id::UUID, chunk, ?, vector FROM input_vectors WHERE "
                "text_id::UUID IN (SELECT text_id FROM texts) "
                "AND text_id::UUID NOT IN (SELECT text_id FROM embeddings WHERE model = ?)",
                [model, model],
            )
            self._connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise StoreUnavailableError(f"the store could not write vectors: {error}") from error
        finally:
            self._forget_input("input_vectors")

    def retire(self, *, before_ns: int) -> Retired:
        """Delete records that ended before ``before_ns`` and what only they referred to; see the port."""
        connection = self._connection
        counts = dict.fromkeys(Signal, 0)
        try:
            connection.execute("BEGIN")
            for table, end in _END_TIME.items():
                row = connection.execute(
                    f"DELETE FROM {table} WHERE {end} < ?::UBIGINT", [before_ns]
                ).fetchone()
                counts[_SIGNAL[table]] += row[0] if row else 0
            texts = self._delete_unreferenced() if any(counts.values()) else []
            for signal, count in counts.items():
                connection.execute(
                    "UPDATE record_totals SET retired = retired + ? WHERE signal = ?", [count, signal.value]
                )
            connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise StoreUnavailableError(f"the store could not delete: {error}") from error
        return Retired(counts, texts)

    def age_at(self, share: float) -> int | None:
        """Return the time before which that share of all records lies."""
        union = " UNION ALL ".join(f"SELECT {end} AS ended FROM {table}" for table, end in _END_TIME.items())
        return self._value(
            f"SELECT approx_quantile(ended::HUGEINT, {share:.4f}::FLOAT)::UBIGINT FROM ({union})"
        )

    def used_bytes(self) -> int:
        """Return the bytes of the blocks that hold something, and of the log."""
        used = self._value(
            "SELECT sum(used_blocks * block_size)::UBIGINT FROM pragma_database_size() "
            "WHERE database_name = current_database()"
        )
        return int(used or 0)

    def close(self) -> None:
        """Close the writer's connection."""
        self._connection.close()

    def _insert(self, name: str, table: pa.Table) -> None:
        key = _KEYED.get(name)
        new = f" WHERE {key} NOT IN (SELECT {key} FROM {name})" if key else ""
        rows = f"(SELECT DISTINCT ON ({key}) * FROM input_rows)" if key == "metric_id" else "input_rows"
        # Unregistering is a statement too and fails in an aborted transaction, so it waits until after it.
        self._connection.register("input_rows", table)
        self._connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM {rows}{new}")

    def _advance(self, batch: LoadBatch) -> None:
        spool = str(batch.spool)
        self._connection.execute("DELETE FROM spool_positions WHERE spool = ?", [spool])
        self._connection.execute("INSERT INTO spool_positions VALUES (?, ?)", [spool, batch.position])
        for signal, count in batch.records.items():
            if count:
                self._connection.execute(
                    "UPDATE record_totals SET stored = stored + ? WHERE signal = ?", [count, signal.value]
                )

    def _delete_unreferenced(self) -> list[UUID]:
        execute = self._connection.execute
        points = " UNION ALL ".join(f"SELECT metric_id FROM {table}" for table in _POINT_TABLES)
        execute(f"DELETE FROM metrics WHERE metric_id NOT IN ({points})")
        for table, key in (("resources", "resource_id"), ("scopes", "scope_id")):
            used = " UNION ALL ".join(f"SELECT {key} FROM {name}" for name in ("spans", "logs", "metrics"))
            execute(f"DELETE FROM {table} WHERE {key} NOT IN ({used})")
        texts = " UNION ALL ".join(
            f"SELECT text_id FROM {t} WHERE text_id IS NOT NULL" for t in ("spans", "logs")
        )
        gone = execute(f"DELETE FROM texts WHERE text_id NOT IN ({texts}) RETURNING text_id").fetchall()
        execute("DELETE FROM embeddings WHERE text_id NOT IN (SELECT text_id FROM texts)")
        return [row[0] for row in gone]

    def _value(self, query: str, *values: Any) -> Any:
        """Return the one value of the one row; a result that is not read to its end would keep the connection."""
        ((value,),) = self._connection.execute(query, list(values)).fetchall()
        return value

    def _forget_input(self, name: str) -> None:
        """Let go of the Arrow memory that was read from."""
        with contextlib.suppress(duckdb.Error):
            self._connection.unregister(name)

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            # DuckDB has rolled back by itself, or the database is invalid and the next call says so.
            self._connection = self._store.cursor()
