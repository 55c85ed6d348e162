"""The way of requests from the event loop to a worker's thread, in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from queue import SimpleQueue

from receiver.intake.waiting_request import WaitingRequest

_SPACING_S = 0.006
_SIDE_BY_SIDE = 8
_ENOUGH_REQUESTS = 64
_ENOUGH_BYTES = 256 << 10


class Lane:
    """Hands on together what arrives in one turn of the loop, so that a worker wakes up once for all of it.

    Where at least eight requests wait for their answers side by side, what arrives within 6 ms is handed on together: a
    group costs as much as ten small requests do. Fewer clients, each waiting for its answer before it sends again,
    never wait for that; large requests do not either. ADR 17 has the measurement.
    """

    def __init__(self, under_way: Callable[[], int], *, spacing_s: float = _SPACING_S) -> None:
        """Start empty.

        Args:
            under_way: Tells how many requests wait for their answers at this moment.
            spacing_s: Between two groups, where many wait.
        """
        self._under_way = under_way
        self._spacing_s = spacing_s
        self._most_under_way = 0  # since the last time that something was handed on
        self._arrived: list[WaitingRequest] = []
        self._arrived_bytes = 0
        self._some_arrived = asyncio.Event()
        self._time_to_go = asyncio.Event()
        self._handed_on: SimpleQueue[list[WaitingRequest] | None] = SimpleQueue()
        self._waiting: deque[WaitingRequest] = deque()  # the worker's own
        self._ended = False

    def put(self, waiting: WaitingRequest) -> None:
        """Let a request wait here. Threads: the event loop's."""
        self._arrived.append(waiting)
        self._arrived_bytes += len(waiting.request.body)
        self._most_under_way = max(self._most_under_way, self._under_way())
        self._some_arrived.set()
        if len(self._arrived) >= _ENOUGH_REQUESTS or self._arrived_bytes >= _ENOUGH_BYTES:
            self._time_to_go.set()

    async def run(self, pace: Callable[[], Awaitable[None]]) -> None:
        """Hand on what arrives, each time after ``pace``, until cancelled."""
        loop = asyncio.get_running_loop()
        gather_until = 0.0
        while True:
            await self._some_arrived.wait()
            rest_s = gather_until - loop.time()
            if rest_s > 0.0:
                timer = loop.call_later(rest_s, self._time_to_go.set)
                await self._time_to_go.wait()
                timer.cancel()
            await pace()
            self._handed_on.put(self._arrived)
            self._arrived, self._arrived_bytes = [], 0
            self._some_arrived.clear()
            self._time_to_go.clear()
            gather_until = loop.time() + self._spacing_s if self._most_under_way >= _SIDE_BY_SIDE else 0.0
            self._most_under_way = 0

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
