"""The one writer: rows, spool position and totals in one transaction; implements ``receiver.ports.StoreWriter``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import UUID

import duckdb

from receiver.disk import cause_in, free_bytes, why_not_writable
from receiver.errors import BusyError, StoreRejectedError, StoreUnavailableError
from receiver.ports import LoadBatch, Retired, TextVectors
from receiver.store.arrow_rows import forget_rows, insert_rows
from receiver.store.commits import Commits
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.known_keys import KnownKeys
from receiver.store.new_things import KEYED, NewThings
from receiver.store.record_totals import add_to_totals
from receiver.store.retired_rows import AGE_AT, delete_ended
from receiver.store.row_moves import RowMoves
from receiver.store.row_tables import ROW_TABLES
from receiver.store.vector_rows import insert_vectors, vector_table

_NEW_BYTES = 4 << 20
"""Of things that stand in the store once: what a transaction brings of them is looked for together, up to this size."""
_HOPELESS = 8
"""A checkpoint makes the log smaller, by compression, but hardly more often than this."""
_PERMANENT = (
    duckdb.ConversionException,
    duckdb.ConstraintException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.BinderException,
    duckdb.TypeMismatchException,
    duckdb.DataError,
)


@contextmanager
def _waits_for_questions() -> Iterator[None]:
    """Turn DuckDB's refusal to checkpoint beside another transaction into what it is: no failure."""
    try:
        yield
    except duckdb.TransactionException as error:
        if "Cannot CHECKPOINT" not in str(error):
            raise
        raise BusyError("a question that is being answered holds the checkpoint up") from error


