"""Intake, spool, loader and store wired for real in one folder, without sockets; can be stopped in bad ways."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from receiver.config import Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.duplicates import DuplicateWindow
from receiver.intake.group_intake import GroupIntake
from receiver.loader.loader import Loader
from receiver.ports import Clock, ExportRequest, Outcome, StoreWriter
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.telemetry.metrics import Metrics

Wrap = Callable[[StoreWriter], StoreWriter]
Identity = dict[Signal, tuple[int, int]]


class Pipeline:
    """One run over a folder: ``async with Pipeline(tmp_path) as pipeline``; leaving stops it in order."""

    def __init__(
        self,
        folder: Path,
        *,
        wrap_writer: Wrap = lambda writer: writer,
        clock: Clock = time.time_ns,
        load: bool = True,
        **sections: dict[str, Any],
    ) -> None:
        """Prepare a run.

        Args:
            folder: The data directory.
            wrap_writer: Puts something between the loader and the store.
            clock: Unix time in nanoseconds.
            load: False leaves the store closed, so that everything stays in the spool.
            **sections: Settings that differ from the defaults, by section.
        """
        self.folder = folder
        self.settings = Settings(data_dir=str(folder), **sections)
        self._wrap = wrap_writer
        self._clock = clock
        self._load = load
        self.store: DuckDbStore | None = None
        self._open = False

    async def __aenter__(self) -> Self:
        """Start the run."""
        settings = self.settings
        self.spool = await asyncio.to_thread(SqliteSpool, settings.spool_path, clock=self._clock)
        nested = NestedValues()
        self._flattener = await asyncio.to_thread(ColumnFlattener, nested)
        self.metrics = Metrics()
        self.loader = await asyncio.to_thread(
            Loader,
            spool=self.spool,
            decoder=ColumnDecoder(settings.limits, nested),
            flattener=self._flattener,
            settings=settings,
            metrics=self.metrics,
        )
        window = DuplicateWindow(
            settings.spool.duplicate_window_s, settings.spool.duplicate_memory_bytes, self._clock
        )
        for key in await asyncio.to_thread(lambda: list(self.spool.recent_keys(window.since_ns))):
            window.remember(key)
        self.intake = GroupIntake(
            decoders=(ColumnDecoder(settings.limits, nested), ColumnDecoder(settings.limits, nested)),
            spool=self.spool,
            window=window,
            loading=self.loader,
            settings=settings,
            metrics=self.metrics,
            clock=self._clock,
        )
        self.intake.start()
        self._open = True
        if self._load:
            await self.open_store()
        return self

    async def open_store(self) -> None:
        """Open the store and begin to load."""
        self.store = await asyncio.to_thread(
            DuckDbStore.open,
            self.settings.store_path,
            self.settings.store,
            temp_directory=self.folder / "tmp",
        )
        writer = await asyncio.to_thread(DuckDbWriter, self.store)
        await self.loader.start(self._wrap(writer))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in order, or let go of everything after a failure."""
        if self._open:
            await self.stop(drain=error is None)

    async def stop(self, *, drain: bool = True) -> None:
        """Answer what was taken in, load it if ``drain``, close."""
        self._open = False
        await self.intake.close()
        await (self.loader.close() if drain else self.loader.abandon())
        if self.store is not None:
            await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(self._flattener.close)
        await asyncio.to_thread(self.spool.close)

    async def crash(self, copy: Path) -> None:
        """Leave in ``copy`` what kill -9 at this moment would leave, and stop without loading more."""
        await asyncio.to_thread(shutil.copytree, self.folder, copy)
        await self.stop(drain=False)

    async def accept(self, *requests: ExportRequest, wait_s: float = 30.0) -> list[Outcome]:
        """Return the answers of requests that are handed in together."""
        return list(await asyncio.gather(*(self._accept(request, wait_s) for request in requests)))

    async def _accept(self, request: ExportRequest, wait_s: float) -> Outcome:
        await self.intake.budget.reserve(len(request.body), wait_s=wait_s)
        return await self.intake.accept(request, wait_s=wait_s)

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        store = self.store
        assert store is not None

        def run() -> list[tuple[Any, ...]]:
            with store.cursor() as cursor:
                return cursor.execute(sql).fetchall()

        return await asyncio.to_thread(run)

    async def span_names(self) -> list[str]:
        """Return the names of the stored spans, sorted; one that is there twice is named twice."""
        return sorted(name for (name,) in await self.query("SELECT name FROM spans"))

    async def identity(self) -> Identity:
        """Return per signal both sides of: accepted = stored + duplicates + in_spool + quarantined."""
        stored = {
            Signal(name): count
            for name, count in await self.query("SELECT signal, stored FROM record_totals")
        }
        totals = self.spool.statistics()
        in_spool = await asyncio.to_thread(self.spool.records_after, self.loader.position)
        return {
            signal: (
                totals.accepted_records[signal],
                stored[signal]
                + totals.duplicate_records[signal]
                + in_spool[signal]
                + totals.quarantined_records[signal],
            )
            for signal in Signal
        }


def numbered(first: int, count: int) -> list[str]:
    """Return the names of the spans with these numbers, sorted."""
    return sorted(f"span {number}" for number in range(first, first + count))
