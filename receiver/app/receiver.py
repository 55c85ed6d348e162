"""The whole receiver: built, started, stopped.

Start: data directory, spool, listeners, and only then the store, in the background: a restart is over for
clients as soon as the ports are open, however long the database takes to recover. Should a part fail to
start, those before it are stopped again. Stop: refuse, drain, load, close, each within the deadline.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import duckdb

from receiver.app.access import LocalAccess
from receiver.app.data_directory import prepare_data_directory
from receiver.app.figures import RunningReceiver
from receiver.app.listeners import Listeners
from receiver.app.retention import Retention
from receiver.app.vectors import Vectors
from receiver.config import Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
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
from receiver.store.sql_sandbox import SqlLimits, lock_down
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)
_OPEN_AGAIN_S = 0.25
_FORGET_S = 30.0
_MAINTAIN_S = 0.5


@dataclass(frozen=True)
class StopReport:
    """How a stop went."""

    drained: bool
    """True if everything that was accepted is in the store; else it is in the spool, for the next start."""
    not_loaded_requests: int


class Receiver:
    """One receiver on one data directory. Threads: one event loop."""

    def __init__(self, settings: Settings, *, clock: Clock = time.time_ns) -> None:
        """Open the spool and build the graph; nothing listens yet.

        Raises:
            ConfigError: The price table has mistakes, or is not there although it is named.
            StartError: The data directory cannot be used, or belongs to a running receiver.
        """
        prices = load_prices(settings.query.prices_path)
        prepare_data_directory(settings.data_path)
        self.settings = settings
        self.metrics = Metrics()
        self._clock = clock
        self._store: DuckDbStore | None = None
        self._spool = SqliteSpool(settings.spool_path, clock=clock)
        nested = NestedValues()
        self.vectors = Vectors(settings.embed, settings.index_path, self.metrics)
        self._flattener = ColumnFlattener(nested)
        self.loader = Loader(
            spool=self._spool,
            decoder=ColumnDecoder(settings.limits, nested),
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
                ColumnDecoder(settings.limits, nested, patient=False),
                ColumnDecoder(settings.limits, nested),
            ),
            spool=self._spool,
            window=self._window,
            loading=self.loader,
            settings=settings,
            metrics=self.metrics,
            clock=clock,
        )
        self.reader = DuckDbReader(
            self._cursor,
            readers=settings.query.readers,
            timeout_s=settings.query.timeout_s,
            sql_limits=SqlLimits.from_config(settings.query),
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
        self.listeners = Listeners(
            settings,
            intake=self.intake,
            metrics=self.metrics,
            service=self.service,
            access=self.access,
            running=self.running,
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
            loop.create_task(self._guarded("the spool's housekeeping", self._maintain_spool), name="spool"),
        ]
        return addresses

    async def stop(self) -> StopReport:
        """Stop listening, answer what is in hand, load what was accepted, close; within the deadline."""
        self.running.stopping = True
        deadline = self.settings.stop_timeout_s
        await self.listeners.stop_ingest(deadline / 2)
        await self.intake.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(deadline):
                await self.loader.close()
        except TimeoutError:
            _LOG.warning("not everything was loaded within %.0f s; it stays in the spool", deadline)
            await self.loader.abandon()
        await self.vectors.close()
        await self.listeners.stop_query(1.0)
        self.reader.close()
        left = self._spool.statistics().highest_sequence - self.loader.position
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        self._flattener.close()
        self._spool.close()
        return StopReport(drained=left <= 0, not_loaded_requests=max(left, 0))

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: a part that ended must show in /readyz
            self.running.failures.append(f"{what} has ended: {error}")
            _LOG.error("%s failed", what, exc_info=error)

    async def _open_store(self) -> None:
        config = self.settings.store
        deadline = time.monotonic() + config.open_retry_s
        store: DuckDbStore | None = None
        while store is None:
            try:
                store = await asyncio.to_thread(
                    DuckDbStore.open,
                    self.settings.store_path,
                    config,
                    temp_directory=self.settings.data_path / "tmp",
                )
            except StoreUnavailableError as error:
                self.loader.problem = str(error)
                if time.monotonic() > deadline:
                    _LOG.error("%s; requests are accepted and wait in the spool", error)
                    deadline = float("inf")
                await asyncio.sleep(_OPEN_AGAIN_S)
        await asyncio.to_thread(lock_down, store.connection, temp_directory=self.settings.data_path / "tmp")
        self._store = store
        await self.loader.start(DuckDbWriter(store))
        self.store_opened.set()
        await self.vectors.start(self.reader, self.loader)

    async def _maintain_spool(self) -> None:
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
                _LOG.warning("the spool's housekeeping failed: %s; it is tried again", error)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._store is None:
            raise StoreUnavailableError(
                self.loader.problem or "the store is not open yet", hint="ask again in a moment; see /readyz"
            )
        return self._store.cursor()