class DuckDbWriter:
    """Writes to an open store. Threads: one at a time."""

    def __init__(
        self, store: DuckDbStore, moves: RowMoves | None = None, commits: Commits | None = None
    ) -> None:
        """Take a connection of its own; say in ``moves`` when rows may get other places, in ``commits`` what changes."""
        self._store = store
        self._moves = moves or RowMoves()
        self._commits = commits or Commits()
        self._connection = store.cursor()
        self._revived = False
        self._cramped = False
        self._known = KnownKeys()

    def revive(self) -> bool:
        """Open the database again if it has given up; see the port."""
        if self._store.is_valid:
            return False
        self._connection.close()
        self._known.forget()  # what the lost end of the log held is gone
        # What the lost end of the log held may come again at other places.
        with self._commits.committing(deletes=True), self._moves.moving():
            self._store.reopen()
        self._connection = self._store.cursor()
        self._revived = True
        return True

    def verify_writable(self) -> None:
        """Return if files can be written beside the database; cheaper to know than a transaction."""
        folder = self._store.path.parent
        if cause := why_not_writable(folder):
            raise StoreUnavailableError(f"{cause} ({folder})")

    @property
    def is_crowded(self) -> bool:
        """Return True if the log is more than half of what the disk has left, or left no room for a load."""
        log = self._store.log_bytes()
        return log > 0 and (self._cramped or log > self._free_bytes() // 2)

    def position(self, spool: UUID) -> int:
        """Return the stored position of a spool; 0 for one never seen."""
        position = self._value("SELECT max(position) FROM spool_positions WHERE spool = ?", str(spool))
        return position if position is not None else 0

    def load(self, batch: LoadBatch) -> None:
        """Write a batch in one transaction; see the port."""
        connection = self._connection
        try:
            connection.execute("BEGIN")
            new = NewThings()
            for tables in batch.parts:
                self._refuse_without_room(new.nbytes + sum(table.nbytes for table in tables.values()))
                for name, key in KEYED.items():
                    if name in tables:
                        new.add(name, self._known.unknown(name, key, tables[name]))
                if new.nbytes >= _NEW_BYTES:
                    new.insert(connection)
                for name in ROW_TABLES:
                    if name in tables:
                        insert_rows(connection, name, tables[name])
                forget_rows(connection)
            new.insert(connection)
            self._advance(batch)
            with self._commits.committing():
                connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            if isinstance(error, _PERMANENT) and not isinstance(error, duckdb.OperationalError):
                raise StoreRejectedError(f"the store refused the rows: {error}") from error
            raise self._unavailable("write", error) from error
        except BaseException:
            self._roll_back()
            raise
        finally:
            forget_rows(self._connection)
        self._known.commit()

    def checkpoint(self) -> Mapping[UUID, int]:
        """Complete a checkpoint; return the positions that it covers."""
        if self._store.log_bytes() > _HOPELESS * self._free_bytes():  # trying costs the instance
            raise StoreUnavailableError(
                f"the store could not complete a checkpoint: the disk is full ({self._store.path.parent})"
            )
        with self._failures_named("complete a checkpoint"), _waits_for_questions():
            if self._revived:
                # A header whose sync failed may be in the page cache and not on disk. A checkpoint that finds
                # nothing to do would not write it again, so it is given something to do.
                self._connection.execute(
                    "INSERT INTO spool_positions SELECT spool, max(position) FROM spool_positions GROUP BY spool"
                )
            rows = self._connection.execute(
                "SELECT spool, max(position) FROM spool_positions GROUP BY spool"
            ).fetchall()
            # Retention is what leaves gaps in tables whose places anybody looks at.
            has_gaps = self._value("SELECT sum(retired)::UBIGINT FROM record_totals")
            with self._moves.moving() if has_gaps else nullcontext():
                self._connection.execute("CHECKPOINT")
        self._revived = False
        return dict(rows)

    def write_embeddings(self, rows: Sequence[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors; texts that have some of this model keep them, texts that are gone get none.

        With ``replace`` the new vectors stand in the place of those that a text has; one transaction.
        """
        if not rows:
            return
        vectors = vector_table(rows)
        try:
            self._connection.execute("BEGIN")
            insert_vectors(self._connection, vectors, model=model, replace=replace)
            with self._commits.committing():
                self._connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise self._unavailable("write vectors", error) from error
        finally:
            forget_rows(self._connection)

    def retire(self, *, before_ns: int) -> Retired:
        """Delete records that ended before ``before_ns`` and what only they referred to; see the port."""
        self._known.forget()
        try:
            self._connection.execute("BEGIN")
            retired = delete_ended(self._connection, before_ns)
            with self._commits.committing(deletes=any(retired.records.values())):
                self._connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise self._unavailable("delete", error) from error
        return retired

    def age_at(self, share: float) -> int | None:
        """Return the time before which that share of all records lies."""
        return self._value(AGE_AT.format(share=share))

    def used_bytes(self) -> int:
        """Return the bytes of the blocks that hold something, and of the log."""
        used = self._value(
            "SELECT sum(used_blocks * block_size)::UBIGINT FROM pragma_database_size() "
            "WHERE database_name = current_database()"
        )
        return int(used or 0)

    def close(self) -> None:
        """Close the writer's connection."""
        self._connection.close()

    def _advance(self, batch: LoadBatch) -> None:
        spool = str(batch.spool)
        self._connection.execute("DELETE FROM spool_positions WHERE spool = ?", [spool])
        self._connection.execute("INSERT INTO spool_positions VALUES (?, ?)", [spool, batch.position])
        for signal, count in batch.records.items():
            if count:
                add_to_totals(self._connection, signal, stored=count)

    def _value(self, query: str, *values: Any) -> Any:
        """Return the one value of the one row; a result that is not read to its end would keep the connection."""
        with self._failures_named("read"):
            ((value,),) = self._connection.execute(query, list(values)).fetchall()
        return value

    def _refuse_without_room(self, size: int) -> None:
        """Leave the room that a checkpoint needs: without one, no deletion could ever give room back.

        A load writes its rows to the log, and the next checkpoint writes all that is in the log to the file, first
        into blocks that are free there. On a failed one the file grows all the same.

        Raises:
            StoreUnavailableError: Rows of this size would take it.
        """
        log, free = self._store.log_bytes(), self._free_bytes()
        self._cramped = free < log + 2 * size
        if self._cramped and (free < 2 * size or free + self._reusable_bytes() < log + 2 * size):
            raise StoreUnavailableError(
                f"the disk is full but for the room of a checkpoint ({self._store.path.parent})"
            )

    def _reusable_bytes(self) -> int:
        found = self._value(
            "SELECT sum(free_blocks * block_size)::UBIGINT FROM pragma_database_size()"
            " WHERE database_name = current_database()"
        )
        return int(found or 0)

    def _free_bytes(self) -> int:
        try:
            return free_bytes(self._store.path.parent)
        except OSError:
            return 0

    @contextmanager
    def _failures_named(self, what: str) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise self._unavailable(what, error) from error

    def _unavailable(self, what: str, error: duckdb.Error) -> StoreUnavailableError:
        """Return what an operator can use: the disk's trouble and the folder where DuckDB names one, else its words."""
        cause = cause_in(str(error))
        folder = self._store.path.parent
        reason = f"{cause} ({folder})" if cause else str(error).splitlines()[0]
        return StoreUnavailableError(f"the store could not {what}: {reason}")

    def _roll_back(self) -> None:
        self._known.roll_back()
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            # DuckDB has rolled back by itself, or the database is invalid and the next call says so.
            with contextlib.suppress(StoreUnavailableError):
                fresh = self._store.cursor()
                self._connection.close()
                self._connection = fresh
