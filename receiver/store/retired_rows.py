"""What retention takes out of the store: records that ended, and what only they referred to."""

from __future__ import annotations

from uuid import UUID

import duckdb

from receiver.ports import Retired
from receiver.signals import Signal
from receiver.store.record_totals import add_to_totals
from receiver.store.row_tables import END_TIME, POINT_TABLES, ROW_TABLES

_ENDS = " UNION ALL ".join(f"SELECT {end} AS ended FROM {table}" for table, end in END_TIME.items())
AGE_AT = f"SELECT approx_quantile(ended::HUGEINT, {{share:.4f}}::FLOAT)::UBIGINT FROM ({_ENDS})"
"""SQL for the time before which that share of all records ended; NULL where there is none."""


def delete_ended(connection: duckdb.DuckDBPyConnection, before_ns: int) -> Retired:
    """Delete, in the transaction in hand, what ended before ``before_ns``, and count it.

    Args:
        connection: Is in a transaction.
        before_ns: Unix time in nanoseconds.

    Returns:
        Records by signal, and the texts that nothing refers to any more.

    Raises:
        duckdb.Error: The transaction has failed.
    """
    counts = dict.fromkeys(Signal, 0)
    for table, signal in ROW_TABLES.items():
        row = connection.execute(
            f"DELETE FROM {table} WHERE {END_TIME[table]} < ?::UBIGINT", [before_ns]
        ).fetchone()
        counts[signal] += row[0] if row else 0
    texts = _delete_unreferenced(connection) if any(counts.values()) else []
    for signal, count in counts.items():
        add_to_totals(connection, signal, retired=count)
    return Retired(counts, texts)


def _delete_unreferenced(connection: duckdb.DuckDBPyConnection) -> list[UUID]:
    execute = connection.execute
    points = " UNION ALL ".join(f"SELECT metric_id FROM {table}" for table in POINT_TABLES)
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
