"""What was acknowledged gets into the store once: intake, spool, loader and store wired for real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from receiver.app.retention import Retention
from receiver.config import RetentionConfig
from receiver.errors import StoreRejectedError, StoreUnavailableError
from receiver.ports import ExportRequest, LoadBatch, Outcome, StoreWriter
from receiver.signals import Signal
from tests.support.otlp_requests import T0, log_request, make_span, metric_request, span_request, traces
from tests.support.pipeline import Pipeline, numbered
from tests.support.store_writers import StoreWriterBeside
from tests.support.table_parts import rows_of


class Refusing(StoreWriterBeside):
    """Refuses every batch that holds a span of one name, as a store refuses rows that it can never take."""

    name: str | None = "poison"

    def load(self, batch: LoadBatch) -> None:
        """Load, or raise."""
        batch = replace(batch, parts=list(batch.parts))
        spans = rows_of(batch.parts).get("spans")
        if self.name and spans is not None and self.name in spans.column("name").to_pylist():
            raise StoreRejectedError("a row that no store takes")
        super().load(batch)


class Failing(StoreWriterBeside):
    """Fails some times, as a full disk does, and then works."""

    failures = 3

    def load(self, batch: LoadBatch) -> None:
        """Load, or raise."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("the disk is full")
        super().load(batch)


class Observing(StoreWriterBeside):
    """Remembers the positions of loads and of checkpoints, and holds a checkpoint up when told to."""

    def __init__(self, writer: StoreWriter) -> None:
        """Pass everything on."""
        super().__init__(writer)
        self.batches: list[LoadBatch] = []
        self.covered: list[Mapping[UUID, int]] = []
        self.may_checkpoint = threading.Event()
        self.may_checkpoint.set()

    def load(self, batch: LoadBatch) -> None:
        """Load."""
        batch = replace(batch, parts=list(batch.parts))
        super().load(batch)
        self.batches.append(batch)

    def checkpoint(self) -> Mapping[UUID, int]:
        """Complete a checkpoint, once it may."""
        self.may_checkpoint.wait(30)
        self.covered.append(super().checkpoint())
        return self.covered[-1]


async def test_flush_returns_when_everything_accepted_before_is_stored(tmp_path: Path) -> None:
    """Nothing has to sleep to see its data; every record of every signal is there once."""
    async with Pipeline(tmp_path) as pipeline:
        requests = [span_request(n * 10, 10) for n in range(20)]
        answers = await pipeline.accept(*requests, log_request(0, 5), metric_request(0, 7))
        assert answers == [Outcome()] * 22
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 200)
        assert await pipeline.query("SELECT count(*) FROM logs") == [(5,)]
        assert await pipeline.query("SELECT count(*) FROM metric_points") == [(7,)]


async def test_columns_that_were_let_go_are_read_from_the_spool_again(tmp_path: Path) -> None:
    """With no memory for columns the rows are the same, in the order of their commit."""
    async with Pipeline(tmp_path, loader={"memory_bytes": 1}, intake={"group_requests": 9}) as pipeline:
        await pipeline.accept(*(span_request(n * 2, 2) for n in range(60)), log_request(0, 3))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 120)
        assert await pipeline.query("SELECT count(*) FROM logs") == [(3,)]


async def test_position_and_totals_move_with_the_rows(tmp_path: Path) -> None:
    """Each transaction holds the rows of consecutive requests, their number and the highest sequence."""
    seen: list[Observing] = []

    def observe(writer: StoreWriter) -> StoreWriter:
        seen.append(Observing(writer))
        return seen[0]

    async with Pipeline(tmp_path, wrap_writer=observe, loader={"batch_rows": 10}) as pipeline:
        await pipeline.accept(*(span_request(n * 5, 5) for n in range(12)))
        await pipeline.loader.flush()
        batches = seen[0].batches
        positions = [batch.position for batch in batches]
        assert positions == sorted(positions)
        assert positions[-1] == 12
        for batch, before in zip(batches, [0, *positions], strict=False):
            assert batch.records == {Signal.TRACES: 5 * (batch.position - before)}
            assert len(rows_of(batch.parts)["spans"]) == batch.records[Signal.TRACES]


async def test_a_request_that_never_loads_goes_to_quarantine_alone(tmp_path: Path) -> None:
    """Its neighbours are stored, the position goes on, and requeue brings it back once the store takes it."""
    seen: list[Refusing] = []

    def refuse(writer: StoreWriter) -> StoreWriter:
        seen.append(Refusing(writer))
        return seen[0]

    async with Pipeline(tmp_path, wrap_writer=refuse) as pipeline:
        poison = ExportRequest(Signal.TRACES, traces(make_span(900), make_span(901, name="poison")))
        await pipeline.accept(span_request(0, 3), span_request(10, 3), poison, span_request(20, 3))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == sorted(numbered(0, 3) + numbered(10, 3) + numbered(20, 3))
        (aside,) = await asyncio.to_thread(pipeline.spool.quarantined)
        assert (aside.payload, aside.records) == (poison.body, 2)
        assert "no store takes" in aside.reason
        assert pipeline.loader.position == 4
        assert pipeline.loader.problem is None
        accepted, accounted = (await pipeline.identity())[Signal.TRACES]
        assert accepted == accounted == 11

        seen[0].name = None
        assert await asyncio.to_thread(pipeline.spool.requeue) == 1
        pipeline.loader.notice(pipeline.spool.statistics().highest_sequence)
        await pipeline.loader.flush()
        assert "poison" in await pipeline.span_names()
        assert await asyncio.to_thread(pipeline.spool.quarantined) == []
        accepted, accounted = (await pipeline.identity())[Signal.TRACES]
        assert accepted == accounted == 11


