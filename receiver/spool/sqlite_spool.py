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
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from receiver.errors import SpoolUnavailableError, StartError
from receiver.ports import (
    Clock,
    QuarantinedRequest,
    RecentKey,
    SpooledRequest,
    SpoolEntry,
    SpoolStatistics,
    StagedPayload,
)
from receiver.signals import Signal
from receiver.spool import commit_views, request_rows
from receiver.spool.accounts import BUCKET, accounts_of
from receiver.spool.checkpointer import Checkpointer
from receiver.spool.checksum import content_checksum
from receiver.spool.file_lock import FileLock
from receiver.spool.lost_tail import report_lost_tail
from receiver.spool.pieces import PIECE_BYTES, Pieces
from receiver.spool.spool_reader import SpoolReader
from receiver.spool.spool_schema import VERSION, WAL_BYTES, make_file, prepare
from receiver.spool.spool_writer import SpoolWriter

logger = logging.getLogger("receiver.spool")

_SLICE_REQUESTS = 256
_SLICE_BYTES = 8 << 20
_SLICE_KEYS = 4096
_LAST = (1 << 63) - 1


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
        with ExitStack() as undo:
            try:
                make_file(path)
                self._file_lock = FileLock(path)
                undo.callback(self._file_lock.release)
                wal = path.with_name(path.name + "-wal")
                stopped_hard = wal.exists()  # an orderly close deletes it
                self._writer = SpoolWriter(path, min_free_bytes=min_free_bytes)
                undo.callback(self._writer.close)
                connection = self._writer.connection
                self._uuid = prepare(connection, path)
                if stopped_hard:
                    report_lost_tail(connection, wal, clock())
                connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
                commit_views.make_views(connection)
                self._reader = SpoolReader(path)
                undo.callback(self._reader.close)
                self._checkpointer = Checkpointer(path)
                undo.callback(self._checkpointer.close)
                self._pieces = Pieces(self._writer)
                self._accounts = accounts_of(connection)
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

    def stage(self, entries: Sequence[SpoolEntry]) -> Sequence[SpoolEntry]:
        """Return the entries for a short append: payloads above ``PIECE_BYTES`` are on disk, in pieces.

        Raises:
            SpoolUnavailableError: They cannot be written.

        Threads: any; blocks for the syncs, appends of other threads go in between.
        """
        staged: list[SpoolEntry] = []
        try:
            for entry in entries:
                if len(entry.payload) > PIECE_BYTES:
                    checksum = content_checksum(entry.signal.value, entry.records, entry.payload)
                    number = self._pieces.stage(entry.payload)
                    entry = replace(entry, staged=StagedPayload(number, checksum))  # noqa: PLW2901 - the same one
                staged.append(entry)
        except BaseException:
            self._pieces.drop(_staged_in(staged))
            raise
        return staged

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
        checksums = [
            e.staged.checksum if e.staged else content_checksum(e.signal.value, e.records, e.payload)
            for e in entries
        ]
        try:
            with self._writer.turn:
                self._writer.refuse_without_room()
                first = self._accounts.highest_sequence + 1
                totals = {signal: (count, repeated[signal]) for signal, count in accepted.items() if count}
                rows = request_rows.insert(
                    self._writer, first, entries, checksums, now=self._clock(), totals=totals
                )
                self._accounts.add(rows)
                self._accounts.total(accepted, repeated)
        except BaseException:
            self._pieces.drop(_staged_in(entries))
            raise
        return [row[0] for row in rows]

    def verify_writable(self) -> None:
        """Return if an append would work now: a page has been written and synced.

        Raises:
            SpoolUnavailableError: It would not; why.
        """
        with self._writer.turn:
            self._writer.refuse_without_room()
            with self._writer.commit() as writer:
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
        with self._writer.turn, self._writer.read() as connection:
            whole = self._accounts.records_from_bucket(bucket + 1)
            rows = connection.execute(
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
            with self._writer.turn:
                with self._writer.read() as connection:
                    oldest = request_rows.oldest(
                        connection, position, most=_SLICE_REQUESTS, most_bytes=_SLICE_BYTES
                    )
                    if oldest is None:
                        break
                    last, counted = oldest
                    unnamed = request_rows.staged_payloads(connection, 0, last)
                with self._writer.one_statement() as connection:
                    commit_views.take(connection, 0, last)
                self._accounts.remove(counted)
            self._pieces.drop(unnamed)
            removed += sum(requests for _, _, requests, _, _ in counted)
        self._pieces.sweep()
        return removed

    def quarantine(self, sequence: int, reason: str) -> None:
        """Move one request out of the way, byte for byte; a second call for it changes nothing."""
        self._set_aside(sequence, reason, damaged=False)

    def quarantined(self, *, limit: int = 100) -> list[QuarantinedRequest]:
        """Return quarantined requests, the lowest sequence number first."""
        return self._reader.quarantined(limit)

    def requeue(self) -> int:
        """Append every quarantined request again under a new sequence number; return how many."""
        with self._writer.turn:
            first = self._accounts.highest_sequence + 1
            with self._writer.commit() as writer:
                rows = request_rows.put_back(writer, first)
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
            with self._writer.turn, self._writer.commit() as writer:
                writer.execute(
                    "DELETE FROM keys WHERE sequence BETWEEN ? AND ? AND accepted_at_ns < ?",
                    (start, start + _SLICE_KEYS - 1, before_ns),
                )

    def imported(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys that came with an entry that was appended."""
        return self._reader.imported(keys)

    def maintain(self) -> None:
        """Bring what the write-ahead log holds into the file and drop what nobody names; appends go on meanwhile.

        Raises:
            SpoolUnavailableError: The file cannot be written.
        """
        self._checkpointer.run(self._reader, self._writer)
        self._pieces.sweep()

    def statistics(self) -> SpoolStatistics:
        """Return the totals; never waits for the disk."""
        return self._accounts.statistics()

    def close(self) -> None:
        """Close the files and let another process in; safe to call twice.

        Cancellation: waits for calls in other threads; calls that come later raise SpoolUnavailableError.
        """
        with self._checkpointer.turn, self._writer.turn, ExitStack() as parts:
            parts.callback(self._file_lock.release)
            parts.callback(self._writer.close)  # the last one to close checkpoints and deletes the log
            parts.callback(self._checkpointer.close)
            parts.callback(self._reader.close)

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
        with self._writer.turn:
            with self._writer.commit() as writer:
                row = request_rows.copy_to_quarantine(
                    writer, sequence, reason, damaged=damaged, now=self._clock()
                )
                if row is None:
                    return
                unnamed = request_rows.staged_payloads(writer, sequence, sequence)
                commit_views.take(writer, sequence, sequence)
            self._accounts.remove([(row[0] // BUCKET, row[1], 1, row[2], row[3])])
            self._accounts.quarantine(row[1], row[2], damaged=int(damaged))
        self._pieces.drop(unnamed)


def _staged_in(entries: Sequence[SpoolEntry]) -> list[int]:
    return [entry.staged.number for entry in entries if entry.staged]
