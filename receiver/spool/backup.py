"""A spool as a backup sees it: copied at one moment, counted, and made another one where it is put in place.

Nothing here takes the spool's lock: whoever changes a file holds it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from receiver.errors import SpoolUnavailableError
from receiver.ports import SpoolStatistics
from receiver.signals import Signal
from receiver.spool.accounts import accounts_of
from receiver.spool.failures import disk_errors_named
from receiver.spool.lost_tail import report_lost_tail
from receiver.spool.spool_schema import connect
from receiver.spool.waiting import reading

_LATER = "WHERE key NOT IN (SELECT key FROM earlier.imports)"
_STEPS = 100_000
"""Steps of SQLite's machine between two calls of a copy's observer: some milliseconds."""


@dataclass(frozen=True, slots=True)
class SpoolFacts:
    """What one spool holds beyond a store's position."""

    uuid: UUID
    statistics: SpoolStatistics
    waiting_requests: int
    """Above the position, quarantined ones not counted."""
    waiting_records: Mapping[Signal, int]
    first_waiting: int | None

    def beyond(self) -> dict[Signal, int]:
        """Return for each signal the accepted records that are neither duplicates, nor here, nor left behind before.

        Of a spool and the store it feeds these are the store's records.
        """
        of = self.statistics
        return {
            signal: of.accepted_records[signal]
            - of.duplicate_records[signal]
            - of.quarantined_records[signal]
            - self.waiting_records[signal]
            for signal in Signal
        }


def spool_facts(path: Path, *, position: int) -> SpoolFacts:
    """Return what the spool at ``path`` holds; it may be open elsewhere. Blocks.

    Raises:
        SpoolUnavailableError: There is no spool that can be read.
    """
    try:
        with disk_errors_named("read"), reading(path) as connection:
            connection.execute("BEGIN")  # all of it is of one moment
            (name,) = connection.execute("SELECT uuid FROM spool").fetchone()
            records: Counter[str] = Counter()
            requests, first = 0, None
            for signal, count, total, lowest in connection.execute(
                "SELECT signal, count(*), sum(CAST(records AS INTEGER)), min(sequence) FROM requests"
                " WHERE sequence > ? GROUP BY signal",
                (position,),
            ):
                requests += count
                records[signal] += total
                first = lowest if first is None else min(first, lowest)
            return SpoolFacts(
                UUID(name),
                accounts_of(connection).statistics(),
                requests,
                {signal: records[signal.value] for signal in Signal},
                first,
            )
    except (TypeError, ValueError) as error:  # a total or the identity is no number, no UUID any more
        raise SpoolUnavailableError(f"the spool {path} is damaged: {error}") from error


def copy_spool(path: Path, target: Path, *, observer: Callable[[], None] = lambda: None) -> None:
    """Write what the spool holds at this moment to a new file of mode 0600, synced; appends go on meanwhile.

    Args:
        path: The spool; another process may have it open, and must not be this one.
        target: Must not exist.
        observer: Called now and then; what it raises ends the copy.

    Raises:
        SpoolUnavailableError: It cannot be read, or the copy not be written.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    raised: list[Exception] = []

    def observed() -> int:
        try:
            observer()
        except Exception as error:  # noqa: BLE001 - through SQLite's machine it comes as "interrupted"
            raised.append(error)
            return 1
        return 0

    try:
        with disk_errors_named("copy"), reading(path) as connection:
            connection.set_progress_handler(observed, _STEPS)
            connection.execute("VACUUM INTO ?", (str(target),))
    except SpoolUnavailableError:
        if raised:
            raise raised[0] from None
        raise


def settle(path: Path, now_ns: int) -> None:
    """Bring the log of a spool that nobody has open into its file, so that the file alone is the spool.

    Raises:
        SpoolUnavailableError: It cannot be opened or written.
    """
    wal = path.with_name(path.name + "-wal")
    stopped_hard = wal.exists()
    with disk_errors_named("open"), closing(connect(path)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if stopped_hard:
            report_lost_tail(connection, wal, now_ns)


def rename(path: Path, uuid: UUID) -> None:
    """Give a copy of a spool an identity of its own: its numbers and those of the original part here.

    Raises:
        SpoolUnavailableError: It cannot be written.
    """
    with disk_errors_named("write"), closing(connect(path)) as connection:
        connection.execute("UPDATE spool SET uuid = ?", (str(uuid),))


def later_imports(path: Path, earlier: Path) -> int:
    """Return how many units were imported into a spool since an earlier copy of it was made.

    Raises:
        SpoolUnavailableError: One cannot be read.
    """
    with disk_errors_named("read"), closing(connect(path)) as connection:
        connection.execute("ATTACH ? AS earlier", (str(earlier),))
        row = connection.execute(f"SELECT count(*) FROM main.imports {_LATER}").fetchone()
        return int(row[0])


def set_back(path: Path, *, position: int, not_restored: Mapping[Signal, int], earlier: Path | None) -> None:
    """Make a spool agree with a restored store that lacks some of what had been stored; doing it again changes nothing.

    What the store lacks is written down, in the place of what was written before, and is forgotten as a repetition:
    who sends it again gets it stored.

    Args:
        path: The spool; nobody has it open.
        position: The store's for this spool.
        not_restored: Accepted records that neither the store nor the spool has.
        earlier: The backup's copy of the spool: units that were imported since may be imported again. None: they stay
            known.

    Raises:
        SpoolUnavailableError: It cannot be written.
    """
    with disk_errors_named("write"), closing(connect(path)) as connection:
        if earlier is not None:
            connection.execute("ATTACH ? AS earlier", (str(earlier),))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS not_restored (signal TEXT PRIMARY KEY, records INTEGER NOT NULL) WITHOUT ROWID"
        )
        connection.executemany(
            "INSERT OR REPLACE INTO not_restored VALUES (?, ?)",
            [(signal.value, count) for signal, count in not_restored.items()],
        )
        # Keys stay with requests that wait; these are of requests that left the queue, some for quarantine.
        connection.execute(
            "DELETE FROM main.keys WHERE sequence > ? AND sequence NOT IN (SELECT sequence FROM main.quarantine)",
            (position,),
        )
        if earlier is not None:
            connection.execute(f"DELETE FROM main.imports {_LATER}")
        connection.execute("COMMIT")
