"""What a spool holds, counted in memory, so that no question about it waits for the disk.

In: every commit's effect, right after the commit. Out: totals, and the records above a position. Requests
are counted in buckets of 1024 sequence numbers: an 8 GiB backlog of tiny requests needs some 16,000 of them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from receiver.ports import SpoolStatistics
from receiver.signals import Signal

BUCKET = 1024
"""Sequence numbers per bucket."""


def _per_signal(counts: Mapping[str, int]) -> dict[Signal, int]:
    return {signal: counts.get(signal, 0) for signal in Signal}


@dataclass(slots=True)
class _Bucket:
    requests: int = 0
    records: Counter[str] = field(default_factory=Counter)


class Accounts:
    """The figures of one spool.

    Threads: every method may be called from any thread, the event loop's included; none blocks.
    """

    def __init__(self, highest_sequence: int) -> None:
        """Start with nothing but the highest sequence number ever given."""
        self._lock = Lock()
        self._highest = highest_sequence
        self._requests = 0
        self._bytes = 0
        self._buckets: dict[int, _Bucket] = {}
        self._accepted: Counter[str] = Counter()
        self._duplicates: Counter[str] = Counter()
        self._quarantined_requests = 0
        self._quarantined: Counter[str] = Counter()
        self._damaged = 0
        self._not_restored: Counter[str] = Counter()

    @property
    def highest_sequence(self) -> int:
        """Return the highest sequence number ever given; 0 for none."""
        return self._highest

    def total(self, accepted: Mapping[str, int], duplicates: Mapping[str, int]) -> None:
        """Add records to the totals that survive restarts."""
        with self._lock:
            self._accepted.update(accepted)
            self._duplicates.update(duplicates)

    def add(self, rows: Iterable[tuple[int, str, int, int]]) -> None:
        """Count requests that are in the queue now: sequence number, signal, records, payload bytes."""
        with self._lock:
            for sequence, signal, records, size in rows:
                self._highest = max(self._highest, sequence)
                self._requests += 1
                self._bytes += size
                bucket = self._buckets.setdefault(sequence // BUCKET, _Bucket())
                bucket.requests += 1
                bucket.records[signal] += records

    def add_bucket(self, number: int, signal: str, requests: int, records: int, size: int) -> None:
        """Count a whole bucket's requests of one signal; for the opening of a spool."""
        with self._lock:
            self._requests += requests
            self._bytes += size
            bucket = self._buckets.setdefault(number, _Bucket())
            bucket.requests += requests
            bucket.records[signal] += records

    def remove(self, buckets: Iterable[tuple[int, str, int, int, int]]) -> None:
        """Count requests that have left the queue, by bucket and signal; the same values as for :meth:`add_bucket`."""
        with self._lock:
            for number, signal, requests, records, size in buckets:
                self._requests -= requests
                self._bytes -= size
                bucket = self._buckets[number]
                bucket.requests -= requests
                bucket.records[signal] -= records
                if not bucket.requests:
                    del self._buckets[number]

    def quarantine(self, signal: str, records: int, *, requests: int = 1, damaged: int = 0) -> None:
        """Count requests that are in quarantine now; negative numbers where they have left it."""
        with self._lock:
            self._quarantined_requests += requests
            self._quarantined[signal] += records
            self._damaged += damaged

    def leave_behind(self, signal: str, records: int) -> None:
        """Count accepted records that a restore could not bring back; for the opening of a spool."""
        with self._lock:
            self._not_restored[signal] += records

    def records_from_bucket(self, bucket: int) -> dict[Signal, int]:
        """Return the records in ``bucket`` and all above it, per signal."""
        sums: Counter[str] = Counter()
        with self._lock:
            for number, counted in self._buckets.items():
                if number >= bucket:
                    sums.update(counted.records)
        return _per_signal(sums)

    def statistics(self) -> SpoolStatistics:
        """Return all totals of one moment."""
        with self._lock:
            return SpoolStatistics(
                requests=self._requests,
                payload_bytes=self._bytes,
                highest_sequence=self._highest,
                accepted_records=_per_signal(self._accepted),
                duplicate_records=_per_signal(self._duplicates),
                quarantined_requests=self._quarantined_requests,
                quarantined_records=_per_signal(self._quarantined),
                damaged_requests=self._damaged,
                not_restored_records=_per_signal(self._not_restored),
            )


def accounts_of(connection: sqlite3.Connection) -> Accounts:
    """Return the accounts of what the file holds."""
    (highest,) = connection.execute(
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'requests'), 0),"
        " coalesce((SELECT max(sequence) FROM requests), 0),"
        " coalesce((SELECT max(sequence) FROM keys), 0),"
        " coalesce((SELECT max(sequence) FROM quarantine), 0))"
    ).fetchone()
    accounts = Accounts(highest)
    for signal, accepted, duplicates in connection.execute("SELECT * FROM totals"):
        accounts.total({signal: accepted}, {signal: duplicates})
    for row in connection.execute(
        "SELECT sequence / ?, signal, count(*), coalesce(sum(records), 0), sum(payload_bytes) FROM requests GROUP BY 1, 2",
        (BUCKET,),
    ):
        accounts.add_bucket(*row)
    for signal, requests, records, damaged in connection.execute(
        "SELECT signal, count(*), sum(records), sum(damaged) FROM quarantine GROUP BY signal"
    ):
        accounts.quarantine(signal, records, requests=requests, damaged=damaged)
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'not_restored'").fetchone():
        for signal, records in connection.execute("SELECT signal, records FROM not_restored"):
            accounts.leave_behind(signal, records)
    return accounts
