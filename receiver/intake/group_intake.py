"""The asyncio queue of waiting requests and the group commit: implements ``receiver.ports.Intake``.

Requests wait in a queue bounded in bytes (by the transports' reservations). One task takes what waits, as one
group, to the decoder; a second commits the group before, so that decoding and syncing overlap. No delay is
added: a group is what arrived while the last one was worked on. Large requests have a decoder and a lane of
their own, so that nobody's answer waits behind one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import xxhash

from receiver.budget import ByteBudget
from receiver.config import Settings
from receiver.duplicates import DuplicateWindow
from receiver.errors import (
    BusyError,
    PermanentError,
    ReceiverError,
    RetryableError,
    ShuttingDownError,
    SpoolUnavailableError,
)
from receiver.ports import (
    Clock,
    Columns,
    CommittedGroup,
    DecodedGroup,
    Decoder,
    ExportRequest,
    Loading,
    Outcome,
    RecentKey,
    Spool,
    SpoolEntry,
    Verdict,
)
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.trouble import Trouble

_LOG = logging.getLogger(__name__)
_LARGE_BYTES = 2 << 20
_HASH_ON_LOOP_BYTES = 1 << 20  # about 0.1 ms
_PROBE_S = 1.0
"""A disk in trouble is tried so often when no request does it: who is not ready may get none."""


@dataclass(eq=False)
class _Waiting:
    """One request between its arrival and its answer."""

    request: ExportRequest
    key: bytes
    answer: asyncio.Future[Outcome]
    verdict: Verdict | None = None
    import_keys: Sequence[bytes] = ()
    followers: int = 0
    """Retries that share this request's commit."""


