"""The queue of waiting requests and the group commit: implements ``receiver.ports.Intake``.

Requests wait in a queue bounded in bytes (by the transports' reservations). A worker takes what waits, as one group,
decodes it and commits it: what arrived while the last one was worked on and, where many clients send side by side,
within a few milliseconds (:class:`receiver.intake.lane.Lane`). Large requests have a decoder and a worker of their own,
so that nobody's answer waits behind one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

import xxhash

from receiver.budget import ByteBudget
from receiver.config import Settings
from receiver.duplicates import DuplicateWindow
from receiver.errors import (
    BusyError,
    ReceiverError,
    ShuttingDownError,
    SpoolUnavailableError,
)
from receiver.intake.disk_watch import DiskWatch
from receiver.intake.group_worker import Committer, Group, GroupWorker
from receiver.intake.lane import Lane
from receiver.intake.waiting_request import WaitingRequest
from receiver.ports import (
    Clock,
    CommittedGroup,
    Decoder,
    ExportRequest,
    Loading,
    Outcome,
    RecentKey,
    Spool,
    Transport,
)
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)
_LARGE_BYTES = 2 << 20
_HASH_ON_LOOP_BYTES = 1 << 20  # about 0.1 ms
_LEAST_WAIT_S = 0.05


class GroupIntake:
    """Accepts requests. Threads: the event loop's; decodes and commits in threads of its own."""

    def __init__(
        self,
        *,
        decoders: tuple[Decoder, Decoder],
        spool: Spool,
        window: DuplicateWindow,
        loading: Loading,
        settings: Settings,
        metrics: Metrics,
        clock: Clock = time.time_ns,
    ) -> None:
        """Wire the stage up; :meth:`start` sets it going.

        Args:
            decoders: One for the usual lane and a patient one for requests that take long.
            spool: Makes requests durable.
            window: Knows the requests of the last minutes.
            loading: Takes over what was committed.
            settings: Limits of requests and of groups.
            metrics: Counts outcomes.
            clock: Unix time in nanoseconds.
        """
        self._decoders = decoders
        self._spool = spool
        self._window = window
        self._loading = loading
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._budget = ByteBudget(settings.limits.waiting_bytes)
        seed = spool.uuid.int & 0xFFFF_FFFF_FFFF_FFFF
        self._seeds = {signal: seed ^ number for number, signal in enumerate(Signal, 1)}
        self._pending: dict[bytes, WaitingRequest] = {}
        self._none_pending = asyncio.Event()
        self._none_pending.set()
        self._lanes = (Lane(self._pending.__len__), Lane(self._pending.__len__))
        self._disk = DiskWatch(spool, metrics, patience_s=settings.limits.wait_s)
        self._committer: Committer | None = None
        self._workers: list[GroupWorker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def budget(self) -> ByteBudget:
        """Return the budget that transports reserve from."""
        return self._budget

    @property
    def spool_problem(self) -> str | None:
        """Return why requests cannot be made durable, or not in the time that a client waits; None if they can."""
        return self._disk.problem(self._committer.began if self._committer else None)

    @property
    def pending_requests(self) -> int:
        """Return how many requests wait for their answer."""
        return len(self._pending)

    def start(self) -> None:
        """Set the lanes and their workers going; they end with :meth:`close`."""
        loop = asyncio.get_running_loop()
        self._committer = committer = Committer(self._spool, loop, self)
        self._workers = [
            GroupWorker(
                name,
                lane,
                decoder,
                committer=committer,
                loop=loop,
                results=self,
                limits=self._settings.intake,
                metrics=self._metrics,
            )
            for name, lane, decoder in zip(
                ("intake", "intake-large"), self._lanes, self._decoders, strict=True
            )
        ]
        self._tasks = [
            *(loop.create_task(lane.run(self._loading.pace), name="intake lane") for lane in self._lanes),
            loop.create_task(self._disk.run(committer), name="intake disk"),
        ]

    async def close(self) -> None:
        """Commit and answer everything that was taken in, then stop; new requests are told to come again."""
        self._stopping = True
        await self._none_pending.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            lane.end()
        for worker in self._workers:
            await asyncio.to_thread(worker.join)
        if self._committer is not None:
            try:
                await asyncio.to_thread(self._committer.commit_duplicates)
            except ReceiverError as error:
                _LOG.warning("the count of the last retries is lost: %s", error)

    async def accept(
        self, request: ExportRequest, *, wait_s: float, import_keys: Sequence[bytes] = ()
    ) -> Outcome:
        """Return once the accepted records are on disk and synced; see the port."""
        taken_up = False
        try:
            if self._stopping:
                raise ShuttingDownError("the receiver is stopping", hint="send again, to the next one")
            deadline = time.perf_counter() + wait_s
            if not self._loading.has_room:
                await self._wait_for_room(wait_s)
            if len(request.body) <= _HASH_ON_LOOP_BYTES:
                key = self._key(request, import_keys)
            else:
                key = await asyncio.to_thread(self._key, request, import_keys)
            known = self._window.find(key)
            if known is not None:
                return self._repeated(request, known)
            waiting = self._pending.get(key)
            if waiting is None:
                taken_up = True
                return await self._answer_of(self._take_up(request, key, import_keys), deadline, wait_s)
            outcome = await self._answer_of(waiting, deadline, wait_s)
        finally:
            if not taken_up:
                self._budget.release(len(request.body))
        self._metrics.duplicate(request.signal, request.transport)
        self._count_repeat(request, waiting.verdict.records if waiting.verdict else 0)
        return outcome

    def _take_up(self, request: ExportRequest, key: bytes, import_keys: Sequence[bytes]) -> WaitingRequest:
        waiting = WaitingRequest(request, key, import_keys)
        self._pending[key] = waiting
        self._none_pending.clear()
        self._lanes[len(request.body) > _LARGE_BYTES].put(waiting)
        return waiting

    async def _answer_of(self, waiting: WaitingRequest, deadline: float, wait_s: float) -> Outcome:
        """Return the outcome of a request that was taken up; whoever stops waiting leaves it to go on.

        A timer and a future, not ``asyncio.timeout`` and ``shield``: every request comes through here.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome | ReceiverError] = loop.create_future()
        waiting.answers.append(answer)
        timer = loop.call_later(max(deadline - time.perf_counter(), _LEAST_WAIT_S), _give_up, answer, wait_s)
        try:
            outcome = await answer
        finally:
            timer.cancel()
        if isinstance(outcome, ReceiverError):
            raise outcome
        return outcome

    def _repeated(self, request: ExportRequest, known: RecentKey) -> Outcome:
        self._metrics.duplicate(request.signal, request.transport)
        self._count_repeat(request, known.records)
        if known.outcome.rejected:
            return known.outcome
        age_s = max(self._clock() - known.accepted_at_ns, 0) / 1e9
        note = f"identical to a request accepted {age_s:.0f} s ago, not stored again"
        return Outcome(0, f"{note}; {known.outcome.message}" if known.outcome.message else note)

    def _count_repeat(self, request: ExportRequest, records: int) -> None:
        if self._committer is not None:
            self._committer.count_duplicates(request.signal, records)
        self._metrics.accepted(request.signal, request.transport, records)

    async def _wait_for_room(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._loading.wait_for_room()
        except TimeoutError:
            raise SpoolUnavailableError(
                "the spool holds as many bytes as spool.max_bytes allows",
                hint="the store does not keep up or has stopped; see /readyz",
            ) from None

    def _key(self, request: ExportRequest, import_keys: Sequence[bytes]) -> bytes:
        key = xxhash.xxh3_128_digest(request.body, seed=self._seeds[request.signal])
        if import_keys:  # it is new by its keys, whatever its bytes look like
            key = xxhash.xxh3_128_digest(key + import_keys[0])
        return key

    def committed(self, group: Group, sequences: list[int], seconds: float) -> None:
        """Answer a group that is on disk and hand it to the loader."""
        self._metrics.committed(seconds)
        self._disk.worked(seconds)
        now = self._clock()
        records: Counter[Signal] = Counter()
        accepted: Counter[tuple[Signal, Transport]] = Counter()
        payload_bytes = 0
        for waiting in group.waiting:
            verdict, request = waiting.verdict, waiting.request
            assert verdict is not None  # noqa: S101 - only requests with a verdict are committed
            records[request.signal] += verdict.records
            accepted[request.signal, request.transport] += verdict.records
            payload_bytes += len(verdict.payload)
            if verdict.identifiable:
                self._window.remember(RecentKey(waiting.key, now, verdict.outcome, verdict.records))
            if verdict.outcome.rejected:
                self._metrics.rejected(request.signal, request.transport, verdict.outcome.rejected)
            elif verdict.outcome.message:
                self._metrics.warned(request.signal, request.transport)
            waiting.answer(verdict.outcome)
        for (signal, transport), count in accepted.items():
            self._metrics.accepted(signal, transport, count)
        self._done_with(group.waiting)
        self._loading.offer(CommittedGroup(sequences, group.columns, records, payload_bytes))

    def not_committed(self, group: Group, error: Exception) -> None:
        """Tell the clients of a group that nothing of it is on disk."""
        self._disk.failed(error)
        if not isinstance(error, ReceiverError):
            error = SpoolUnavailableError("the request could not be written to disk")
        self.refused(group.waiting, error)

    def refused(self, members: Sequence[WaitingRequest], error: ReceiverError) -> None:
        """Tell clients that their requests were refused."""
        for waiting in members:
            waiting.answer(error)
        self._done_with(members)

    def put_off(self, members: Sequence[WaitingRequest]) -> None:
        """Give requests to the patient decoder."""
        for waiting in members:
            self._lanes[1].put(waiting)

    def _done_with(self, members: Sequence[WaitingRequest]) -> None:
        for waiting in members:
            del self._pending[waiting.key]
        if not self._pending:
            self._none_pending.set()
        self._budget.release(sum(len(waiting.request.body) for waiting in members))


def _give_up(answer: asyncio.Future[Outcome | ReceiverError], wait_s: float) -> None:
    if not answer.done():
        answer.set_result(
            BusyError(
                f"the request was not on disk within {wait_s:.1f} s",
                hint="send it again: if it got there meanwhile, it is recognised and not stored twice",
            )
        )
