"""The promises of ``receiver.ports.Spool``, proved for every implementation of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.errors import SpoolUnavailableError
from receiver.ports import Outcome, RecentKey, Spool
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from tests.support.spool_entries import FULL_SUCCESS, SteppedClock, make_entry

OpenSpool = Callable[[], Spool]
EVERYTHING = 1 << 40
IMPLEMENTATIONS: dict[str, Callable[[Path, SteppedClock], Spool]] = {
    "sqlite": lambda folder, clock: SqliteSpool(folder / "spool.db", clock=clock),
}


@pytest.fixture
def clock() -> SteppedClock:
    """Return the spool's clock."""
    return SteppedClock()


@pytest.fixture(params=IMPLEMENTATIONS)
def open_spool(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> Iterator[OpenSpool]:
    """Return what opens the same spool again; whatever is open is closed at the end."""
    opened: list[Spool] = []

    def open_it() -> Spool:
        for spool in opened:
            spool.close()
        opened.append(IMPLEMENTATIONS[request.param](tmp_path, clock))
        return opened[-1]

    yield open_it
    for spool in opened:
        spool.close()


@pytest.fixture
def spool(open_spool: OpenSpool) -> Spool:
    """Return a new, empty spool."""
    return open_spool()


def read_all(spool: Spool, after: int = 0) -> list[int]:
    """Return the sequence numbers in the queue above ``after``."""
    return [request.sequence for request in spool.read(after, max_bytes=EVERYTHING)]


def in_all_states(spool: Spool, position: int) -> dict[Signal, int]:
    """Return duplicates + in_spool + quarantined, per signal."""
    totals = spool.statistics()
    waiting = spool.records_after(position)
    return {s: totals.duplicate_records[s] + waiting[s] + totals.quarantined_records[s] for s in Signal}


def test_requests_come_back_as_they_were_appended(spool: Spool, clock: SteppedClock) -> None:
    """Bytes, signal, record count and time of acceptance survive, in the order of the appends."""
    payloads = [b"", bytes(range(256)), b"x" * 200_000]
    entries = [
        make_entry(n, signal=signal, records=n, payload=payload)
        for n, (signal, payload) in enumerate(zip(Signal, payloads, strict=True))
    ]
    sequences = spool.append(entries)
    back = spool.read(0, max_bytes=EVERYTHING)
    assert [r.sequence for r in back] == sequences == sorted(set(sequences))
    assert [(r.signal, r.payload, r.records) for r in back] == [
        (e.signal, e.payload, e.records) for e in entries
    ]
    assert {r.accepted_at_ns for r in back} == {clock.now_ns}


def test_requests_survive_a_restart(spool: Spool, open_spool: OpenSpool) -> None:
    """A reopened spool has its identity, its requests and its totals."""
    identity = spool.uuid
    sequences = spool.append([make_entry(n) for n in range(3)], duplicates={Signal.LOGS: 7})
    before = spool.statistics()
    again = open_spool()
    assert again.uuid == identity
    assert read_all(again) == sequences
    assert again.statistics() == before


def test_sequence_numbers_are_not_reused_after_emptying_and_reopening(
    spool: Spool, open_spool: OpenSpool
) -> None:
    """A new request of an emptied, reopened spool lies above every position a store may have noted."""
    position = spool.append([make_entry(n) for n in range(5)])[-1]
    assert spool.remove_through(position) == 5
    reopened = open_spool()
    assert reopened.statistics().highest_sequence == position
    new = reopened.append([make_entry(9)])
    assert new[0] > position
    assert read_all(reopened, after=position) == new


def test_each_new_spool_has_its_own_identity(tmp_path: Path, spool: Spool) -> None:
    """A store can tell a new spool from the one whose position it holds."""
    other = SqliteSpool(tmp_path / "other" / "spool.db")
    try:
        assert other.uuid != spool.uuid
        assert other.statistics().highest_sequence == 0
    finally:
        other.close()


def test_an_append_without_entries_counts_duplicates_only(spool: Spool) -> None:
    """Suppressed retries are added to the duplicates and to the accepted, durable with the same commit."""
    assert spool.append([], duplicates={Signal.TRACES: 4}) == []
    totals = spool.statistics()
    assert totals.duplicate_records[Signal.TRACES] == 4
    assert totals.accepted_records[Signal.TRACES] == 4
    assert totals.requests == totals.highest_sequence == 0


def test_an_empty_append_changes_nothing(spool: Spool) -> None:
    """No entries and no duplicates: no sequence number is used up."""
    before = spool.statistics()
    assert spool.append([]) == []
    assert spool.append([], duplicates={}) == []
    assert spool.statistics() == before


def test_a_request_without_records_is_kept(spool: Spool) -> None:
    """A metric without points counts no record, and still has to be loaded."""
    (sequence,) = spool.append([make_entry(1, signal=Signal.METRICS, records=0)])
    assert read_all(spool) == [sequence]
    assert spool.records_after(0) == dict.fromkeys(Signal, 0)
    assert spool.statistics().requests == 1


def test_read_gives_about_max_bytes_and_at_least_one(spool: Spool) -> None:
    """A limit cuts between requests; a request above the limit comes alone."""
    first, second, third = spool.append([make_entry(n, payload=b"x" * 100) for n in range(3)])
    assert [r.sequence for r in spool.read(0, max_bytes=200)] == [first, second]
    assert [r.sequence for r in spool.read(second, max_bytes=1)] == [third]
    assert spool.read(third, max_bytes=1) == []


def test_read_stops_at_until(spool: Spool) -> None:
    """``until`` is the highest sequence number that comes back."""
    sequences = spool.append([make_entry(n) for n in range(4)])
    back = spool.read(sequences[0], max_bytes=EVERYTHING, until=sequences[2])
    assert [r.sequence for r in back] == sequences[1:3]


@pytest.mark.parametrize("count", [5, 3000], ids=["few", "many"])
def test_records_after_counts_above_the_position(spool: Spool, count: int) -> None:
    """Whatever the position, the count is that of the requests above it."""
    sequences = spool.append([make_entry(n, records=n % 7) for n in range(count)])
    for index in {0, 1, count // 3, count // 2, count - 2, count - 1}:
        expected = sum(n % 7 for n in range(index + 1, count))
        assert spool.records_after(sequences[index])[Signal.TRACES] == expected
    assert spool.records_after(0)[Signal.TRACES] == sum(n % 7 for n in range(count))


def test_remove_takes_what_is_up_to_the_position(spool: Spool) -> None:
    """Removal is exact, says how many went, and a second one finds nothing."""
    sequences = spool.append([make_entry(n) for n in range(700)])
    assert spool.remove_through(sequences[600]) == 601
    assert spool.remove_through(sequences[600]) == 0
    assert read_all(spool) == sequences[601:]
    totals = spool.statistics()
    assert totals.requests == 99
    assert totals.payload_bytes == sum(len(f"request {n}") for n in range(601, 700))
    assert totals.accepted_records[Signal.TRACES] == 1400


def test_keys_outlive_the_requests(spool: Spool, open_spool: OpenSpool, clock: SteppedClock) -> None:
    """Keys of waiting, removed and quarantined requests are all remembered, oldest first, with answers."""
    warned = Outcome(rejected=3, message="3 spans had no id")
    expected = []
    for number in range(4):
        outcome = warned if number == 1 else FULL_SUCCESS
        spool.append(
            [make_entry(number, outcome=outcome, records=number), make_entry(100 + number, keyed=False)]
        )
        expected.append(RecentKey(number.to_bytes(16, "big"), clock.now_ns, outcome, number))
        clock.advance(10)
    spool.quarantine(5, "does not load")
    spool.remove_through(3)
    assert list(spool.recent_keys(0)) == expected
    assert list(spool.recent_keys(expected[2].accepted_at_ns)) == expected[2:]
    assert list(open_spool().recent_keys(0)) == expected


def test_forget_keys_spares_young_ones_and_those_of_waiting_requests(
    spool: Spool, clock: SteppedClock
) -> None:
    """A key goes only when its request is out of the queue and was accepted before the given time."""
    times = []
    for number in range(4):
        spool.append([make_entry(number)])
        times.append(clock.now_ns)
        clock.advance(1)
    spool.remove_through(3)
    spool.forget_keys(times[2])
    assert [k.accepted_at_ns for k in spool.recent_keys(0)] == times[2:]
    spool.forget_keys(clock.now_ns)
    assert [k.accepted_at_ns for k in spool.recent_keys(0)] == times[3:]


def test_what_left_the_queue_above_a_position_is_counted(spool: Spool) -> None:
    """A store that is further back than what was removed has missed it; what is set aside is still here."""
    spool.append([make_entry(n) for n in range(6)])
    spool.quarantine(2, "set aside")
    assert spool.missing_after(0) == 0
    spool.remove_through(4)
    assert [spool.missing_after(position) for position in (0, 1, 3, 4, 6)] == [3, 2, 1, 0, 0]


def test_recent_keys_loses_none_that_moves_meanwhile(spool: Spool) -> None:
    """Reading keys goes on rightly while requests leave the queue."""
    sequences = spool.append([make_entry(n) for n in range(6000)])
    keys = iter(spool.recent_keys(0))
    seen = [next(keys)]
    spool.remove_through(sequences[-1])
    seen.extend(keys)
    assert [k.key for k in seen] == [n.to_bytes(16, "big") for n in range(6000)]


def test_quarantine_keeps_the_request_byte_for_byte(spool: Spool, clock: SteppedClock) -> None:
    """A quarantined request is out of the queue, whole, with the reason and the time."""
    first, second, third = spool.append(
        [make_entry(n, payload=bytes([n]) * 70_000, records=n + 1) for n in range(3)]
    )
    clock.advance(5)
    spool.quarantine(second, "constraint failed \ud800")
    assert read_all(spool) == [first, third]
    assert spool.records_after(0)[Signal.TRACES] == 1 + 3
    (kept,) = spool.quarantined()
    assert (kept.sequence, kept.payload, kept.records) == (second, b"\x01" * 70_000, 2)
    assert kept.reason.startswith("constraint failed")
    assert kept.quarantined_at_ns == clock.now_ns
    assert kept.signal is Signal.TRACES


def test_quarantine_of_the_same_request_twice_changes_nothing(spool: Spool) -> None:
    """The first reason stays; an unknown sequence number is no error."""
    (sequence,) = spool.append([make_entry(1)])
    spool.quarantine(sequence, "first")
    before = spool.statistics()
    spool.quarantine(sequence, "second")
    spool.quarantine(sequence + 99, "never there")
    assert spool.statistics() == before
    assert [q.reason for q in spool.quarantined()] == ["first"]


def test_quarantined_gives_the_oldest_up_to_the_limit(spool: Spool) -> None:
    """Whatever the order of the calls, the lowest sequence numbers come first."""
    sequences = spool.append([make_entry(n) for n in range(4)])
    for sequence in reversed(sequences):
        spool.quarantine(sequence, "bad")
    assert [q.sequence for q in spool.quarantined(limit=2)] == sequences[:2]
    assert [q.sequence for q in spool.quarantined()] == sequences


def test_requeue_moves_everything_back_under_new_numbers(spool: Spool, open_spool: OpenSpool) -> None:
    """A requeued request is in the queue once, above all positions; accepted totals and keys stay."""
    sequences = spool.append([make_entry(n, records=n + 1) for n in range(3)])
    spool.quarantine(sequences[0], "bad")
    spool.quarantine(sequences[2], "bad")
    accepted = spool.statistics().accepted_records
    keys = list(spool.recent_keys(0))
    assert spool.requeue() == 2
    assert spool.quarantined() == []
    back = spool.read(sequences[-1], max_bytes=EVERYTHING)
    assert [(r.payload, r.records) for r in back] == [(b"request 0", 1), (b"request 2", 3)]
    totals = spool.statistics()
    assert totals.accepted_records == accepted
    assert (totals.quarantined_requests, totals.quarantined_records[Signal.TRACES]) == (0, 0)
    assert list(spool.recent_keys(0)) == keys
    assert spool.requeue() == 0
    assert open_spool().statistics() == totals


def test_accepted_is_what_is_in_all_states_together(spool: Spool) -> None:
    """Identity: accepted = stored + duplicates + in_spool + quarantined, after every kind of step."""
    sequences = spool.append(
        [make_entry(n, signal=list(Signal)[n % 3], records=n) for n in range(12)],
        duplicates={Signal.LOGS: 5, Signal.METRICS: 1},
    )
    assert in_all_states(spool, 0) == spool.statistics().accepted_records
    spool.quarantine(sequences[4], "bad")
    spool.quarantine(sequences[11], "bad")
    assert in_all_states(spool, 0) == spool.statistics().accepted_records
    spool.requeue()
    assert in_all_states(spool, 0) == spool.statistics().accepted_records


def test_maintain_changes_nothing_that_can_be_seen(spool: Spool) -> None:
    """Housekeeping may come at any time."""
    sequences = spool.append([make_entry(n) for n in range(3)])
    before = spool.statistics()
    spool.maintain()
    spool.maintain()
    assert spool.statistics() == before
    assert read_all(spool) == sequences


def test_calls_from_many_threads_give_each_request_one_number(spool: Spool) -> None:
    """Appends, reads, counts and housekeeping run beside each other; nothing is lost or doubled."""

    def work(worker: int) -> list[int]:
        sequences: list[int] = []
        for step in range(20):
            sequences += spool.append([make_entry(worker * 1000 + step)])
            spool.read(0, max_bytes=1000)
            spool.records_after(0)
            if step % 5 == 0:
                spool.maintain()
        return sequences

    with ThreadPoolExecutor(4) as pool:
        sequences = sorted(s for part in pool.map(work, range(4)) for s in part)
    assert sequences == list(range(1, 81)) == read_all(spool)
    assert spool.records_after(0)[Signal.TRACES] == 160


def test_a_closed_spool_refuses_and_closes_again(spool: Spool) -> None:
    """Closing twice is safe; a late append is told to retry."""
    spool.append([make_entry(1)])
    spool.close()
    spool.close()
    with pytest.raises(SpoolUnavailableError):
        spool.append([make_entry(2)])


def test_import_keys_come_with_their_entry_and_stay(spool: Spool, open_spool: OpenSpool) -> None:
    """Keys are known once their entry is on disk, after a restart, and when the request has left the queue."""
    keys = [bytes([n]) * 16 for n in range(3)]
    (first,) = spool.append([replace(make_entry(1), import_keys=keys[:2])])
    assert spool.imported(keys) == set(keys[:2])
    again = open_spool()
    again.remove_through(first)
    again.forget_keys(1 << 62)
    assert again.imported(keys) == set(keys[:2])
    assert again.imported([]) == set()


def test_an_import_key_may_come_twice(spool: Spool) -> None:
    """A second entry with the same key is stored like any other: who must not import twice asks first."""
    for number in (1, 2):
        spool.append([replace(make_entry(number), import_keys=[b"k" * 16])])
    assert len(read_all(spool)) == 2


def test_any_number_of_import_keys_can_be_asked_for(spool: Spool) -> None:
    """A file of many thousand units is one question."""
    keys = [n.to_bytes(16, "big") for n in range(10_000)]
    spool.append([replace(make_entry(1), import_keys=keys[::2])])
    assert spool.imported(keys) == set(keys[::2])