@dataclass
class _Group:
    """Requests that are decoded and committed together."""

    waiting: list[_Waiting]
    columns: list[Columns] = field(default_factory=list)


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
        self._seed = spool.uuid.int & 0xFFFF_FFFF_FFFF_FFFF
        self._pending: dict[bytes, _Waiting] = {}
        self._duplicates: Counter[Signal] = Counter()
        self._lanes = (_Lane(), _Lane())
        self._commits: asyncio.Queue[_Group] = asyncio.Queue(maxsize=1)
        self._executors = [ThreadPoolExecutor(1, name) for name in ("decode", "decode-large", "spool")]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._refusing = Trouble(_LOG, "the spool cannot be written", over="the spool can be written again")
        self._crawling = Trouble(
            _LOG, "the spool's disk is slow", over="the spool's disk is as fast as it must be"
        )
        self._in_trouble = asyncio.Event()
        self._commit_began: float | None = None
        self._commit_ended = 0.0

    @property
    def budget(self) -> ByteBudget:
        """Return the budget that transports reserve from."""
        return self._budget

    @property
    def spool_problem(self) -> str | None:
        """Return why requests cannot be made durable, or not in the time that a client waits; None if they can."""
        if self._refusing.text is not None:
            return self._refusing.text
        if self._commit_began is not None:
            waited_s = time.monotonic() - self._commit_began
            if waited_s > self._settings.limits.wait_s:
                return f"the disk is slow: a commit has been waiting for it for {waited_s:.0f} s"
        return self._crawling.text and f"the disk is slow: {self._crawling.text}"

    @property
    def pending_requests(self) -> int:
        """Return how many requests wait for their answer."""
        return len(self._pending)

    def start(self) -> None:
        """Set the lanes and the committer going; they end with :meth:`close`."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._drain(lane, decoder, executor), name=f"intake {name}")
            for lane, decoder, executor, name in zip(
                self._lanes, self._decoders, self._executors, ("usual", "large"), strict=False
            )
        ]
        self._tasks.append(loop.create_task(self._commit_groups(), name="intake commit"))
        self._tasks.append(loop.create_task(self._probe_disk(), name="intake probe"))

    async def close(self) -> None:
        """Commit and answer everything that was taken in, then stop; new requests are told to come again."""
        self._stopping = True
        while self._pending:
            await asyncio.wait([w.answer for w in self._pending.values()])
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._count_duplicates()
        for executor in self._executors:
            await asyncio.to_thread(executor.shutdown, wait=True)

    async def accept(
        self, request: ExportRequest, *, wait_s: float, import_keys: Sequence[bytes] = ()
    ) -> Outcome:
        """Return once the accepted records are on disk and synced; see the port."""
        if self._stopping:
            raise ShuttingDownError("the receiver is stopping", hint="send again, to the next one")
        deadline = time.perf_counter() + wait_s
        await self._wait_for_room(wait_s)
        key = await self._key(request)
        if import_keys:  # it is new by its keys, whatever its bytes look like
            key = xxhash.xxh3_128_digest(key + import_keys[0])
        known = self._window.find(key)
        if known is not None:
            return self._repeated(request, known)
        waiting = self._pending.get(key)
        if waiting is None:
            waiting = _Waiting(
                request, key, asyncio.get_running_loop().create_future(), import_keys=import_keys
            )
            # Nobody may be left to look at the answer; a failure is logged where it happens.
            waiting.answer.add_done_callback(lambda future: future.cancelled() or future.exception())
            self._pending[key] = waiting
            self._lanes[len(request.body) > _LARGE_BYTES].put(waiting)
            follows = False
        else:
            waiting.followers += 1
            follows = True
        try:
            async with asyncio.timeout(max(deadline - time.perf_counter(), 0.05)):
                outcome = await asyncio.shield(waiting.answer)
        except TimeoutError:
            raise BusyError(
                f"the request was not on disk within {wait_s:.1f} s",
                hint="send it again: if it got there meanwhile, it is recognised and not stored twice",
            ) from None
        finally:
            if follows:
                waiting.followers -= 1
        if follows:
            self._metrics.duplicate(request.signal, request.transport)
            self._count_repeat(request, waiting.verdict.records if waiting.verdict else 0)
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
        self._duplicates[request.signal] += records
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

    async def _key(self, request: ExportRequest) -> bytes:
        seed = self._seed ^ (list(Signal).index(request.signal) + 1)
        if len(request.body) <= _HASH_ON_LOOP_BYTES:
            return xxhash.xxh3_128_digest(request.body, seed=seed)
        return await asyncio.to_thread(xxhash.xxh3_128_digest, request.body, seed)

    async def _drain(self, lane: _Lane, decoder: Decoder, executor: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        limits = self._settings.intake
        while True:
            waiting = await lane.take(limits.group_bytes, limits.group_requests)
            group = _Group(waiting)
            started = time.perf_counter()
            for signal in Signal:
                members = [w for w in waiting if w.request.signal is signal]
                if not members:
                    continue
                try:
                    decoded = await loop.run_in_executor(
                        executor, decoder.decode, [w.request for w in members]
                    )
                except Exception:  # noqa: BLE001 - task boundary: one group's failure must not end the intake
                    _LOG.exception("decoding failed; the clients are told to retry")
                    self._refuse(
                        members, RetryableError("the request could not be decoded now", hint="retry")
                    )
                    continue
                self._judge(members, decoded)
                group.columns += decoded.columns
            self._metrics.decoded(time.perf_counter() - started)
            group.waiting = [w for w in waiting if w.verdict is not None]
            if group.waiting:
                await self._commits.put(group)

    def _judge(self, members: Sequence[_Waiting], decoded: DecodedGroup) -> None:
        for waiting, verdict in zip(members, decoded.verdicts, strict=True):
            if verdict is None:
                self._lanes[1].put(waiting)  # to the patient decoder
            elif isinstance(verdict, PermanentError):
                self._refuse([waiting], verdict)
            else:
                waiting.verdict = verdict

    async def _commit_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = await self._commits.get()
            await self._loading.pace()
            duplicates, self._duplicates = self._duplicates, Counter()
            started = self._commit_began = time.monotonic()
            try:
                sequences = await loop.run_in_executor(
                    self._executors[-1], self._append, [_entry(w) for w in group.waiting], duplicates
                )
            except Exception as error:  # noqa: BLE001 - task boundary: the next group may succeed
                self._duplicates.update(duplicates)
                self._disk_failed(error)
                if not isinstance(error, ReceiverError):
                    error = SpoolUnavailableError("the request could not be written to disk")
                self._refuse(group.waiting, error)
                continue
            finally:
                self._commit_began, self._commit_ended = None, time.monotonic()
            self._metrics.committed(self._commit_ended - started)
            self._disk_worked(self._commit_ended - started)
            self._committed(group, sequences)

    async def _probe_disk(self) -> None:
        """While the disk is in trouble and nobody else finds out whether it still is: find out."""
        loop = asyncio.get_running_loop()
        while True:
            await self._in_trouble.wait()
            await asyncio.sleep(_PROBE_S)
            if self._commit_began is not None or time.monotonic() - self._commit_ended < _PROBE_S:
                continue
            started = time.monotonic()
            try:
                await loop.run_in_executor(self._executors[-1], self._spool.verify_writable)
            except Exception as error:  # noqa: BLE001 - task boundary: as of a commit
                self._disk_failed(error)
            else:
                self._disk_worked(time.monotonic() - started)

    def _disk_worked(self, seconds: float) -> None:
        self._refusing.ended()
        self._metrics.spool_writable.set(1)
        if seconds > self._settings.limits.wait_s:
            self._crawling.happened(f"a commit took {seconds:.1f} s")
            self._in_trouble.set()
        else:
            self._crawling.ended()
            self._in_trouble.clear()

    def _disk_failed(self, error: Exception) -> None:
        self._refusing.happened(str(error), error=None if isinstance(error, ReceiverError) else error)
        self._metrics.spool_writable.set(0)
        self._in_trouble.set()

    def _append(self, entries: list[SpoolEntry], duplicates: Counter[Signal]) -> list[int]:
        return self._spool.append(entries, duplicates=duplicates)

    def _committed(self, group: _Group, sequences: list[int]) -> None:
        now = self._clock()
        records: Counter[Signal] = Counter()
        for waiting in group.waiting:
            verdict, request = waiting.verdict, waiting.request
            assert verdict is not None  # noqa: S101 - only requests with a verdict are committed
            records[request.signal] += verdict.records
            if verdict.identifiable:
                self._window.remember(RecentKey(waiting.key, now, verdict.outcome, verdict.records))
            self._report(request, verdict)
            self._answer(waiting, verdict.outcome)
        payload_bytes = sum(len(w.verdict.payload) for w in group.waiting if w.verdict)
        self._loading.offer(CommittedGroup(sequences, group.columns, records, payload_bytes))

    def _report(self, request: ExportRequest, verdict: Verdict) -> None:
        self._metrics.accepted(request.signal, request.transport, verdict.records)
        if verdict.outcome.rejected:
            self._metrics.rejected(request.signal, request.transport, verdict.outcome.rejected)
        elif verdict.outcome.message:
            self._metrics.warned(request.signal, request.transport)

    def _answer(self, waiting: _Waiting, outcome: Outcome) -> None:
        self._pending.pop(waiting.key, None)
        if not waiting.answer.done():
            waiting.answer.set_result(outcome)

    def _refuse(self, members: Sequence[_Waiting], error: ReceiverError) -> None:
        for waiting in members:
            self._pending.pop(waiting.key, None)
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    async def _count_duplicates(self) -> None:
        """Make the count of retries durable that came after the last commit."""
        if self._duplicates:
            try:
                await asyncio.to_thread(self._append, [], self._duplicates)
            except ReceiverError as error:
                _LOG.warning("the count of the last retries is lost: %s", error)


class _Lane:
    """Requests of one lane, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    def put(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._arrived.set()

    async def take(self, max_bytes: int, max_requests: int) -> list[_Waiting]:
        """Return at least one request: what waits now, up to the limits."""
        await self._arrived.wait()
        taken = [self._waiting.popleft()]
        size = len(taken[0].request.body)
        while self._waiting and len(taken) < max_requests:
            size += len(self._waiting[0].request.body)
            if size > max_bytes:
                break
            taken.append(self._waiting.popleft())
        if not self._waiting:
            self._arrived.clear()
        return taken


def _entry(waiting: _Waiting) -> SpoolEntry:
    verdict = waiting.verdict
    assert verdict is not None  # noqa: S101 - only requests with a verdict are committed
    return SpoolEntry(
        signal=waiting.request.signal,
        payload=verdict.payload,
        records=verdict.records,
        outcome=verdict.outcome,
        key=waiting.key if verdict.identifiable else None,
        import_keys=waiting.import_keys,
    )
