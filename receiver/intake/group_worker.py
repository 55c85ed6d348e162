"""A thread that decodes groups of waiting requests and commits them: from a lane to the disk in one place.

One thread does both, because each hand-over between threads costs a wait for Python's lock: beside a busy event
loop that is more than decoding and committing a group of small requests takes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread, get_ident
from typing import Protocol

from receiver.config import IntakeConfig
from receiver.errors import PermanentError, ReceiverError, RetryableError
from receiver.intake.lane import Lane
from receiver.intake.waiting_request import WaitingRequest
from receiver.ports import Columns, DecodedGroup, Decoder, Spool, SpoolEntry
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)


@dataclass
class Group:
    """Requests that are committed together."""

    waiting: list[WaitingRequest]
    columns: list[Columns] = field(default_factory=list)


class Results(Protocol):
    """**Protocol:** what hears of a worker's results, in their order. Threads: the event loop's."""

    def committed(self, group: Group, sequences: list[int], seconds: float) -> None:
        """Take note that a group is on disk."""
        ...

    def not_committed(self, group: Group, error: Exception) -> None:
        """Take note that nothing of a group is on disk."""
        ...

    def refused(self, members: Sequence[WaitingRequest], error: ReceiverError) -> None:
        """Take note that requests were refused."""
        ...

    def put_off(self, members: Sequence[WaitingRequest]) -> None:
        """Take note that requests need a patient decoder."""
        ...


class Committer:
    """The only way to the spool for all workers: commits, and their results, are in the order of their sequences.

    Threads: any.
    """

    def __init__(self, spool: Spool, loop: asyncio.AbstractEventLoop, results: Results) -> None:
        """Commit to ``spool``; tell ``results`` in ``loop``."""
        self._spool = spool
        self._loop = loop
        self._results = results
        self._turn = Lock()
        self._counting = Lock()
        self._duplicates: Counter[Signal] = Counter()
        self._in_hand: dict[int, float] = {}
        self.ended = 0.0
        """When the last commit ended (monotonic)."""

    @property
    def began(self) -> float | None:
        """Return when the oldest commit in hand began (monotonic); None while there is none."""
        return min(tuple(self._in_hand.values()), default=None)

    def count_duplicates(self, signal: Signal, records: int) -> None:
        """Count records of a suppressed retry; durable with the next commit."""
        with self._counting:
            self._duplicates[signal] += records

    def commit(self, group: Group) -> None:
        """Make a group durable and say how that went. Blocks for the sync.

        What is large about it gets to disk before its turn, so that the other workers' groups do not wait for that.
        """
        thread = get_ident()
        self._in_hand[thread] = started = time.monotonic()
        try:
            entries = self._spool.stage([each.entry() for each in group.waiting])
        except Exception as error:  # noqa: BLE001 - task boundary: the next group may succeed
            self._ended(thread)
            self._loop.call_soon_threadsafe(self._results.not_committed, group, error)
            return
        staged_s = time.monotonic() - started
        with self._turn:
            self._in_hand[thread] = started = time.monotonic()
            try:
                sequences = self._append(entries)
            except Exception as error:  # noqa: BLE001 - task boundary: the next group may succeed
                self._ended(thread)
                self._loop.call_soon_threadsafe(self._results.not_committed, group, error)
            else:
                self._ended(thread)
                seconds = staged_s + self.ended - started
                self._loop.call_soon_threadsafe(self._results.committed, group, sequences, seconds)

    def _ended(self, thread: int) -> None:
        del self._in_hand[thread]
        self.ended = time.monotonic()

    def commit_duplicates(self) -> None:
        """Make the count of retries durable that came after the last commit.

        Raises:
            SpoolUnavailableError: It is not.
        """
        with self._turn:
            self._append([])

    def _append(self, entries: Sequence[SpoolEntry]) -> list[int]:
        with self._counting:
            duplicates, self._duplicates = self._duplicates, Counter()
        try:
            return self._spool.append(entries, duplicates=duplicates)
        except Exception:
            with self._counting:
                self._duplicates.update(duplicates)
            raise


class GroupWorker:
    """Takes groups from a lane, decodes and commits them, one after the other, in a thread of its own."""

    def __init__(
        self,
        name: str,
        lane: Lane,
        decoder: Decoder,
        *,
        committer: Committer,
        loop: asyncio.AbstractEventLoop,
        results: Results,
        limits: IntakeConfig,
        metrics: Metrics,
    ) -> None:
        """Start at once."""
        self._lane = lane
        self._decoder = decoder
        self._committer = committer
        self._loop = loop
        self._results = results
        self._limits = limits
        self._metrics = metrics
        # A daemon: one that waits for a disk that does not answer must not keep the process.
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Return when the lane has ended and the last group is done. Blocks."""
        self._thread.join()

    def _run(self) -> None:
        while waiting := self._lane.take(self._limits.group_bytes, self._limits.group_requests):
            started = time.perf_counter()
            group = self._decoded(waiting)
            self._metrics.decoded(time.perf_counter() - started)
            if group.waiting:
                self._committer.commit(group)
            del waiting, group  # else their bodies would stay in memory until others come

    def _decoded(self, waiting: list[WaitingRequest]) -> Group:
        by_signal: dict[Signal, list[WaitingRequest]] = {}
        for each in waiting:
            by_signal.setdefault(each.request.signal, []).append(each)
        group = Group(waiting)
        for members in by_signal.values():
            try:
                decoded = self._decoder.decode([each.request for each in members])
            except Exception:  # noqa: BLE001 - task boundary: one group's failure must not end the intake
                _LOG.exception("decoding failed; the clients are told to retry")
                error = RetryableError("the request could not be decoded now", hint="retry")
                self._loop.call_soon_threadsafe(self._results.refused, members, error)
            else:
                self._judge(members, decoded)
                group.columns += decoded.columns
        group.waiting = [each for each in waiting if each.verdict is not None]
        return group

    def _judge(self, members: Sequence[WaitingRequest], decoded: DecodedGroup) -> None:
        put_off = []
        for waiting, verdict in zip(members, decoded.verdicts, strict=True):
            if verdict is None:
                put_off.append(waiting)
            elif isinstance(verdict, PermanentError):
                self._loop.call_soon_threadsafe(self._results.refused, [waiting], verdict)
            else:
                waiting.verdict = verdict
        if put_off:
            self._loop.call_soon_threadsafe(self._results.put_off, put_off)
