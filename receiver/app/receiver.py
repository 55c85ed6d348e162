"""The whole receiver: built, started, stopped.

Start: data directory, spool, the listeners that take telemetry in, and only then what answers questions, and the store,
in the background: a restart is over for clients as soon as the ports are open, however long libraries take to load
and the database to recover. Should a part fail to start, those before it are stopped again. Stop: load, checkpoint,
and only then refuse, drain, close, each within its deadline: the ports are closed for as short as can be. Hand over:
the spool is let go first, as the receiver that takes over has open ports already and answers as soon as it has the
spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from receiver.app.bound_ports import BoundPorts
from receiver.app.data_directory import prepare_data_directory
from receiver.app.ingest_listeners import IngestListeners
from receiver.app.protection import Protection, open_to_others
from receiver.app.redaction import redactor_of
from receiver.config import Settings
from receiver.decode.late_flattener import LateFlattener
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder
from receiver.duplicates import DuplicateWindow
from receiver.errors import ReceiverError, RetryableError, StartError
from receiver.intake.group_intake import GroupIntake
from receiver.loader.loader import Loader
from receiver.ports import Clock
from receiver.spool.sqlite_spool import SqliteSpool
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from receiver.app.answering import Answering
    from receiver.sessions.prices import PriceTable

_LOG = logging.getLogger(__name__)
_FORGET_S = 30.0
_MAINTAIN_S = 0.5
_REST_S = 0.75
"""How long a stop loads what came while it loaded all the rest; while the ports are closed, clients lose patience."""


@dataclass(frozen=True)
class StopReport:
    """How a stop went."""

    drained: bool
    """True if everything that was accepted is in the store; else it is in the spool, for the next start."""
    not_loaded_requests: int
    handed_over: bool = False
    """True if another receiver has taken over."""


class Receiver:
    """One receiver on one data directory. Threads: one event loop."""

    def __init__(
        self, settings: Settings, *, clock: Clock = time.time_ns, bound: BoundPorts | None = None
    ) -> None:
        """Open the spool and build the graph; nothing is accepted yet.

        Args:
            settings: All of them.
            clock: Unix time in nanoseconds.
            bound: Ports that are bound already; closed when the receiver stops.

        Raises:
            ConfigError: The price table has mistakes, or is not there although it is named; or a redaction rule
                cannot be used.
            StartError: The data directory cannot be used, or belongs to a running receiver.
        """
        # A user's table may have mistakes, and they are told before anything is opened; the packaged one has none.
        self._prices = _load_prices(settings) if settings.has_own_prices else None
        prepare_data_directory(settings.data_path)
        self.settings = settings
        self.metrics = Metrics()
        redactor = redactor_of(settings, self.metrics)
        self._clock = clock
        self._spool = SqliteSpool(
            settings.spool_path, clock=clock, min_free_bytes=settings.spool.min_free_bytes
        )
        nested = NestedValues()
        compiled = settings.intake.compiled
        self._flattener = LateFlattener(nested)
        self.loader = Loader(
            spool=self._spool,
            decoder=open_decoder(settings.limits, nested, compiled=compiled),
            flattener=self._flattener,
            settings=settings,
            metrics=self.metrics,
            on_stored=self._stored,
        )
        self._window = DuplicateWindow(
            settings.spool.duplicate_window_s, settings.spool.duplicate_memory_bytes, clock
        )
        for entry in self._spool.recent_keys(self._window.since_ns):
            self._window.remember(entry)
        self.intake = GroupIntake(
            decoders=(
                open_decoder(settings.limits, nested, compiled=compiled, patient=False, redactor=redactor),
                open_decoder(settings.limits, nested, compiled=compiled, redactor=redactor),
            ),
            spool=self._spool,
            window=self._window,
            loading=self.loader,
            settings=settings,
            metrics=self.metrics,
            clock=clock,
        )
        self._bound = bound or BoundPorts(Protection(settings))
        self._listeners = IngestListeners(settings, self._bound, intake=self.intake, metrics=self.metrics)
        self.ports: frozenset[int] = frozenset()
        """What is listened on."""
        self._answering: Answering | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def answering(self) -> Answering:
        """Return the part that stores and answers, once the receiver has started."""
        if self._answering is None:
            raise RuntimeError("the receiver has not started")
        return self._answering

    async def start(self) -> Mapping[str, str]:
        """Listen; return each listener's address by its name. The store is opened in the background.

        All ports are bound before the first is served: questions that come while the libraries for their answers
        are loaded wait in the kernel's queue.

        Raises:
            StartError: A port is taken, or an address is not loopback and nobody said that it may be; whatever had
                been started is stopped again.
            ConfigError: An endpoint, a certificate or the tokens cannot be read; the same.
        """
        self.intake.start()
        try:
            await self._bind()
            addresses = dict(await self._listeners.start())
            self._answering = await self._made_answering()
            query = await self._answering.start()
        except ReceiverError:
            await self.stop()
            raise
        if query is not None:
            addresses["query"] = query
        loop = asyncio.get_running_loop()
        spool = self._answering.guarded("the spool's housekeeping", self._maintain_spool)
        self._tasks = [
            loop.create_task(self._bound.protection.watch(), name="certificates and tokens"),
            loop.create_task(spool, name="spool"),
        ]
        return addresses

    async def _bind(self) -> None:
        if problems := open_to_others(self.settings):
            raise StartError("; ".join(problems))
        await self._bound.protection.read()
        self._bound.take(self.settings)
        self.ports = frozenset(self._bound.numbers)

    async def _made_answering(self) -> Answering:
        # In a thread: exports are answered meanwhile.
        prices = await asyncio.to_thread(_load_answering, self.settings, self._prices)
        from receiver.app.answering import Answering  # noqa: PLC0415 - see there

        return Answering(
            self.settings,
            self._bound,
            spool=self._spool,
            intake=self.intake,
            loader=self.loader,
            metrics=self.metrics,
            prices=prices,
            clock=self._clock,
        )

    def _stored(self) -> None:
        if self._answering is not None:
            self._answering.vectors.wake()

    async def stop(self) -> StopReport:
        """Load what was accepted, stop listening, answer what is in hand, load the rest, close; within deadlines.

        What cannot be loaded in time stays in the spool, for the next start.
        """
        deadline = self.settings.stop_timeout_s
        answering = self._answering
        if answering is not None:
            answering.end_soon()
            await answering.vectors.close()
        with contextlib.suppress(TimeoutError, RetryableError):
            async with asyncio.timeout(deadline):
                await self.loader.settle()
        if answering is not None:
            await answering.listener.stop(1.0)
        # From here until the next start nobody is listening.
        await self._listeners.stop(deadline / 2)
        await self.intake.close()
        await self._end_tasks()
        rest_s = min(deadline, _REST_S)
        try:
            async with asyncio.timeout(rest_s):
                await self.loader.close()
        except TimeoutError:
            await self.loader.abandon()
        left = self._spool.statistics().highest_sequence - self.loader.position
        if left > 0 and (problem := self.loader.problem):
            _LOG.warning("%s; requests that wait in the spool for the next start: %d", problem, left)
        elif left > 0:
            _LOG.warning("not everything was loaded within %.0f s; it stays in the spool", deadline + rest_s)
        try:
            await self._close_store()
        finally:
            await asyncio.to_thread(self._spool.close)
        return StopReport(drained=left <= 0, not_loaded_requests=max(left, 0))

    async def hand_over(self) -> StopReport:
        """Let another receiver have the spool and then the store; it listens on the same ports already.

        What is in hand is answered, what is accepted and not loaded stays in the spool for the other one.
        """
        answering = self.answering
        answering.end_soon()
        deadline = self.settings.stop_timeout_s
        answering.listener.leave()
        await self._listeners.leave(deadline / 2, self.ports)
        await self.intake.close()
        await self._end_tasks()
        self.loader.let_go()
        highest = self._spool.statistics().highest_sequence
        await asyncio.to_thread(self._spool.close)
        await answering.listener.stop(1.0)
        await self.loader.abandon()
        await answering.vectors.close()
        await self._close_store()
        left = max(highest - self.loader.position, 0)
        return StopReport(drained=not left, not_loaded_requests=left, handed_over=True)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._answering is not None:
            await self._answering.end_tasks()

    async def _close_store(self) -> None:
        if self._answering is not None:
            await self._answering.close_store()
        self._flattener.close()
        self._bound.close()

    async def _maintain_spool(self) -> None:
        trouble = Trouble(
            _LOG, "the spool's housekeeping failed", over="the spool's housekeeping works again"
        )
        forget_at = time.monotonic() + _FORGET_S
        while True:
            await asyncio.sleep(_MAINTAIN_S)
            try:
                await asyncio.to_thread(self._spool.maintain)
                if time.monotonic() >= forget_at:
                    self._window.forget_old()
                    await asyncio.to_thread(self._spool.forget_keys, self._window.since_ns)
                    forget_at = time.monotonic() + _FORGET_S
            except RetryableError as error:
                trouble.happened(str(error))
            else:
                trouble.ended()


def _load_prices(settings: Settings) -> PriceTable:
    from receiver.sessions.prices import load_prices  # noqa: PLC0415 - no export needs them

    return load_prices(settings.query.prices_path)


def _load_answering(settings: Settings, prices: PriceTable | None) -> PriceTable:
    """Import what answers questions; return the prices, loaded unless they were."""
    import receiver.app.answering  # noqa: F401, PLC0415 - see there

    return prices or _load_prices(settings)