async def test_a_store_that_cannot_be_written_is_tried_again_and_heals(tmp_path: Path) -> None:
    """A failure that passes costs time and nothing else; it is named while it lasts."""
    async with Pipeline(tmp_path, wrap_writer=Failing) as pipeline:
        await pipeline.accept(span_request(0, 3))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 3)
        assert pipeline.loader.problem is None


async def test_the_spool_forgets_what_a_completed_checkpoint_covers_and_nothing_before(
    tmp_path: Path,
) -> None:
    """Stored is not enough: a lost tail of the store's log must still be in the spool."""
    seen: list[Observing] = []

    def observe(writer: StoreWriter) -> StoreWriter:
        seen.append(Observing(writer))
        return seen[0]

    async with Pipeline(tmp_path, wrap_writer=observe) as pipeline:
        seen[0].may_checkpoint.clear()
        await pipeline.accept(*(span_request(n) for n in range(5)))
        await pipeline.loader.flush()
        checkpoint = asyncio.create_task(pipeline.loader.checkpoints.complete())
        assert pipeline.spool.statistics().requests == 5
        seen[0].may_checkpoint.set()
        await checkpoint
        await pipeline.loader.checkpoints.forgotten()
        assert seen[0].covered[-1] == {pipeline.spool.uuid: 5}
        assert pipeline.spool.statistics().requests == 0
        assert pipeline.loader.spool_bytes == 0


async def test_checkpoints_and_loads_take_turns_without_end(tmp_path: Path) -> None:
    """Many small offers with a checkpoint due after each of them all get into the store."""
    store = {"checkpoint_interval_s": 0.001, "checkpoint_bytes": 1}
    async with Pipeline(tmp_path, store=store, loader={"memory_bytes": 4096, "batch_rows": 8}) as pipeline:

        async def client(number: int) -> None:
            for n in range(25):
                await pipeline.accept(span_request(number * 25 + n))
                if n % 6 == number:
                    await pipeline.loader.flush()

        await asyncio.gather(*(client(number) for number in range(6)))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 150)


async def test_the_identity_holds_after_mixed_traffic_and_a_restart(tmp_path: Path) -> None:
    """Accepted = stored + duplicates + in_spool + quarantined, for each signal, at each look."""
    async with Pipeline(tmp_path, wrap_writer=Refusing) as pipeline:
        bad = traces(make_span(50, trace_id=b"short"), make_span(51))
        requests = [
            span_request(0, 4),
            log_request(0, 3),
            metric_request(0, 5),
            ExportRequest(Signal.TRACES, bad),
            ExportRequest(Signal.TRACES, traces(make_span(60, name="poison"))),
        ]
        answers = await pipeline.accept(*requests)
        assert [answer.rejected for answer in answers] == [0, 0, 0, 1, 0]
        await pipeline.accept(*requests)  # retries
        await pipeline.loader.flush()
        await pipeline.accept(span_request(100, 2))
        await pipeline.loader.flush()
        found = await pipeline.identity()
    assert found == {Signal.TRACES: (14, 14), Signal.METRICS: (10, 10), Signal.LOGS: (6, 6)}
    async with Pipeline(tmp_path) as pipeline:
        assert await pipeline.identity() == found
        await pipeline.accept(span_request(0, 4))
    async with Pipeline(tmp_path) as pipeline:
        assert (await pipeline.identity())[Signal.TRACES] == (18, 18)


async def test_retention_gives_space_back_for_reuse(tmp_path: Path) -> None:
    """Over cycles of loading and retiring the database file stops growing."""
    sizes = []
    async with Pipeline(tmp_path) as pipeline:
        assert pipeline.store is not None
        for cycle in range(6):
            first = cycle * 40_000
            await pipeline.accept(*(span_request(first + n * 4000, 4000) for n in range(5)))
            await pipeline.loader.flush()
            await pipeline.loader.retire(before_ns=1 << 63)
            await pipeline.loader.checkpoints.complete()
            sizes.append(await asyncio.to_thread(pipeline.store.file_bytes))
        assert await pipeline.query("SELECT count(*) FROM spans") == [(0,)]
        assert await pipeline.query("SELECT stored, retired FROM record_totals WHERE signal = 'traces'") == [
            (120_000, 120_000)
        ]
    assert max(sizes[3:]) <= 1.25 * max(sizes[:3])


async def test_retention_by_age_and_by_size_deletes_the_oldest(tmp_path: Path) -> None:
    """Age is counted from the end of a record; by size the oldest tenth goes until it fits."""
    forgotten: list[UUID] = []

    async def forget(texts: Collection[UUID]) -> None:
        forgotten.extend(texts)

    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(0, 10), span_request(3_600_000_000_000, 10))
        await pipeline.loader.flush()
        by_age = Retention(
            pipeline.loader, RetentionConfig(max_age_hours=1), lambda: T0 + 3_700_000_000_000, forget
        )
        assert await by_age.look() == 10
        assert await pipeline.query("SELECT min(span_id) FROM spans") == [(3_600_000_000_001,)]
        assert await by_age.look() == 0
        by_size = Retention(pipeline.loader, RetentionConfig(max_size_bytes=1), lambda: T0, forget)
        assert await by_size.look() > 0
        assert forgotten
