"""The spool on SQLite: append is one synced commit, everything else keeps out of its way.

In: accepted requests. Out: the same bytes, verified, in order. Promised: :class:`receiver.ports.Spool`.

Three connections: one writes (each of its transactions is short and synced), one reads, one checkpoints. A
checkpoint inside a commit once took 202 ms, so the automatic ones are off and :meth:`SqliteSpool.maintain`
does them. Removals are synced too, although losing one would cost nothing: SQLite writes them into the same
log, and after a failed fsync an unsynced piece of it could break the synced commits behind it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from uuid import UUID

from receiver.disk import free_bytes, words_of
from receiver.errors import SpoolUnavailableError, StartError
from receiver.ports import (
    Clock,
    QuarantinedRequest,
    RecentKey,
    SpooledRequest,
    SpoolEntry,
    SpoolStatistics,
)
from receiver.signals import Signal
from receiver.spool.accounts import BUCKET, accounts_of
from receiver.spool.checksum import content_checksum
from receiver.spool.failures import disk_errors_named
from receiver.spool.fair_lock import FairLock
from receiver.spool.file_lock import FileLock
from receiver.spool.lost_tail import report_lost_tail
from receiver.spool.spool_reader import SpoolReader
from receiver.spool.spool_schema import VERSION, connect, make_file, prepare

logger = logging.getLogger("receiver.spool")

WAL_BYTES = 64 << 20
"""Size of the write-ahead log above which :meth:`SqliteSpool.maintain` makes it start anew."""
_REST_BYTES = 4 << 20
_PASSES = 4
_SLICE_REQUESTS = 256
_SLICE_BYTES = 8 << 20
_SLICE_KEYS = 4096
_STATEMENT_KEYS = 2048
_STATEMENT_ROWS = 64
_LAST = (1 << 63) - 1

# What the accounts count; cast, because damaged bytes may have become another type.
_COUNTED = (
    "sequence, signal, coalesce(CAST(records AS INTEGER), 0), coalesce(CAST(payload_bytes AS INTEGER), 0)"
)
_KEEP_KEYS = """INSERT INTO keys
  SELECT sequence, key, coalesce(CAST(records AS INTEGER), 0), accepted_at_ns, outcome_rejected, outcome_message
  FROM requests WHERE sequence BETWEEN ? AND ? AND key IS NOT NULL"""


class SqliteSpool:
    """The durable queue in one SQLite file, and the only process that may open it."""

    def __init__(self, path: Path, *, clock: Clock = time.time_ns, min_free_bytes: int = 0) -> None:
        """Open the spool, or make it with a new identity; its lock is held until :meth:`close`.

        Args:
            path: The file, mode 0600; its folder is made where it is missing.
            clock: Unix time in nanoseconds.
            min_free_bytes: Room that appends leave on the disk; what makes room may use it.

        Raises:
            StartError: The folder is not usable, belongs to a running receiver, or holds another program's file.
        """
        self._clock = clock
        self._folder = path.parent
        self._min_free_bytes = min_free_bytes
        self._write_lock = FairLock()
        self._checkpoint_lock = Lock()  # whoever takes more than one takes this one first
        with ExitStack() as undo:
            try:
                make_file(path)
                self._file_lock = FileLock(path)
                undo.callback(self._file_lock.release)
                wal = path.with_name(path.name + "-wal")
                stopped_hard = wal.exists()  # an orderly close deletes it
                self._writer = connect(path)
                undo.callback(self._writer.close)
                self._uuid = prepare(self._writer, path)
                (self._page_bytes,) = self._writer.execute("PRAGMA page_size").fetchone()
                if stopped_hard:
                    report_lost_tail(self._writer, wal, clock())
                self._writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
                self._reader = SpoolReader(path)
                undo.callback(self._reader.close)
                self._checkpointer = connect(path)
                undo.callback(self._checkpointer.close)
                self._accounts = accounts_of(self._writer)
            except (OSError, sqlite3.Error) as error:
                raise StartError(
                    f"cannot open the spool {path}: {error}",
                    hint="the receiver needs a folder that it can write, with free space: --data-dir chooses one",
                ) from error
            except (TypeError, ValueError) as error:  # a total or the identity is no number, no UUID any more
                raise StartError(
                    f"the spool {path} is damaged: {error}",
                    hint="copy it away and try `sqlite3 spool.db .recover`; it holds acknowledged requests",
                ) from error
            undo.pop_all()

    @property
    def uuid(self) -> UUID:
        """Return the identity of this spool, made once with the file."""
        return self._uuid

    def append(
        self, entries: Sequence[SpoolEntry], *, duplicates: Mapping[Signal, int] | None = None
    ) -> list[int]:
        """Return the entries' sequence numbers once all of them are on disk and synced, in one commit.

        Raises:
            SpoolUnavailableError: Nothing of it is in the spool; a later call may succeed.

        Threads: any; blocks for the sync.
        """
        repeated = Counter({signal.value: count for signal, count in (duplicates or {}).items() if count})
        if not entries and not repeated:
            return []
        accepted: Counter[str] = Counter()
        for entry in entries:
            accepted[entry.signal.value] += entry.records
        accepted.update(repeated)
        checksums = [content_checksum(e.signal.value, e.records, e.payload) for e in entries]
        with self._write_lock:
            self._refuse_without_room()
            first = self._accounts.highest_sequence + 1
            sequences = list(range(first, first + len(entries)))
            now = self._clock()
            with self._commit("write") as writer:
                _insert(
                    writer,
                    "requests",
                    [
                        (
                            *(sequence, e.signal.value, e.records, len(e.payload), checksum, now, e.key),
                            *(e.outcome.rejected, _storable(e.outcome.message)),
                        )
                        for sequence, e, checksum in zip(sequences, entries, checksums, strict=True)
                    ],
                )
                _insert(
                    writer,
                    "payloads",
                    [(sequence, e.payload) for sequence, e in zip(sequences, entries, strict=True)],
                )
                _remember_imports(writer, [key for e in entries for key in e.import_keys])
                writer.executemany(
                    "UPDATE totals SET accepted = accepted + ?, duplicates = duplicates + ? WHERE signal = ?",
                    [(count, repeated[signal], signal) for signal, count in accepted.items() if count],
                )
            self._accounts.add(
                (sequence, e.signal.value, e.records, len(e.payload))
                for sequence, e in zip(sequences, entries, strict=True)
            )
            self._accounts.total(accepted, repeated)
        return sequences

    def verify_writable(self) -> None:
        """Return if an append would work now: a page has been written and synced.

        Raises:
            SpoolUnavailableError: It would not; why.
        """
        with self._write_lock:
            self._refuse_without_room()
            with self._commit("write") as writer:
                writer.execute(
                    f"PRAGMA user_version = {VERSION}"
                )  # writes page 1, although it changes nothing

    def read(self, after: int, *, max_bytes: int, until: int | None = None) -> list[SpooledRequest]:
        """Return the requests above ``after`` and up to ``until``, in order, about ``max_bytes`` of them.

        An empty list means that there is none. Damaged rows are moved to quarantine, counted and logged.

        Raises:
            SpoolUnavailableError: The file cannot be read.
        """
        while True:
            intact, damaged = self._reader.read(after, _LAST if until is None else until, max_bytes)
            if damaged:
                self._set_damaged_aside(damaged)
                after = max(damaged)  # used only where there was nothing else: the rows behind must be found
            if intact or not damaged:
                return intact

    def records_after(self, position: int) -> dict[Signal, int]:
        """Return how many records lie above ``position``, per signal (quarantined ones not counted)."""
        bucket = position // BUCKET
        with self._write_lock, disk_errors_named("read", self._folder):
            whole = self._accounts.records_from_bucket(bucket + 1)
            rows = self._writer.execute(
                "SELECT signal, coalesce(sum(records), 0) FROM requests WHERE sequence > ? AND sequence < ? GROUP BY signal",
                (position, (bucket + 1) * BUCKET),
            ).fetchall()
        part = dict(rows)
        return {signal: count + part.get(signal.value, 0) for signal, count in whole.items()}

    def missing_after(self, position: int) -> int:
        """Return how many requests above ``position`` are neither in the queue nor in quarantine any more."""
        highest = self._accounts.highest_sequence
        return max(highest - position - self._reader.kept(position, highest), 0)

    def remove_through(self, position: int) -> int:
        """Remove the requests up to ``position``, keep their keys; return how many went.

        Done in slices, each a commit of its own, so that an append waits for one slice at most.
        """
        removed = 0
        while True:
            with self._write_lock:
                rows = self._next_slice(position)
                if not rows:
                    return removed
                last = rows[-1][0]
                with self._commit("write") as writer:
                    writer.execute(_KEEP_KEYS, (0, last))
                    writer.execute("DELETE FROM payloads WHERE sequence <= ?", (last,))
                    writer.execute("DELETE FROM requests WHERE sequence <= ?", (last,))
                self._accounts.remove(rows)
            removed += len(rows)

    def quarantine(self, sequence: int, reason: str) -> None:
        """Move one request out of the way, byte for byte; a second call for it changes nothing."""
        self._set_aside(sequence, reason, damaged=False)

    def quarantined(self, *, limit: int = 100) -> list[QuarantinedRequest]:
        """Return quarantined requests, the lowest sequence number first."""
        return self._reader.quarantined(limit)

    def requeue(self) -> int:
        """Append every quarantined request again under a new sequence number; return how many.

        It keeps its checksum and its time of acceptance: damaged bytes are found again, never loaded.
        """
        with self._write_lock:
            first = self._accounts.highest_sequence + 1
            with self._commit("write") as writer:
                rows = writer.execute(
                    "SELECT sequence, signal, CAST(records AS INTEGER), length(CAST(payload AS BLOB)), damaged"
                    " FROM quarantine ORDER BY sequence"
                ).fetchall()
                moves = [(new, row[0]) for new, row in enumerate(rows, first)]
                # The key stays behind in `keys`: it was put there when the request left the queue.
                writer.executemany(
                    "INSERT INTO requests SELECT ?, signal, records, length(CAST(payload AS BLOB)), checksum,"
                    " accepted_at_ns, NULL, 0, '' FROM quarantine WHERE sequence = ?",
                    moves,
                )
                writer.executemany(
                    "INSERT INTO payloads SELECT ?, payload FROM quarantine WHERE sequence = ?", moves
                )
                writer.execute("DELETE FROM quarantine")
            self._accounts.add(
                (new, signal, records, size) for new, (_, signal, records, size, _) in enumerate(rows, first)
            )
            for _, signal, records, _, damaged in rows:
                self._accounts.quarantine(signal, -records, requests=-1, damaged=-damaged)
        return len(rows)

    def recent_keys(self, since_ns: int) -> Iterator[RecentKey]:
        """Return the keys of requests accepted at or after ``since_ns`` (Unix time), oldest first.

        Raises:
            SpoolUnavailableError: While iterating: the file cannot be read.
        """
        return self._reader.recent_keys(since_ns)

    def forget_keys(self, before_ns: int) -> None:
        """Drop the keys of requests that were accepted before ``before_ns`` and removed from the queue."""
        span = self._reader.span_of_keys(before_ns)
        if span is None:
            return
        low, high = span
        for start in range(low, high + 1, _SLICE_KEYS):
            with self._write_lock, self._commit("write") as writer:
                writer.execute(
                    "DELETE FROM keys WHERE sequence BETWEEN ? AND ? AND accepted_at_ns < ?",
                    (start, start + _SLICE_KEYS - 1, before_ns),
                )

    def imported(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys that came with an entry that was appended."""
        return self._reader.imported(keys)

    def maintain(self) -> None:
        """Bring what the write-ahead log holds into the file; appends go on meanwhile.

        Under steady appends such a checkpoint never reaches the log's end, and only a log that was copied to
        its end is written from the start again. So a log above ``WAL_BYTES`` is copied in passes, each over what
        was appended during the one before, and the small rest with the writer held back.
        """
        with self._checkpoint_lock:
            copied = self._checkpoint()
            if copied * self._page_bytes <= WAL_BYTES:
                return
            for _ in range(_PASSES):
                before, copied = copied, self._checkpoint()
                if (copied - before) * self._page_bytes <= _REST_BYTES:
                    break
            with self._reader.held_back(), self._write_lock:
                self._checkpoint()

    def statistics(self) -> SpoolStatistics:
        """Return the totals; never waits for the disk."""
        return self._accounts.statistics()

    def close(self) -> None:
        """Close the files and let another process in; safe to call twice.

        Cancellation: waits for calls in other threads; calls that come later raise SpoolUnavailableError.
        """
        with self._checkpoint_lock, self._write_lock, ExitStack() as parts:
            parts.callback(self._file_lock.release)
            parts.callback(self._writer.close)  # the last one to close checkpoints and deletes the log
            parts.callback(self._checkpointer.close)
            parts.callback(self._reader.close)

    @contextmanager
    def _commit(self, what: str) -> Iterator[sqlite3.Connection]:
        """Run the block as one synced transaction, or undo all of it; the caller holds the write lock."""
        writer = self._writer
        with disk_errors_named(what, self._folder):
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:  # SQLite has rolled back by itself after some errors
                    writer.execute("ROLLBACK")
                raise

    def _refuse_without_room(self) -> None:
        """Keep the last of the disk for what makes room: checkpoints of the store, removals, retention.

        Pages that removals have left free in the file count as room, for they are used first; a quarter must be
        free on the disk itself, because every commit goes through the log.

        Raises:
            SpoolUnavailableError: An append would take it.
        """
        if not self._min_free_bytes:
            return
        try:
            free = free_bytes(self._folder)
        except OSError as error:
            raise SpoolUnavailableError(f"cannot write the spool: {words_of(error)}") from error
        if free >= self._min_free_bytes:
            return
        with disk_errors_named("read", self._folder):
            (pages,) = self._writer.execute("PRAGMA freelist_count").fetchone()
        if free < self._min_free_bytes // 4 or free + pages * self._page_bytes < self._min_free_bytes:
            raise SpoolUnavailableError(
                "the disk is full but for the reserve (spool.min_free_bytes)",
                hint="free space on the disk of the data directory",
            )

    def _set_damaged_aside(self, sequences: list[int]) -> None:
        logger.error(
            "damaged requests in the spool (their checksum does not match their bytes), set aside in"
            " quarantine: %s",
            ", ".join(map(str, sequences)),
        )
        for sequence in sequences:
            try:
                self._set_aside(
                    sequence, "damaged on disk: the checksum does not match the bytes", damaged=True
                )
            except SpoolUnavailableError as error:  # a full disk; it is found again by the next read
                logger.error("damaged request %d cannot be moved to quarantine: %s", sequence, error)  # noqa: TRY400 - the error's text says all

    def _set_aside(self, sequence: int, reason: str, *, damaged: bool) -> None:
        with self._write_lock:
            with self._commit("write") as writer:
                row = writer.execute(
                    f"SELECT {_COUNTED} FROM requests WHERE sequence = ?", (sequence,)
                ).fetchone()
                if row is None:
                    return
                writer.execute(
                    "INSERT INTO quarantine SELECT sequence, coalesce(signal, ''), coalesce(records, 0),"
                    " coalesce(checksum, -1), coalesce(accepted_at_ns, 0), ?, ?, ?, coalesce(payload, x'')"
                    " FROM requests LEFT JOIN payloads USING (sequence) WHERE sequence = ?",
                    (self._clock(), int(damaged), _storable(reason), sequence),
                )
                writer.execute(_KEEP_KEYS, (sequence, sequence))
                writer.execute("DELETE FROM payloads WHERE sequence = ?", (sequence,))
                writer.execute("DELETE FROM requests WHERE sequence = ?", (sequence,))
            self._accounts.remove([row])
            self._accounts.quarantine(row[1], row[2], damaged=int(damaged))

    def _next_slice(self, position: int) -> list[tuple[int, str, int, int]]:
        """Return the rows of the oldest requests up to ``position``, a short commit's worth of them."""
        rows: list[tuple[int, str, int, int]] = []
        size = 0
        with disk_errors_named("read", self._folder):
            for row in self._writer.execute(
                f"SELECT {_COUNTED} FROM requests WHERE sequence <= ? ORDER BY sequence LIMIT ?",
                (position, _SLICE_REQUESTS),
            ):
                if rows and size + row[3] > _SLICE_BYTES:
                    break
                rows.append(row)
                size += row[3]
        return rows

    def _checkpoint(self) -> int:
        """Copy the log into the file as far as no reader needs it; return the log's length in frames."""
        with disk_errors_named("checkpoint", self._folder):
            _, frames, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(frames)


def _insert(writer: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert the rows, many in a statement: Python lets go of its lock at each, and waits to get it back.

    Beside one busy thread a commit of 64 requests took 110 ms with a statement a row.
    """
    for start in range(0, len(rows), _STATEMENT_ROWS):
        page = rows[start : start + _STATEMENT_ROWS]
        row = f"({', '.join('?' * len(page[0]))})"
        values = ", ".join([row] * len(page))
        writer.execute(f"INSERT INTO {table} VALUES {values}", [value for each in page for value in each])


def _remember_imports(writer: sqlite3.Connection, keys: list[bytes]) -> None:
    """Insert the keys, many in a statement, as :func:`_insert` does."""
    for start in range(0, len(keys), _STATEMENT_KEYS):
        page = keys[start : start + _STATEMENT_KEYS]
        writer.execute(f"INSERT OR IGNORE INTO imports VALUES {', '.join(['(?)'] * len(page))}", page)


def _storable(text: str) -> str:
    """Return the text without lone surrogates, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode()
