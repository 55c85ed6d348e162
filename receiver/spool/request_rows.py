"""The rows of requests in the queue: how they come, leave, and go to quarantine and back; each call part of a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from receiver.ports import SpoolEntry
from receiver.spool.pieces import joined

COUNTED = (
    "sequence, signal, coalesce(CAST(records AS INTEGER), 0), coalesce(CAST(payload_bytes AS INTEGER), 0)"
)
"""What the accounts count; cast, because damaged bytes may have become another type."""
_KEEP_KEYS = """INSERT INTO keys
  SELECT sequence, key, coalesce(CAST(records AS INTEGER), 0), accepted_at_ns, outcome_rejected, outcome_message
  FROM requests WHERE sequence BETWEEN ? AND ? AND key IS NOT NULL"""
_STATEMENT_KEYS = 2048
_STATEMENT_ROWS = 64

Counted = tuple[int, str, int, int]
"""Sequence number, signal, records, bytes of payload."""


def insert(
    connection: sqlite3.Connection,
    first: int,
    entries: Sequence[SpoolEntry],
    checksums: Sequence[int],
    now: int,
) -> list[Counted]:
    """Put the entries into the queue from sequence number ``first`` on; return what the accounts count."""
    numbered = list(enumerate(entries, first))
    _insert(
        connection,
        "requests",
        [
            (
                *(sequence, e.signal.value, e.records, len(e.payload), checksum, now, e.key),
                *(e.outcome.rejected, _storable(e.outcome.message)),
            )
            for (sequence, e), checksum in zip(numbered, checksums, strict=True)
        ],
    )
    _insert(connection, "payloads", [(n, e.payload) for n, e in numbered if e.staged is None])
    _insert(connection, "large_payloads", [(n, e.staged.number) for n, e in numbered if e.staged is not None])
    _remember_imports(connection, [key for e in entries for key in e.import_keys])
    return [(sequence, e.signal.value, e.records, len(e.payload)) for sequence, e in numbered]


def delete(connection: sqlite3.Connection, first: int, last: int) -> list[int]:
    """Take the requests from ``first`` to ``last`` out of the queue, keep their keys.

    Returns:
        The numbers of their payloads that are in pieces; nobody names those from this commit on.
    """
    span = (first, last)
    connection.execute(_KEEP_KEYS, span)
    connection.execute("DELETE FROM payloads WHERE sequence BETWEEN ? AND ?", span)
    staged = connection.execute("SELECT staged FROM large_payloads WHERE sequence BETWEEN ? AND ?", span)
    unnamed = [number for (number,) in staged if isinstance(number, int)]
    if unnamed:
        connection.execute("DELETE FROM large_payloads WHERE sequence BETWEEN ? AND ?", span)
    connection.execute("DELETE FROM requests WHERE sequence BETWEEN ? AND ?", span)
    return unnamed


def copy_to_quarantine(
    connection: sqlite3.Connection, sequence: int, reason: str, *, damaged: bool, now: int
) -> Counted | None:
    """Copy a request into quarantine, byte for byte; return what the accounts count, None where it is not queued."""
    row: Counted | None = connection.execute(
        f"SELECT {COUNTED} FROM requests WHERE sequence = ?", (sequence,)
    ).fetchone()
    if row is None:
        return None
    large = connection.execute("SELECT staged FROM large_payloads WHERE sequence = ?", (sequence,)).fetchone()
    connection.execute(
        "INSERT INTO quarantine SELECT sequence, coalesce(signal, ''), coalesce(records, 0),"
        " coalesce(checksum, -1), coalesce(accepted_at_ns, 0), ?, ?, ?, coalesce(?, payload, x'')"
        " FROM requests LEFT JOIN payloads USING (sequence) WHERE sequence = ?",
        (now, int(damaged), _storable(reason), joined(connection, large[0]) if large else None, sequence),
    )
    return row


def put_back(connection: sqlite3.Connection, first: int) -> list[tuple[int, str, int, int, int]]:
    """Move all of the quarantine to the queue, from sequence number ``first`` on.

    A request keeps its checksum and its time of acceptance: damaged bytes are found again, never loaded.

    Returns:
        For each its number so far, signal, records, bytes, and 1 if it was set aside as damaged.
    """
    rows = connection.execute(
        "SELECT sequence, signal, CAST(records AS INTEGER), length(CAST(payload AS BLOB)), damaged"
        " FROM quarantine ORDER BY sequence"
    ).fetchall()
    moves = [(new, row[0]) for new, row in enumerate(rows, first)]
    # The key stays behind in `keys`: it was put there when the request left the queue.
    connection.executemany(
        "INSERT INTO requests SELECT ?, signal, records, length(CAST(payload AS BLOB)), checksum,"
        " accepted_at_ns, NULL, 0, '' FROM quarantine WHERE sequence = ?",
        moves,
    )
    connection.executemany("INSERT INTO payloads SELECT ?, payload FROM quarantine WHERE sequence = ?", moves)
    connection.execute("DELETE FROM quarantine")
    return rows


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert the rows, many in a statement: Python lets go of its lock at each, and waits to get it back.

    Beside one busy thread a commit of 64 requests took 110 ms with a statement a row.
    """
    for start in range(0, len(rows), _STATEMENT_ROWS):
        page = rows[start : start + _STATEMENT_ROWS]
        row = f"({', '.join('?' * len(page[0]))})"
        values = ", ".join([row] * len(page))
        connection.execute(f"INSERT INTO {table} VALUES {values}", [value for each in page for value in each])


def _remember_imports(connection: sqlite3.Connection, keys: list[bytes]) -> None:
    """Insert the keys, many in a statement, as :func:`_insert` does."""
    for start in range(0, len(keys), _STATEMENT_KEYS):
        page = keys[start : start + _STATEMENT_KEYS]
        connection.execute(f"INSERT OR IGNORE INTO imports VALUES {', '.join(['(?)'] * len(page))}", page)


def _storable(text: str) -> str:
    """Return the text without lone surrogates, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode()
