"""The whole receiver: built, started, stopped.

Start: data directory, spool, listeners, and only then the store, in the background: a restart is over for
clients as soon as the ports are open, however long the database takes to recover. Should a part fail to
start, those before it are stopped again. Stop: load, checkpoint, and only then refuse, drain, close, each within
its deadline: the ports are closed for as short as can be. Hand over: the spool is let go first, as the receiver
that takes over has open ports already and answers as soon as it has the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from receiver.app.access import LocalAccess
from receiver.app.backup_hold import CheckpointHolds
from receiver.app.bound_ports import BoundPorts
from receiver.app.data_directory import prepare_data_directory
from receiver.app.figures import RunningReceiver
from receiver.app.listeners import Listeners
from receiver.app.redaction import redactor_of
from receiver.app.retention import Retention
from receiver.app.vectors import Vectors
from receiver.config import Settings
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder, open_flattener
from receiver.decode.text_form import model_text
from receiver.duplicates import DuplicateWindow
from receiver.errors import ReceiverError, RetryableError, StoreUnavailableError
from receiver.intake.group_intake import GroupIntake
from receiver.intake.importer import UnitImporter
from receiver.loader.loader import Loader
from receiver.ports import Clock
from receiver.query.service import QueryService
from receiver.sessions.prices import load_prices
from receiver.spool.sqlite_spool import SqliteSpool
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.row_moves import RowMoves
from receiver.store.sql_sandbox import SqlLimits, lock_down
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.trouble import Trouble

_LOG = logging.getLogger(__name__)
_OPEN_AGAIN_S = 0.25
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
        prices = load_prices(settings.query.prices_path)
        prepare_data_directory(settings.data_path)
        self.settings = settings
        self.metrics = Metrics()
        redactor = redactor_of(settings, self.metrics)
        self._clock = clock
        self._store: DuckDbStore | None = None
        self._spool = SqliteSpool(
            settings.spool_path, clock=clock, min_free_bytes=settings.spool.min_free_bytes
        )
        nested = NestedValues()
        self.vectors = Vectors(
            settings.embed, settings.index_path, self.metrics, models_path=settings.models_path
        )
        compiled = settings.intake.compiled
        self._flattener = open_flattener(nested)
        self.loader = Loader(
            spool=self._spool,
            decoder=open_decoder(settings.limits, nested, compiled=compiled),
            flattener=self._flattener,
            settings=settings,
            metrics=self.metrics,
            on_stored=self.vectors.wake,
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
        self._moves = RowMoves()
        self.reader = DuckDbReader(
            self._cursor,
            readers=settings.query.readers,
            timeout_s=settings.query.timeout_s,
            sql_limits=SqlLimits.from_config(settings.query),
            on_failure=self.loader.doubt,
            moves=self._moves,
            places_folder=settings.data_path / "tmp",
        )
        self.running = RunningReceiver(
            settings=settings,
            spool=self._spool,
            intake=self.intake,
            loader=self.loader,
            reader=self.reader,
            vectors=self.vectors,
        )
        self.metrics.observe(self.running)
        self.service = QueryService(
            self.reader,
            embedder=self.vectors.embedder,
            index=self.vectors,
            config=settings.query,
            prepare=model_text,
            pipeline=self.running,
            prices=prices,
        )
        self.importer = UnitImporter(self.intake, self._spool, settings)
        self.access = LocalAccess(self.service, self.intake, self.importer)
        self._holds = CheckpointHolds(settings, loader=self.loader, spool=self._spool, clock=clock)
        self.listeners = Listeners(
            settings,
            intake=self.intake,
            metrics=self.metrics,
            service=self.service,
            access=self.access,
            running=self.running,
            holds=self._holds,
            bound=bound,
        )
        self._retention = Retention(self.loader, settings.retention, clock, self.vectors.forget)
        self._tasks: list[asyncio.Task[None]] = []
        self.store_opened = asyncio.Event()
        """Set once the store can be asked and written."""

    async def start(self) -> Mapping[str, str]:
        """Listen; return each listener's address by its name. The store is opened in the background.

        Raises:
            StartError: A port is taken; whatever had been started is stopped again.
        """
        self.intake.start()
        try:
            addresses = await self.listeners.start()
        except ReceiverError:
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        self.opening = loop.create_task(
            self._guarded("opening the store", self._open_store), name="open store"
        )
        self._tasks = [
            self.opening,
            loop.create_task(self._guarded("retention", self._retention.run), name="retention"),
            loop.create_task(self._guarded("following the rows", self._follow_rows), name="follow rows"),
            loop.create_task(self._guarded("the spool's housekeeping", self._maintain_spool), name="spool"),
        ]
        return addresses

    async def stop(self) -> StopReport:
        """Load what was accepted, stop listening, answer what is in hand, load the rest, close; within deadlines.

        What cannot be loaded in time stays in the spool, for the next start.
        """
        self.running.stopping = True
        self._holds.close()
        deadline = self.settings.stop_timeout_s
        await self.vectors.close()
        with contextlib.suppress(TimeoutError, RetryableError):
            async with asyncio.timeout(deadline):
                await self.loader.settle()
        await self.listeners.stop_query(1.0)
        # From here until the next start nobody is listening.
        await self.listeners.stop_ingest(deadline / 2)
        await self.intake.close()
        await self._end_tasks()
        rest_s = min(deadline, _REST_S)
        try:
            async with asyncio.timeout(rest_s):
                await self.loader.close()
        except TimeoutError:
            await self.loader.abandon()
        left = self._spool.statistics().highest_sequence - self.loader.position
        if left > 0:
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
        self.running.stopping = True
        self._holds.close()
        deadline = self.settings.stop_timeout_s
        await self.listeners.leave(deadline / 2)
        await self.intake.close()
        await self._end_tasks()
        self.loader.let_go()
        highest = self._spool.statistics().highest_sequence
        await asyncio.to_thread(self._spool.close)
        await self.listeners.stop_query(1.0)
        await self.loader.abandon()
        await self.vectors.close()
        await self._close_store()
        left = max(highest - self.loader.position, 0)
        return StopReport(drained=not left, not_loaded_requests=left, handed_over=True)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_store(self) -> None:
        await self.running.close()
        self.reader.close()
        try:
            if self._store is not None:
                await asyncio.to_thread(self._store.close)
        except StoreUnavailableError as error:  # all is stored; DuckDB lets go of the file with the process
            _LOG.warning("%s", error)
        self._flattener.close()

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: a part that ended must show in /readyz
            self.running.failures.append(f"{what} has ended: {error}")
            _LOG.error("%s failed", what, exc_info=error)

    async def _open_store(self) -> None:
        deadline = time.monotonic() + self.settings.store.open_retry_s
        while True:
            try:
                self._store = await asyncio.to_thread(self._opened_store)
                await self.loader.start(DuckDbWriter(self._store, self._moves))
                break
            except RetryableError as error:  # the spool's, too
                self.loader.problem = str(error)
                if time.monotonic() > deadline:
                    _LOG.error("%s; requests are accepted and wait in the spool", error)
                    deadline = float("inf")
                store, self._store = self._store, None
                if store is not None:
                    with contextlib.suppress(StoreUnavailableError):  # a question holds it, not for ever
                        await asyncio.to_thread(store.close)
                await asyncio.sleep(_OPEN_AGAIN_S)
        self.store_opened.set()
        await self.vectors.start(self.reader, self.loader)

    def _opened_store(self) -> DuckDbStore:
        temp_directory = self.settings.data_path / "tmp"
        return DuckDbStore.open(
            self.settings.store_path,
            self.settings.store,
            temp_directory=temp_directory,
            prepare=lambda connection: _prepare(connection, temp_directory),
        )

    async def _follow_rows(self) -> None:
        await self.store_opened.wait()
        await self.reader.follow()

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

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._store is None:
            raise StoreUnavailableError(
                self.loader.problem or "the store is not open yet", hint="ask again in a moment; see /readyz"
            )
        return self._store.cursor()


def _prepare(connection: duckdb.DuckDBPyConnection, temp_directory: Path) -> None:
    # The loader has made a checkpoint; another one at the close would keep the ports closed for longer.
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    lock_down(connection, temp_directory=temp_directory)
