"""How many records were ever stored, and retired, by signal."""

from __future__ import annotations

import duckdb

from receiver.signals import Signal


def add_to_totals(
    connection: duckdb.DuckDBPyConnection, signal: Signal, *, stored: int = 0, retired: int = 0
) -> None:
    """Count in the transaction in hand.

    Not by UPDATE: DuckDB lets no checkpoint begin while a question runs that is older than a committed UPDATE
    (2.0; inserts and deletes do not matter), and then one question after the other puts it off.

    Raises:
        duckdb.Error: The transaction has failed.
    """
    before = connection.execute(
        "DELETE FROM record_totals WHERE signal = ? RETURNING stored, retired", [signal.value]
    ).fetchall()
    for were_stored, were_retired in before:
        connection.execute(
            "INSERT INTO record_totals VALUES (?, ?, ?)",
            [signal.value, were_stored + stored, were_retired + retired],
        )
