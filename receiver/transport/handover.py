"""The last step of both transports: a complete body goes to the intake, an outcome or a refusal comes back.

Promised: an answer comes before the client's patience ends; work that was taken up goes on when the client
leaves; the bytes of a body stay reserved exactly as long as the intake works on it; every refusal is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from receiver.budget import ByteBudget
from receiver.config import LimitsConfig
from receiver.errors import BusyError, ReceiverError, ShuttingDownError
from receiver.ports import ExportRequest, Intake, Outcome, Transport
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.status import ErrorAnswer, error_answer

MARGIN_S = 0.5
"""What is left of a client's deadline when it gets its answer, at the least."""
LEAST_WAIT_S = 0.05
"""Even a client in a hurry gets this long: most requests are on disk by then."""
_OVERTIME_S = 0.1  # for an intake that keeps to its wait and answers just then

_log = logging.getLogger(__name__)


class Reservation:
    """Bytes of the budget that one request holds; grows with its body and is given back once."""

    def __init__(self, budget: ByteBudget) -> None:
        """Hold nothing yet."""
        self._budget = budget
        self._held = 0

    async def cover(self, size: int, *, wait_s: float) -> None:
        """Hold at least ``size`` bytes from here on.

        Raises:
            BusyError: There was no room within ``wait_s``; what was held before is still held.
        """
        if size > self._held:
            await self._budget.reserve(size - self._held, wait_s=wait_s)
            self._held = size

    def release(self) -> None:
        """Give everything back; a second call changes nothing."""
        if self._held:
            self._budget.release(self._held)
            self._held = 0


class Handover:
    """What the gRPC and the HTTP listener share; one for each listener.

    Threads: the event loop's thread only.
    """

    def __init__(
        self, intake: Intake, metrics: Metrics, limits: LimitsConfig, *, transport: Transport
    ) -> None:
        """Hand in to ``intake`` from here on, until :meth:`close`."""
        self.limits = limits
        self._intake = intake
        self._metrics = metrics
        self._transport = transport
        self._closed = False
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._accepting: set[asyncio.Task[Outcome]] = set()

    def close(self) -> None:
        """Refuse new requests from here on; those in hand go on."""
        self._closed = True

    async def drained(self) -> None:
        """Return once no request is in hand."""
        await self._idle.wait()

    @contextmanager
    def in_hand(self) -> Iterator[Reservation]:
        """Count one request, from its head to its answer, and hold its bytes for the length of the block.

        Raises:
            ShuttingDownError: The listener stops.
        """
        if self._closed:
            raise ShuttingDownError(
                "the receiver is stopping", hint="send the request again, it was not taken"
            )
        reservation = Reservation(self._intake.budget)
        self._in_hand += 1
        self._idle.clear()
        try:
            yield reservation
        finally:
            reservation.release()
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    async def accept(self, request: ExportRequest, reservation: Reservation, *, wait_s: float) -> Outcome:
        """Return the intake's outcome; see :meth:`receiver.ports.Intake.accept`.

        Args:
            request: Its body is covered by ``reservation``.
            reservation: Is emptied: the bytes are given back when the intake is done, not when we are.
            wait_s: How long the client can still wait.

        Raises:
            RetryableError: The intake's, or ``BusyError`` after ``wait_s`` and a little more.
            PermanentError: The intake's.

        Cancellation: the intake goes on; the answer is lost.
        """
        task = asyncio.create_task(self._accept(request, _moved(reservation), wait_s))
        self._accepting.add(task)
        task.add_done_callback(self._accepted)
        # asyncio.wait, unlike wait_for, leaves the task alone when the time is up or we are cancelled.
        done, _ = await asyncio.wait({task}, timeout=wait_s + _OVERTIME_S)
        if not done:
            raise BusyError(
                f"the request could not be written to disk within {wait_s:.1f} s",
                hint="send the same bytes again; if it was written meanwhile, it is recognised",
            )
        return task.result()

    def refuse(self, error: Exception, signal: Signal | None) -> ErrorAnswer:
        """Return what the client is told about ``error``; count it, and log it if nobody foresaw it."""
        if not isinstance(error, ReceiverError):
            _log.error("unexpected error in the %s listener", self._transport.value, exc_info=error)
        answer = error_answer(error, retry_after_s=self.limits.retry_after_s)
        if signal is not None:
            self._metrics.refused(signal, self._transport, answer.reason)
        return answer

    def answered(self, signal: Signal, complete_at: float) -> None:
        """Record the answer to an accepted request whose last byte came at ``complete_at`` (perf_counter)."""
        self._metrics.answered(signal, self._transport, time.perf_counter() - complete_at)

    async def _accept(self, request: ExportRequest, reservation: Reservation, wait_s: float) -> Outcome:
        try:
            return await self._intake.accept(request, wait_s=wait_s)
        finally:
            reservation.release()

    def _accepted(self, task: asyncio.Task[Outcome]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # read, so that an error after the client left is not reported as forgotten


def _moved(reservation: Reservation) -> Reservation:
    """Return a reservation that holds what ``reservation`` held until now."""
    moved = Reservation(reservation._budget)  # noqa: SLF001 - the same class's own
    moved._held, reservation._held = reservation._held, 0  # noqa: SLF001 - the same class's own
    return moved
