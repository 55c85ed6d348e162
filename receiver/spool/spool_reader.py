"""The reading side of the spool: a connection of its own, so that no reader waits for a commit.

In: positions. Out: requests whose checksum was verified, what is in quarantine, and keys. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from receiver.ports import Outcome, QuarantinedRequest, RecentKey, SpooledRequest
from receiver.signals import Signal
from receiver.spool.checksum import is_intact, signal_of
from receiver.spool.failures import disk_errors_named
from receiver.spool.pieces import joined
from receiver.spool.spool_schema import connect

_READ_REQUESTS = 16_384
_KEYS_PAGE = 4096
_KEY = "sequence, key, CAST(records AS INTEGER), accepted_at_ns, outcome_rejected, outcome_message"


class SpoolReader:
    """Reads one spool file; each read sees one moment and is short, because it holds up the log's reuse.

    Threads: any; one read at a time, the others wait.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which has its tables already.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        self._folder = path.parent
        self._connection = connect(path)
        self._lock = Lock()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let nobody read inside the block; who also wants the write lock takes it after this one."""
        with self._lock:
            yield

    def read(self, after: int, until: int, max_bytes: int) -> tuple[list[SpooledRequest], list[int]]:
        """Return the intact requests among about ``max_bytes`` of them, and the damaged ones' sequence numbers.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        total = last = 0
        with self._lock, disk_errors_named("read", self._folder):
            self._connection.execute("BEGIN")  # both statements see the same moment
            try:
                for sequence, size in self._connection.execute(
                    "SELECT sequence, CAST(payload_bytes AS INTEGER) FROM requests"
                    " WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
                    (after, until, _READ_REQUESTS),
                ):
                    if last and total + size > max_bytes:
                        break
                    last, total = sequence, total + size
                rows = [
                    (*row, payload if staged is None else joined(self._connection, staged))
                    for *row, payload, staged in self._connection.execute(
                        "SELECT sequence, signal, records, accepted_at_ns, checksum, payload, staged FROM requests"
                        " LEFT JOIN payloads USING (sequence) LEFT JOIN large_payloads USING (sequence)"
                        " WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
                        (after, last),
                    )
                ]
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
        intact, damaged = [], []
        for sequence, signal, records, accepted_at_ns, checksum, payload in rows:
            if is_intact(signal, records, payload, checksum):
                intact.append(SpooledRequest(sequence, Signal(signal), payload, records, accepted_at_ns))
            else:
                damaged.append(sequence)
        return intact, damaged

    def quarantined(self, limit: int) -> list[QuarantinedRequest]:
        """Return requests in quarantine, the lowest sequence number first.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        with self._lock, disk_errors_named("read", self._folder):
            rows = self._connection.execute(
                "SELECT sequence, signal, CAST(records AS INTEGER), checksum, CAST(payload AS BLOB), reason,"
                " quarantined_at_ns FROM quarantine ORDER BY sequence LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            QuarantinedRequest(
                sequence, signal_of(signal, records, payload, checksum), payload, records, reason, at_ns
            )
            for sequence, signal, records, checksum, payload, reason, at_ns in rows
        ]

    def recent_keys(self, since_ns: int) -> Iterator[RecentKey]:
        """Yield the keys of requests accepted at or after ``since_ns``, the lowest sequence number first.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        after = 0
        while True:
            # A key that moves from requests to keys between two pages keeps its sequence: never lost or twice.
            with self._lock, disk_errors_named("read", self._folder):
                rows = self._connection.execute(
                    f"""SELECT * FROM (
                      SELECT {_KEY} FROM keys UNION ALL SELECT {_KEY} FROM requests WHERE key IS NOT NULL
                    ) WHERE sequence > ? AND accepted_at_ns >= ? ORDER BY sequence LIMIT ?""",
                    (after, since_ns, _KEYS_PAGE),
                ).fetchall()
            if not rows:
                return
            for _, key, records, accepted_at_ns, rejected, message in rows:
                yield RecentKey(key, accepted_at_ns, Outcome(rejected, message), records)
            after = rows[-1][0]

    def imported(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys that were imported before.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        found: set[bytes] = set()
        for start in range(0, len(keys), _KEYS_PAGE):
            page = keys[start : start + _KEYS_PAGE]
            marks = ", ".join("?" * len(page))
            with self._lock, disk_errors_named("read", self._folder):
                rows = self._connection.execute(f"SELECT key FROM imports WHERE key IN ({marks})", page)
                found.update(key for (key,) in rows)
        return found

    def kept(self, after: int, until: int) -> int:
        """Return how many requests above ``after`` and up to ``until`` are in the queue or in quarantine.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        with self._lock, disk_errors_named("read", self._folder):
            (count,) = self._connection.execute(
                "SELECT (SELECT count(*) FROM requests WHERE sequence > ?1 AND sequence <= ?2)"
                " + (SELECT count(*) FROM quarantine WHERE sequence > ?1 AND sequence <= ?2)",
                (after, until),
            ).fetchone()
        return int(count)

    def span_of_keys(self, before_ns: int) -> tuple[int, int] | None:
        """Return the lowest and highest sequence number of removed requests accepted before ``before_ns``.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        with self._lock, disk_errors_named("read", self._folder):
            low, high = self._connection.execute(
                "SELECT min(sequence), max(sequence) FROM keys WHERE accepted_at_ns < ?", (before_ns,)
            ).fetchone()
        return None if low is None else (low, high)

    def close(self) -> None:
        """Close the connection once the read in hand is done; safe to call twice."""
        with self._lock:
            self._connection.close()
