"""The spool behaves like a plain list, whatever the order of calls and restarts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from receiver.ports import Outcome, SpoolEntry
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from tests.support.spool_entries import SteppedClock

EVERYTHING = 1 << 40
entries = st.builds(
    SpoolEntry,
    signal=st.sampled_from(Signal),
    payload=st.one_of(st.binary(max_size=50), st.integers(60_000, 140_000).map(bytes)),
    records=st.integers(0, 1000),
    outcome=st.builds(Outcome, rejected=st.integers(0, 3), message=st.sampled_from(["", "warned"])),
    key=st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
)


@dataclass
class Row:
    """One request of the model."""

    sequence: int
    entry: SpoolEntry
    accepted_at_ns: int


class SpoolModel(RuleBasedStateMachine):
    """Queue, quarantine and keys as plain lists."""

    def __init__(self) -> None:
        """Open a spool in a folder of its own."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = SteppedClock()
        self.spool = SqliteSpool(self.folder / "spool.db", clock=self.clock)
        self.uuid = self.spool.uuid
        self.queue: list[Row] = []
        self.aside: list[Row] = []
        self.keys: dict[int, Row] = {}
        self.highest = 0
        self.accepted = dict.fromkeys(Signal, 0)
        self.duplicates = dict.fromkeys(Signal, 0)

    def teardown(self) -> None:
        """Remove the folder."""
        self.spool.close()
        shutil.rmtree(self.folder)

    @rule(
        group=st.lists(entries, max_size=4),
        repeated=st.dictionaries(st.sampled_from(Signal), st.integers(0, 9)),
    )
    def append(self, group: list[SpoolEntry], repeated: dict[Signal, int]) -> None:
        """New sequence numbers are above all that were ever given."""
        self.clock.advance(1)
        sequences = self.spool.append(group, duplicates=repeated)
        assert sequences == sorted(set(sequences))
        assert all(s > self.highest for s in sequences)
        for sequence, entry in zip(sequences, group, strict=True):
            row = Row(sequence, entry, self.clock.now_ns)
            self.queue.append(row)
            if entry.key is not None:
                self.keys[sequence] = row
            self.highest = sequence
            self.accepted[entry.signal] += entry.records
        for signal, count in repeated.items():
            self.accepted[signal] += count
            self.duplicates[signal] += count

    @rule(share=st.floats(0, 1))
    def remove(self, share: float) -> None:
        """What is up to the position goes."""
        position = int(self.highest * share)
        gone = [r for r in self.queue if r.sequence <= position]
        assert self.spool.remove_through(position) == len(gone)
        self.queue = [r for r in self.queue if r.sequence > position]

    @rule(pick=st.integers(0, 50))
    def quarantine(self, pick: int) -> None:
        """One request, or none where the number is not in the queue."""
        self.spool.quarantine(pick, f"reason {pick}")
        self.aside += [r for r in self.queue if r.sequence == pick]
        self.queue = [r for r in self.queue if r.sequence != pick]

    @rule()
    def requeue(self) -> None:
        """All of the quarantine comes back under new numbers."""
        assert self.spool.requeue() == len(self.aside)
        for row in sorted(self.aside, key=lambda r: r.sequence):
            self.highest += 1
            self.queue.append(Row(self.highest, row.entry, row.accepted_at_ns))
        self.aside = []

    @rule(age=st.integers(0, 10))
    def forget(self, age: int) -> None:
        """Old keys of requests out of the queue go."""
        before = self.clock.now_ns - age * 1_000_000_000
        self.spool.forget_keys(before)
        waiting = {r.sequence for r in self.queue}
        self.keys = {s: r for s, r in self.keys.items() if r.accepted_at_ns >= before or s in waiting}

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        """A restart changes nothing, with the log folded in or copied as it lies after a kill."""
        if crash:
            copy = Path(tempfile.mkdtemp())
            for name in ("spool.db", "spool.db-wal"):
                shutil.copy(self.folder / name, copy / name)
            self.spool.close()
            shutil.rmtree(self.folder)
            self.folder = copy
        else:
            self.spool.close()
        self.spool = SqliteSpool(self.folder / "spool.db", clock=self.clock)

    @rule()
    def maintain(self) -> None:
        """Housekeeping changes nothing."""
        self.spool.maintain()

    @invariant()
    def same_as_the_model(self) -> None:
        """Queue, quarantine, keys and totals are those of the model."""
        back = self.spool.read(0, max_bytes=EVERYTHING)
        assert [(r.sequence, r.signal, r.payload, r.records, r.accepted_at_ns) for r in back] == [
            (r.sequence, r.entry.signal, r.entry.payload, r.entry.records, r.accepted_at_ns)
            for r in self.queue
        ]
        assert [(q.sequence, q.payload) for q in self.spool.quarantined(limit=1000)] == [
            (r.sequence, r.entry.payload) for r in sorted(self.aside, key=lambda r: r.sequence)
        ]
        assert [(k.key, k.accepted_at_ns, k.outcome, k.records) for k in self.spool.recent_keys(0)] == [
            (r.entry.key, r.accepted_at_ns, r.entry.outcome, r.entry.records)
            for _, r in sorted(self.keys.items())
        ]
        totals = self.spool.statistics()
        assert self.spool.uuid == self.uuid
        assert totals.requests == len(self.queue)
        assert totals.payload_bytes == sum(len(r.entry.payload) for r in self.queue)
        assert totals.highest_sequence == self.highest
        assert totals.accepted_records == self.accepted
        assert totals.duplicate_records == self.duplicates
        for position in (0, self.highest // 2, self.highest):
            assert self.spool.records_after(position) == {
                s: sum(r.entry.records for r in self.queue if r.entry.signal is s and r.sequence > position)
                for s in Signal
            }
        assert totals.quarantined_records == {
            s: sum(r.entry.records for r in self.aside if r.entry.signal is s) for s in Signal
        }


SpoolModel.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestSpoolModel = SpoolModel.TestCase
