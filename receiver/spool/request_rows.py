"""The rows of requests in the queue: how they come, leave, and go to quarantine and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from receiver.ports import SpoolEntry
from receiver.spool import commit_views
from receiver.spool.accounts import BUCKET
from receiver.spool.many_rows import insert_many
from receiver.spool.pieces import joined
from receiver.spool.spool_writer import SpoolWriter

_STATEMENT_KEYS = 2048
_MOST_COPIED_BYTES = 256 << 10
"""Of payloads in a commit; more of them cost more to copy than to wait for the GIL a few times."""
_RECORDS = "coalesce(CAST(records AS INTEGER), 0)"  # damaged bytes may have become another type
_BYTES = "coalesce(CAST(payload_bytes AS INTEGER), 0)"
_LAST_OF_SLICE = f"""SELECT max(sequence) FROM (
    SELECT sequence, row_number() OVER oldest AS number, total({_BYTES}) OVER oldest AS bytes
    FROM (SELECT sequence, payload_bytes FROM requests WHERE sequence <= ? ORDER BY sequence LIMIT ?)
    WINDOW oldest AS (ORDER BY sequence))
  WHERE number = 1 OR bytes <= ?"""
_COUNTED_IN_BUCKETS = f"""SELECT sequence / {BUCKET}, signal, count(*),
    CAST(total({_RECORDS}) AS INTEGER), CAST(total({_BYTES}) AS INTEGER)
  FROM requests WHERE sequence <= ? GROUP BY 1, 2"""

Counted = tuple[int, str, int, int]
"""Sequence number, signal, records, bytes of payload."""
CountedBucket = tuple[int, str, int, int, int]
"""Number of the bucket, signal, requests, records, bytes of payload."""


def insert(
    writer: SpoolWriter,
    first: int,
    entries: Sequence[SpoolEntry],
    checksums: Sequence[int],
    *,
    now: int,
    totals: Mapping[str, tuple[int, int]],
) -> list[Counted]:
    """Put the entries into the queue from sequence number ``first`` on, in one commit.

    Args:
        writer: Its turn is the caller's.
        first: The first one's sequence number.
        entries: What to put there.
        checksums: Theirs.
        now: When they were accepted, Unix time in nanoseconds.
        totals: Accepted records and those of suppressed retries, by signal, to be added to the file's.

    Returns:
        What the accounts count.

    Raises:
        SpoolUnavailableError: Nothing of it is in the file.
    """
    numbered = list(enumerate(entries, first))
    payloads = [(sequence, e.payload) for sequence, e in numbered if e.staged is None]
    by_themselves = sum(len(payload) for _, payload in payloads) > _MOST_COPIED_BYTES
    rows: list[tuple[object, ...]] = [
        (
            *(sequence, e.signal.value, e.records, len(e.payload), checksum, now, e.key),
            *(e.outcome.rejected, _storable(e.outcome.message)),
            None if by_themselves or e.staged else e.payload,
            e.staged.number if e.staged else None,
            None,
        )
        for (sequence, e), checksum in zip(numbered, checksums, strict=True)
    ]
    rows += [
        (None, signal, accepted, *(None,) * 8, repeated) for signal, (accepted, repeated) in totals.items()
    ]
    import_keys = [(key,) for e in entries for key in e.import_keys]
    if len(rows) <= commit_views.STATEMENT_ROWS and not import_keys and not by_themselves:
        with writer.one_statement() as connection:
            commit_views.append(connection, rows)
    else:
        with writer.commit() as connection:
            commit_views.append(connection, rows)
            if by_themselves:
                insert_many(connection, "INTO payloads", payloads, commit_views.STATEMENT_ROWS)
            insert_many(connection, "OR IGNORE INTO imports", import_keys, _STATEMENT_KEYS)
    return [(sequence, e.signal.value, e.records, len(e.payload)) for sequence, e in numbered]


def oldest(
    connection: sqlite3.Connection, position: int, *, most: int, most_bytes: int
) -> tuple[int, list[CountedBucket]] | None:
    """Return the last of the oldest requests up to ``position`` that a short commit can take, and what they count.

    None: there is none up to there. The first one is taken however large it is. One row for many requests: each step
    of a statement is a wait for the GIL.
    """
    (last,) = connection.execute(_LAST_OF_SLICE, (position, most, most_bytes)).fetchone()
    return None if last is None else (last, connection.execute(_COUNTED_IN_BUCKETS, (last,)).fetchall())


def staged_payloads(connection: sqlite3.Connection, first: int, last: int) -> list[int]:
    """Return the numbers of payloads in pieces that the requests from ``first`` to ``last`` name."""
    staged = connection.execute(
        "SELECT staged FROM large_payloads WHERE sequence BETWEEN ? AND ?", (first, last)
    )
    return [number for (number,) in staged if isinstance(number, int)]


def copy_to_quarantine(
    connection: sqlite3.Connection, sequence: int, reason: str, *, damaged: bool, now: int
) -> Counted | None:
    """Copy a request into quarantine, byte for byte; return what the accounts count, None where it is not queued."""
    row: Counted | None = connection.execute(
        f"SELECT sequence, signal, {_RECORDS}, {_BYTES} FROM requests WHERE sequence = ?", (sequence,)
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


def _storable(text: str) -> str:
    """Return the text without lone surrogates, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode()
