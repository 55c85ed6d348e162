"""What the running receiver can say about itself: totals, backlog, problems."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from receiver.app.vectors import Vectors
from receiver.config import Settings
from receiver.disk import free_bytes
from receiver.errors import RetryableError, SpoolUnavailableError
from receiver.intake.group_intake import GroupIntake
from receiver.loader.loader import Loader
from receiver.ports import Spool, SpoolStatistics
from receiver.questions import PipelineFigures, StoreReader
from receiver.signals import Signal
from receiver.store.duckdb_store import file_bytes

_STORE_STALLED_S = 60.0
_REFRESH_S = 2.0
"""How long a scrape waits for the disk before it gives the figures that it has."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass
class _Snapshot:
    """Figures read from disk at one moment."""

    spool: SpoolStatistics
    in_spool: Mapping[Signal, int]
    store_bytes: int
    stored: Mapping[Signal, int] = field(default_factory=lambda: dict.fromkeys(Signal, 0))
    with_vector: int = 0
    pending_texts: int = 0
    conservation: dict[str, Mapping[Signal, int]] = field(default_factory=dict)


class RunningReceiver:
    """Implements ``Pipeline``, ``Health`` (questions) and ``ScrapedFigures`` (metrics) for a running graph."""

    def __init__(
        self,
        *,
        settings: Settings,
        spool: Spool,
        intake: GroupIntake,
        loader: Loader,
        reader: StoreReader,
        vectors: Vectors,
    ) -> None:
        """Look at the parts; owns none of them."""
        self._settings = settings
        self._spool = spool
        self._intake = intake
        self._loader = loader
        self._reader = reader
        self._vectors = vectors
        self._started = time.monotonic()
        self._snapshot: _Snapshot | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._free_bytes: dict[str, float] = {}
        self.stopping = False
        self.more_gauges: list[Callable[[], Mapping[str, float]]] = []
        """Gauges of parts that are made after this one."""
        self.failures: list[str] = []
        """Tasks that ended by an error, until the next start."""

    async def flush(self, *, embeddings: bool) -> None:
        """Return when everything acknowledged before the call is stored, and embedded if asked for."""
        await self._loader.flush()
        if embeddings:
            await self._vectors.wait_idle()

    async def requeue(self) -> int:
        """Put every quarantined request back into the queue; return how many."""
        count = await asyncio.to_thread(self._spool.requeue)
        statistics = await asyncio.to_thread(self._spool.statistics)
        self._loader.notice(statistics.highest_sequence)
        return count

    def problems(self) -> list[str]:
        """Return why it cannot accept or has stopped storing; empty while all is well."""
        found = list(self.failures)
        if self.stopping:
            found.append("the receiver is stopping")
        if self._intake.spool_problem:
            folder = self._settings.data_path.absolute()
            found.append(f"requests cannot be written to {folder}: {self._intake.spool_problem}")
        found += self._loader.problems
        if not self._loader.problems and self._loader.stalled_s > _STORE_STALLED_S:
            found.append(f"nothing was stored for {self._loader.stalled_s:.0f} s although requests wait")
        if self._loader.spool_bytes >= self._settings.spool.max_bytes:
            found.append("the spool is full (spool.max_bytes)")
        return found

    async def refresh(self) -> None:
        """Read the totals anew, for the next scrape; while a disk does not answer they stay as they are."""
        before = self._refreshing
        if before is not None and not before.done():  # it may have begun before what the caller wants to see
            await asyncio.wait({before}, timeout=_REFRESH_S)
            if not before.done():
                return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh(), name="read figures")
        refreshing = self._refreshing
        await asyncio.wait({refreshing}, timeout=_REFRESH_S)
        if refreshing.done() and not refreshing.cancelled():
            refreshing.result()

    async def close(self) -> None:
        """End the reading of figures that a slow disk holds up."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _refresh(self) -> None:
        self._free_bytes = await asyncio.to_thread(self._read_free_bytes)
        try:
            snapshot = await asyncio.to_thread(self._read_files)
        except RetryableError:
            return  # the spool cannot be read: /readyz says why
        statistics, in_spool = snapshot.spool, snapshot.in_spool
        try:
            snapshot.stored = await self._reader.stored_totals()
            if self._vectors.embedder.available:
                model = self._vectors.embedder.model
                snapshot.with_vector, snapshot.pending_texts = await self._reader.count_texts(model)
        except RetryableError:
            pass  # the store is not open: its figures are left out
        snapshot.conservation = {
            "accepted": statistics.accepted_records,
            "stored": snapshot.stored,
            "duplicates": statistics.duplicate_records,
            "in_spool": in_spool,
            "quarantined": statistics.quarantined_records,
            "not_restored": statistics.not_restored_records,
        }
        self._snapshot = snapshot

    async def figures(self) -> PipelineFigures:
        """Return spool, quarantine, totals and what the server holds."""
        await self.refresh()
        snapshot = self._snapshot
        if snapshot is None:
            raise SpoolUnavailableError("the disk does not answer", hint="see /readyz")
        statistics = snapshot.spool
        requests = max(statistics.highest_sequence - self._loader.position, 0)
        budget = self._intake.budget.statistics()
        return PipelineFigures(
            spool={
                "requests": statistics.requests,
                "bytes": statistics.payload_bytes,
                "not_loaded_requests": requests,
                "not_loaded_records": _by_noun(snapshot.in_spool),
            },
            quarantine={
                "requests": statistics.quarantined_requests,
                "records": _by_noun(statistics.quarantined_records),
                "damaged_requests": statistics.damaged_requests,
            },
            conservation={state: _by_noun(values) for state, values in snapshot.conservation.items()},
            server={
                "uptime_s": round(time.monotonic() - self._started, 3),
                "memory_rss_bytes": await asyncio.to_thread(resident_bytes),
                "waiting_bytes": budget.used_bytes,
                "problems": self.problems(),
            },
            database={"bytes": snapshot.store_bytes},
        )

    def gauges(self) -> Mapping[str, float]:
        """Return the gauges of a scrape; those of the disk are as old as the last ``refresh``."""
        budget = self._intake.budget.statistics()
        values: dict[str, float] = {
            "otelcol_exporter_queue_capacity": self._settings.spool.max_bytes,
            "otlp_receiver_waiting_bytes": budget.used_bytes,
            "otlp_receiver_waiting_capacity_bytes": budget.capacity_bytes,
            "otlp_receiver_last_store_timestamp_seconds": self._loader.last_stored_at,
            "otlp_receiver_store_writable": float(self._loader.is_writing),
            **self._free_bytes,
            "otelcol_process_memory_rss": resident_bytes(),
            "otelcol_process_uptime": time.monotonic() - self._started,
            "otelcol_process_cpu_seconds": time.process_time(),
        }
        for more in self.more_gauges:
            values |= more()
        if (snapshot := self._snapshot) is not None:
            values |= {
                "otelcol_exporter_queue_size": snapshot.spool.payload_bytes,
                "otlp_receiver_store_bytes": snapshot.store_bytes,
                "otlp_receiver_spool_waiting_requests": max(
                    snapshot.spool.highest_sequence - self._loader.position, 0
                ),
                "otlp_receiver_quarantined_requests": snapshot.spool.quarantined_requests,
                "otlp_receiver_damaged_requests": snapshot.spool.damaged_requests,
                "otlp_receiver_embedding_pending_texts": snapshot.pending_texts,
                "otlp_receiver_texts_with_vector": snapshot.with_vector,
            }
        return values

    def conservation(self) -> Mapping[str, Mapping[Signal, int]]:
        """Return the totals of the conservation identity, as of the last ``refresh``."""
        return self._snapshot.conservation if self._snapshot else {}

    def _read_files(self) -> _Snapshot:
        return _Snapshot(
            spool=self._spool.statistics(),
            in_spool=self._spool.records_after(self._loader.position),
            store_bytes=file_bytes(self._settings.store_path),
        )

    def _read_free_bytes(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, folder in (
            ("otlp_receiver_disk_free_bytes", self._settings.data_path),
            ("otlp_receiver_store_disk_free_bytes", self._settings.store_path.parent),
        ):
            with contextlib.suppress(OSError):  # it has gone: there is no such figure
                found[name] = free_bytes(folder)
        return found


def _by_noun(values: Mapping[Signal, int]) -> dict[str, int]:
    return {signal.records: values.get(signal, 0) for signal in Signal}


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where /proc is not there."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
