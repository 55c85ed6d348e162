"""The last step of both transports: a complete body goes to the intake, an outcome or a refusal comes back.

Promised: an answer comes before the client's patience ends; work that was taken up goes on when the client
leaves; the bytes of a body stay reserved exactly as long as the intake works on it; every refusal is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time

from receiver.budget import ByteBudget
from receiver.config import LimitsConfig
from receiver.errors import ReceiverError, ShuttingDownError
from receiver.ports import ExportRequest, Intake, Outcome, Transport
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.status import ErrorAnswer, error_answer

MARGIN_S = 0.5
"""What is left of a client's deadline when it gets its answer, at the least."""
LEAST_WAIT_S = 0.05
"""Even a client in a hurry gets this long: most requests are on disk by then."""

_log = logging.getLogger(__name__)


class Reservation:
    """Bytes of the budget that one request holds; grows with its body and is given back once."""

    __slots__ = ("_budget", "_held")

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

    def pass_on(self, size: int) -> None:
        """Leave ``size`` bytes to somebody who gives them back, and give the rest back."""
        rest = self._held - size
        self._held = 0
        if rest:
            self._budget.release(rest)

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

    def close(self) -> None:
        """Refuse new requests from here on; those in hand go on."""
        self._closed = True

    async def drained(self) -> None:
        """Return once no request is in hand."""
        await self._idle.wait()

    def in_hand(self) -> InHand:
        """Count one request, from its head to its answer, and hold its bytes for the length of the block.

        Raises:
            ShuttingDownError: The listener stops.
        """
        if self._closed:
            raise ShuttingDownError(
                "the receiver is stopping", hint="send the request again, it was not taken"
            )
        return InHand(self, self._intake.budget)

    async def accept(self, request: ExportRequest, reservation: Reservation, *, wait_s: float) -> Outcome:
        """Return the intake's outcome; see :meth:`receiver.ports.Intake.accept`.

        Args:
            request: Its body is covered by ``reservation``.
            reservation: Is emptied: the bytes are given back when the intake is done, not when we are.
            wait_s: How long the client can still wait.

        Raises:
            RetryableError: The intake's.
            PermanentError: The intake's.

        Cancellation: the intake goes on with what it has taken up; the answer is lost.
        """
        reservation.pass_on(len(request.body))
        return await self._intake.accept(request, wait_s=wait_s)

    def refuse(self, error: Exception, signal: Signal | None) -> ErrorAnswer:
        """Return what the client is told about ``error``; count it, and log it if nobody foresaw it.

        The error keeps nothing of the request afterwards. Its frames hold the body and one of them the error itself: the
        body would stay in memory, counted by nobody, until the collector of such cycles came.
        """
        if not isinstance(error, ReceiverError):
            _log.error("unexpected error in the %s listener", self._transport.value, exc_info=error)
        answer = error_answer(error, retry_after_s=self.limits.retry_after_s)
        if signal is not None:
            self._metrics.refused(signal, self._transport, answer.reason)
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return answer

    def answered(self, signal: Signal, complete_at: float) -> None:
        """Record the answer to an accepted request whose last byte came at ``complete_at`` (perf_counter)."""
        self._metrics.answered(signal, self._transport, time.perf_counter() - complete_at)

    def _begun(self) -> None:
        self._in_hand += 1
        if self._in_hand == 1:
            self._idle.clear()

    def _ended(self) -> None:
        self._in_hand -= 1
        if not self._in_hand:
            self._idle.set()


class InHand:
    """One request in hand, as a block; a class and not a generator, as every request comes through here."""

    __slots__ = ("_handover", "_reservation")

    def __init__(self, handover: Handover, budget: ByteBudget) -> None:
        """Hold nothing yet."""
        self._handover = handover
        self._reservation = Reservation(budget)

    def __enter__(self) -> Reservation:
        self._handover._begun()  # noqa: SLF001 - its other half
        return self._reservation

    def __exit__(self, *_: object) -> None:
        self._reservation.release()
        self._handover._ended()  # noqa: SLF001 - its other half
