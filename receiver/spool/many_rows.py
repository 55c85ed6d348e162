"""Many rows in a statement: `sqlite3` waits for the GIL at each one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def insert_many(
    connection: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]], most: int
) -> None:
    """Insert the rows, up to ``most`` in a statement.

    Args:
        connection: Keeps each statement, one for each number of rows, with the values that it was given last.
        into: What follows INSERT: ``INTO payloads``.
        rows: All of one length.
        most: SQLite takes 32,766 values at the most.
    """
    for start in range(0, len(rows), most):
        page = rows[start : start + most]
        row = f"({', '.join('?' * len(page[0]))})"
        connection.execute(
            f"INSERT {into} VALUES {', '.join([row] * len(page))}", [value for each in page for value in each]
        )
