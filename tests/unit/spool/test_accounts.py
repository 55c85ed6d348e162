"""The figures in memory add up across buckets."""

from __future__ import annotations

from receiver.signals import Signal
from receiver.spool.accounts import BUCKET, Accounts


def test_buckets_are_summed_from_the_given_one_upwards() -> None:
    """Records below the bucket are left out, all others counted, each signal for itself."""
    accounts = Accounts(0)
    accounts.add((n * BUCKET, "logs" if n % 2 else "traces", 10, 1) for n in range(6))
    assert accounts.records_from_bucket(3) == {
        Signal.TRACES: 10,
        Signal.METRICS: 0,
        Signal.LOGS: 20,
    }


def test_removed_requests_leave_no_bucket_behind() -> None:
    """A queue that is never quite empty does not grow in memory with the sequence numbers."""
    accounts = Accounts(0)
    for start in range(0, 50 * BUCKET, BUCKET):
        accounts.add([(start, "traces", 1, 100), (start + 1, "traces", 0, 1)])
        if start:
            accounts.remove([(start // BUCKET - 1, "traces", 2, 1, 101)])
    assert len(accounts._buckets) == 1
    totals = accounts.statistics()
    assert (totals.requests, totals.payload_bytes) == (2, 101)
    assert totals.highest_sequence == 49 * BUCKET + 1
