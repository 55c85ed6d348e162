"""Large payloads: on disk in pieces, each a commit of its own, ahead of the commit that makes them a request's.

A commit of 63 MiB kept every other one waiting for 0.2 to 0.5 s; one of a piece takes 13 ms, and all of them need half of
the CPU time (ADR 18). Pieces that no request names are not part of the queue: what was left of them by a crash
or a failed append is dropped.
"""

from __future__ import annotations

import sqlite3
from threading import Lock

from receiver.spool.spool_writer import SpoolWriter

PIECE_BYTES = 2 << 20
_NUMBER_BITS = 20  # of a piece in its payload; the rest of its id is the payload's
_MOST_STAGED = 1 << (62 - _NUMBER_BITS)
_SLICE = 4


class Pieces:
    """The pieces in one spool file. Threads: any."""

    def __init__(self, writer: SpoolWriter) -> None:
        """Find out which numbers are free, and what nobody names.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        self._writer = writer
        self._lock = Lock()
        connection = writer.connection
        there = {n for (n,) in connection.execute(f"SELECT DISTINCT id >> {_NUMBER_BITS} FROM pieces")}
        named = {n for (n,) in connection.execute("SELECT staged FROM large_payloads") if isinstance(n, int)}
        self._unnamed = sorted(there - named)
        # Damaged numbers must not use them up.
        self._last = max((n for n in there | named if 0 < n < _MOST_STAGED), default=0)

    def stage(self, payload: bytes) -> int:
        """Return the number under which all of the payload is on disk and synced; other commits go in between.

        Raises:
            SpoolUnavailableError: It is not; what there is of it will be dropped.

        Threads: blocks for a sync a piece.
        """
        with self._lock:
            self._last += 1
            staged = self._last
        whole = memoryview(payload)
        try:
            for number, start in enumerate(range(0, len(payload), PIECE_BYTES)):
                with self._writer.turn:
                    self._writer.refuse_without_room()
                    with self._writer.commit() as connection:
                        connection.execute(
                            "INSERT INTO pieces VALUES (?, ?)",
                            (staged << _NUMBER_BITS | number, whole[start : start + PIECE_BYTES]),
                        )
        except BaseException:
            self.drop([staged])
            raise
        return staged

    def drop(self, staged: list[int]) -> None:
        """Have the next :meth:`sweep` remove payloads that no request names any more. Never blocks for the disk."""
        with self._lock:
            self._unnamed += [number for number in staged if 0 < number < _MOST_STAGED]

    def sweep(self) -> None:
        """Remove what nobody names, in commits so short that an append hardly waits.

        Raises:
            SpoolUnavailableError: The file cannot be written; a later call removes the rest.
        """
        while True:
            with self._lock:
                if not self._unnamed:
                    return
                staged = self._unnamed[-1]
            while self._remove_some(staged) == _SLICE:
                pass
            with self._lock:
                self._unnamed = [each for each in self._unnamed if each != staged]

    def _remove_some(self, staged: int) -> int:
        """Remove pieces of one payload in one commit, return how many; none where a request names it all the same.

        A damaged row may name a neighbour's payload, and leave the queue with it.
        """
        with self._writer.turn, self._writer.commit() as connection:
            if connection.execute("SELECT 1 FROM large_payloads WHERE staged = ?", (staged,)).fetchone():
                return 0
            return connection.execute(
                "DELETE FROM pieces WHERE id IN (SELECT id FROM pieces WHERE id BETWEEN ? AND ? LIMIT ?)",
                (*_ids(staged), _SLICE),
            ).rowcount


def joined(connection: sqlite3.Connection, staged: object) -> bytes:
    """Return the payload with this number, as far as its pieces are there; whatever a damaged row says it is.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    if not isinstance(staged, int) or not 0 < staged < _MOST_STAGED:
        return b""
    rows = connection.execute(
        "SELECT CAST(piece AS BLOB) FROM pieces WHERE id BETWEEN ? AND ? ORDER BY id", _ids(staged)
    )
    return b"".join(piece for (piece,) in rows)


def _ids(staged: int) -> tuple[int, int]:
    first = staged << _NUMBER_BITS
    return first, first + (1 << _NUMBER_BITS) - 1
