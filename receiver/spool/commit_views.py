"""The spool's usual commits as one statement each: what is inserted into a view, its triggers do.

Python's ``sqlite3`` lets go of the GIL at each step of a statement and waits to get it back. Beside one thread that is
busy in Python, a commit of a few statements, each of them a wait of up to the switch interval, took 20 ms, and the slice of
a removal, which read 256 rows, half a second. A statement outside of a transaction is a transaction: synced, or undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from receiver.spool.many_rows import insert_many

STATEMENT_ROWS = 64
"""Most rows that go into the queue with one statement."""
_COLUMNS = 12
# The views and triggers are the connection's, not the file's: its format knows nothing of them.
_DEFINITIONS = (
    """CREATE TEMP VIEW appended AS SELECT
      NULL AS sequence, NULL AS signal, NULL AS records, NULL AS payload_bytes, NULL AS checksum,
      NULL AS accepted_at_ns, NULL AS key, NULL AS outcome_rejected, NULL AS outcome_message,
      NULL AS payload, NULL AS staged, NULL AS duplicates""",
    """CREATE TEMP TRIGGER append_request INSTEAD OF INSERT ON appended WHEN new.sequence IS NOT NULL BEGIN
      INSERT INTO requests VALUES (new.sequence, new.signal, new.records, new.payload_bytes, new.checksum,
        new.accepted_at_ns, new.key, new.outcome_rejected, new.outcome_message);
      INSERT INTO payloads SELECT new.sequence, new.payload WHERE new.payload IS NOT NULL;
      INSERT INTO large_payloads SELECT new.sequence, new.staged WHERE new.staged IS NOT NULL;
    END""",
    """CREATE TEMP TRIGGER append_totals INSTEAD OF INSERT ON appended WHEN new.duplicates IS NOT NULL BEGIN
      UPDATE totals SET accepted = accepted + new.records, duplicates = duplicates + new.duplicates
      WHERE signal = new.signal;
    END""",
    "CREATE TEMP VIEW taken AS SELECT NULL AS first, NULL AS last",
    """CREATE TEMP TRIGGER take_requests INSTEAD OF INSERT ON taken BEGIN
      INSERT INTO keys
        SELECT sequence, key, coalesce(CAST(records AS INTEGER), 0), accepted_at_ns, outcome_rejected, outcome_message
        FROM requests WHERE sequence BETWEEN new.first AND new.last AND key IS NOT NULL;
      DELETE FROM payloads WHERE sequence BETWEEN new.first AND new.last;
      DELETE FROM large_payloads WHERE sequence BETWEEN new.first AND new.last;
      DELETE FROM requests WHERE sequence BETWEEN new.first AND new.last;
    END""",
)
_NOTHING = (None,) * _COLUMNS
_EXACT_ROWS = 8


def make_views(connection: sqlite3.Connection) -> None:
    """Let the connection know the views; its file needs to have the tables by the first commit."""
    for definition in _DEFINITIONS:
        connection.execute(definition)


def append(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Put rows of requests and of totals into the spool, in one statement for each ``STATEMENT_ROWS`` of them.

    Rows that do nothing are added to make the numbers of rows few: each is a statement that SQLite has to compile.

    Args:
        connection: Knows the views.
        rows: Of twelve values each, as the view ``appended`` has columns: requests have a sequence number, totals have duplicates.
            SQLite copies what goes through a view once more, so large payloads are better inserted by themselves.
    """
    filling = -len(rows) % _EXACT_ROWS if len(rows) > _EXACT_ROWS else 0
    insert_many(connection, "INTO appended", [*rows, *[_NOTHING] * filling], STATEMENT_ROWS)


def take(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Take the requests from ``first`` to ``last`` out of the queue and keep their keys, in one statement."""
    connection.execute("INSERT INTO taken VALUES (?, ?)", (first, last))
