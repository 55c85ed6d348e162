"""Arrow tables as the input of statements in a transaction of the caller's."""

from __future__ import annotations

import contextlib

import duckdb
import pyarrow as pa

INPUT_ROWS = "input_rows"
"""What statements call the table."""


def offer_rows(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
    """Let the connection's statements read the table, until another one is offered, or :func:`forget_rows`.

    Raises:
        duckdb.Error: The transaction has failed.
    """
    connection.register(INPUT_ROWS, table)


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    table: pa.Table,
    rows: str = f"SELECT * FROM {INPUT_ROWS}",
) -> None:
    """Offer the table and insert what the query ``rows`` makes of it; columns go by their names.

    Raises:
        duckdb.Error: The transaction has failed.
    """
    offer_rows(connection, table)
    connection.execute(f"INSERT INTO {name} BY NAME {rows}")


def forget_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Let go of the memory that was offered.

    That is a statement too, and fails in a transaction that has failed: call it again after the transaction.
    """
    with contextlib.suppress(duckdb.Error):
        connection.unregister(INPUT_ROWS)
