"""Requests between their arrival and their answers, and the lanes on which they get to a worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue

from receiver.errors import ReceiverError
from receiver.ports import ExportRequest, Outcome, SpoolEntry, Verdict


class WaitingRequest:
    """One request that was taken up, and everybody who waits for its answer: its client and their retries."""

    __slots__ = ("answers", "import_keys", "key", "request", "verdict")

    def __init__(self, request: ExportRequest, key: bytes, import_keys: Sequence[bytes]) -> None:
        """Begin without a verdict, and with nobody who waits."""
        self.request = request
        self.key = key
        self.import_keys = import_keys
        self.verdict: Verdict | None = None
        self.answers: list[asyncio.Future[Outcome | ReceiverError]] = []
        """Errors come as results: of an exception that nobody is left to look at asyncio would complain."""

    def answer(self, outcome: Outcome | ReceiverError) -> None:
        """Tell those who still wait. Threads: the event loop's."""
        for answer in self.answers:
            if not answer.done():
                answer.set_result(outcome)

    def entry(self) -> SpoolEntry:
        """Return what goes to disk; there is a verdict."""
        verdict = self.verdict
        assert verdict is not None  # noqa: S101 - only requests with a verdict are committed
        return SpoolEntry(
            signal=self.request.signal,
            payload=verdict.payload,
            records=verdict.records,
            outcome=verdict.outcome,
            key=self.key if verdict.identifiable else None,
            import_keys=self.import_keys,
        )


class Lane:
    """Requests on their way from the event loop to a worker's thread, in the order of their arrival.

    What arrives in one turn of the loop is handed on together, so that a worker wakes up once for all of it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._arrived: list[WaitingRequest] = []
        self._some_arrived = asyncio.Event()
        self._handed_on: SimpleQueue[list[WaitingRequest] | None] = SimpleQueue()
        self._waiting: deque[WaitingRequest] = deque()  # the worker's own
        self._ended = False

    def put(self, waiting: WaitingRequest) -> None:
        """Let a request wait here. Threads: the event loop's."""
        self._arrived.append(waiting)
        self._some_arrived.set()

    async def run(self, pace: Callable[[], Awaitable[None]]) -> None:
        """Hand on what arrives, each time after ``pace``, until cancelled."""
        while True:
            await self._some_arrived.wait()
            await pace()
            arrived, self._arrived = self._arrived, []
            self._some_arrived.clear()
            self._handed_on.put(arrived)

    def end(self) -> None:
        """Let the worker end once nothing is left. Threads: any."""
        self._handed_on.put(None)

    def take(self, max_bytes: int, max_requests: int) -> list[WaitingRequest]:
        """Return at least one request: what waits now, up to the limits; an empty list at the end.

        Threads: the worker's only; blocks while there is none.
        """
        while not self._ended and (not self._waiting or not self._handed_on.empty()):
            arrived = self._handed_on.get()
            if arrived is None:
                self._ended = True
            else:
                self._waiting += arrived
        taken: list[WaitingRequest] = []
        size = 0
        while self._waiting and len(taken) < max_requests:
            size += len(self._waiting[0].request.body)
            if taken and size > max_bytes:
                break
            taken.append(self._waiting.popleft())
        return taken
