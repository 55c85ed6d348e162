"""What a receiver needs besides accepting: the store, the vectors, the query service and its listener.

Its imports take two thirds of a start's time and no export needs them. ``receiver.app.receiver`` imports this module
in a thread when the OTLP ports are open, and may not do so before; tests/integration/test_start_time.py sees to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from receiver.app.access import LocalAccess
from receiver.app.backup_hold import CheckpointHolds
from receiver.app.bound_ports import BoundPorts
from receiver.app.figures import RunningReceiver
from receiver.app.query_listener import QueryListener
from receiver.app.retention import Retention
from receiver.app.store_opening import StoreOpening
from receiver.app.vectors import Vectors
from receiver.config import Settings
from receiver.decode.text_form import model_text
from receiver.intake.group_intake import GroupIntake
from receiver.intake.importer import UnitImporter
from receiver.loader.loader import Loader
from receiver.ports import Clock
from receiver.query.service import QueryService
from receiver.sessions.prices import PriceTable
from receiver.spool.sqlite_spool import SqliteSpool
from receiver.store.commits import Commits
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.row_moves import RowMoves
from receiver.store.sql_sandbox import SqlLimits
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)


class Answering:
    """The part of a receiver that stores and answers. Threads: one event loop."""

    def __init__(
        self,
        settings: Settings,
        bound: BoundPorts,
        *,
        spool: SqliteSpool,
        intake: GroupIntake,
        loader: Loader,
        metrics: Metrics,
        prices: PriceTable,
        clock: Clock,
    ) -> None:
        """Build the graph on the accepting part, which is its owner's; nothing is opened or answered yet."""
        self.vectors = Vectors(settings.embed, settings.index_path, metrics, models_path=settings.models_path)
        self._loader = loader
        moves, commits = RowMoves(), Commits()
        self.store = StoreOpening(settings, loader, moves, commits)
        self.reader = DuckDbReader(
            self.store.cursor,
            readers=settings.query.readers,
            timeout_s=settings.query.timeout_s,
            sql_limits=SqlLimits.from_config(settings.query),
            on_failure=loader.doubt,
            moves=moves,
            commits=commits,
            places_folder=settings.data_path / "tmp",
        )
        self.running = RunningReceiver(
            settings=settings,
            spool=spool,
            intake=intake,
            loader=loader,
            reader=self.reader,
            vectors=self.vectors,
        )
        self.running.more_gauges.append(bound.protection.gauges)
        self.running.more_gauges.append(
            lambda: {"otlp_receiver_rows_with_known_place": self.reader.known_rows}
        )
        metrics.observe(self.running)
        self.service = QueryService(
            self.reader,
            embedder=self.vectors.embedder,
            index=self.vectors,
            config=settings.query,
            prepare=model_text,
            pipeline=self.running,
            prices=prices,
        )
        self.importer = UnitImporter(intake, spool, settings)
        self.access = LocalAccess(self.service, intake, self.importer)
        self._holds = CheckpointHolds(settings, loader=loader, spool=spool, clock=clock)
        self.listener = QueryListener(
            settings,
            bound,
            metrics=metrics,
            service=self.service,
            access=self.access,
            running=self.running,
            holds=self._holds,
        )
        self._retention = Retention(loader, settings.retention, clock, self.vectors.forget)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str | None:
        """Answer questions from here on; return the address. The store is opened in the background."""
        address = await self.listener.start()
        loop = asyncio.get_running_loop()
        self.opening = loop.create_task(self.guarded("opening the store", self._open), name="open store")
        self._tasks = [
            self.opening,
            loop.create_task(self.guarded("retention", self._retention.run), name="retention"),
            loop.create_task(self.guarded("following the rows", self._follow_rows), name="follow rows"),
        ]
        return address

    def end_soon(self) -> None:
        """Say in /readyz that the receiver is stopping, and let checkpoints that wait for a backup go on."""
        self.running.stopping = True
        self._holds.close()

    async def end_tasks(self) -> None:
        """End what goes on in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close_store(self) -> None:
        """Answer no more and close the store; the loader has ended."""
        await self.running.close()
        self.reader.close()
        await self.store.close()

    async def guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work for ever; should it end by an error, /readyz says so."""
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: a part that ended must show in /readyz
            self.running.failures.append(f"{what} has ended: {error}")
            _LOG.error("%s failed", what, exc_info=error)

    async def _open(self) -> None:
        await self.store.open()
        await self.vectors.start(self.reader, self._loader)

    async def _follow_rows(self) -> None:
        await self.store.opened.wait()
        await self.reader.follow()
