"""The loader's waits: whatever comes when, everything offered is loaded and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import cast
from uuid import UUID

import pyarrow as pa
import pytest
from anyio import wait_all_tasks_blocked

from receiver.config import LoaderConfig, Settings, SpoolConfig, StoreConfig
from receiver.errors import RetryableError
from receiver.loader import gathering
from receiver.loader.loader import Loader
from receiver.ports import (
    Columns,
    CommittedGroup,
    DecodedGroup,
    ExportRequest,
    LoadBatch,
    Outcome,
    SpooledRequest,
    SpoolEntry,
    StoreWriter,
    Verdict,
)
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from receiver.telemetry.metrics import Metrics


class OneColumn:
    """Columns of one request that holds one record: its payload."""

    signal = Signal.TRACES
    records = 1
    nbytes = 100

    def __init__(self, payload: bytes) -> None:
        """Keep it."""
        self.payload = payload


class PlainStage:
    """Decoder and flattener that pass payloads on."""

    def decode(self, requests: list[ExportRequest]) -> DecodedGroup:
        """Accept everything."""
        return DecodedGroup(
            [Verdict(r.body, 1, Outcome(), True) for r in requests], [OneColumn(r.body) for r in requests]
        )

    def parts(self, columns: list[Columns]) -> Iterator[dict[str, pa.Table]]:
        """Yield the payloads."""
        payloads = [cast("OneColumn", c).payload for c in columns]
        columns.clear()
        yield {"spans": pa.table({"payload": payloads})}


class MemoryWriter:
    """A store in memory, as fast or as slow as a test says."""

    is_crowded = False

    def __init__(self) -> None:
        """Start empty."""
        self.loaded: list[bytes] = []
        self.stored = 0
        self.transactions = 0
        self.checkpoints = 0
        self.part_written = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def revive(self) -> bool:
        """Do nothing: it never gives up."""
        return False

    def verify_writable(self) -> None:
        """Do nothing: it always is."""

    def position(self, _: UUID) -> int:
        """Return the position."""
        return self.stored

    def load(self, batch: LoadBatch) -> None:
        """Keep the rows."""
        assert self.gate.wait(30)
        loaded: list[bytes] = []
        for tables in batch.parts:
            loaded += tables["spans"].column("payload").to_pylist()
            self.part_written.set()
        self.loaded += loaded
        self.stored = batch.position
        self.transactions += 1

    def checkpoint(self) -> Mapping[UUID, int]:
        """Count."""
        self.checkpoints += 1
        return {UUID(int=0): 0}


class Stage:
    """A loader on a real spool with a store in memory."""

    def __init__(self, folder: Path, *, batch_wait_s: float = 0.01) -> None:
        """Open the spool."""
        self.spool = SqliteSpool(folder / "spool.db")
        self.writer = MemoryWriter()
        self.is_abandoned = False
        stage = PlainStage()
        self.loader = Loader(
            spool=self.spool,
            decoder=stage,  # type: ignore[arg-type]
            flattener=stage,
            settings=Settings(
                loader=LoaderConfig(batch_rows=50, batch_wait_s=batch_wait_s, memory_bytes=2000),
                store=StoreConfig(checkpoint_interval_s=0.001, checkpoint_bytes=100),
                spool=SpoolConfig(max_bytes=10_000),
            ),
            metrics=Metrics(),
        )

    async def start(self) -> None:
        """Give the loader its store."""
        await self.loader.start(cast("StoreWriter", self.writer))

    async def offer(self, *payloads: bytes) -> None:
        """Commit requests and offer them."""
        entries = [SpoolEntry(Signal.TRACES, p, 1, Outcome(), None) for p in payloads]
        sequences = await asyncio.to_thread(self.spool.append, entries)
        columns: list[Columns] = [OneColumn(p) for p in payloads]
        self.loader.offer(
            CommittedGroup(sequences, columns, {Signal.TRACES: len(payloads)}, sum(map(len, payloads)))
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Return a loader that has not started; it is closed at the end."""
    stage = await asyncio.to_thread(Stage, tmp_path)
    yield stage
    stage.writer.gate.set()
    await stage.loader.close()
    await asyncio.to_thread(stage.spool.close)


@pytest.fixture
async def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Return a loader that writes two requests at a time and waits for more as long as nobody asks; it has started."""
    monkeypatch.setattr(gathering, "_PIECE_BYTES", 200)
    stage = await asyncio.to_thread(lambda: Stage(tmp_path, batch_wait_s=600))
    await stage.start()
    yield stage
    if not stage.is_abandoned:
        await stage.loader.close()
    await asyncio.to_thread(stage.spool.close)


@pytest.mark.parametrize("seed", range(6))
async def test_no_wake_up_is_lost_between_offers_flushes_and_checkpoints(
    stage: Stage, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small offers at all moments of a loader that completes checkpoints all the time are loaded in order."""
    dice = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr(gathering, "_PIECE_BYTES", 300)
    await stage.start()
    expected: list[bytes] = []

    async def impatient() -> None:
        for _ in range(20):
            try:
                async with asyncio.timeout(dice.random() * 0.01):
                    await stage.loader.flush()
            except TimeoutError:
                pass
            await asyncio.sleep(dice.random() * 0.005)

    waiting = [asyncio.create_task(impatient()) for _ in range(3)]
    for number in range(120):
        payloads = [b"%d.%d" % (number, n) for n in range(dice.choice([1, 1, 2, 60]))]
        expected += payloads
        await stage.offer(*payloads)
        await asyncio.sleep(dice.choice([0, 0, 0.002, 0.012]))
    await asyncio.gather(*waiting)
    async with asyncio.timeout(30):
        await stage.loader.flush()
    assert stage.writer.loaded == expected
    assert stage.writer.checkpoints > 0


async def test_flush_returns_only_when_the_load_is_done(stage: Stage) -> None:
    """While the transaction is under way it waits."""
    await stage.start()
    stage.writer.gate.clear()
    await stage.offer(b"a")
    flush = asyncio.create_task(stage.loader.flush())
    await wait_all_tasks_blocked()
    assert not flush.done()
    stage.writer.gate.set()
    await flush
    assert stage.writer.loaded == [b"a"]


async def test_a_transaction_grows_while_its_first_rows_are_written(growing: Stage) -> None:
    """What comes meanwhile is in the same transaction; a flush ends it."""
    await growing.offer(b"a", b"b")
    assert await asyncio.to_thread(growing.writer.part_written.wait, 30)
    assert growing.loader.position == 0
    await growing.offer(b"c")
    await growing.offer(b"d")
    await growing.loader.flush()
    assert growing.writer.loaded == [b"a", b"b", b"c", b"d"]
    assert growing.writer.transactions == 1
    assert growing.loader.position == growing.writer.stored == 4


async def test_a_growing_transaction_takes_from_the_spool_what_memory_let_go(growing: Stage) -> None:
    """In their order: the rest of its rows is decoded while the transaction is open."""
    await growing.offer(b"a", b"b")
    assert await asyncio.to_thread(growing.writer.part_written.wait, 30)
    entries = [SpoolEntry(Signal.TRACES, payload, 1, Outcome(), None) for payload in (b"c", b"d", b"e")]
    sequences = await asyncio.to_thread(growing.spool.append, entries)
    growing.loader.notice(sequences[-1])
    await growing.offer(b"f")
    await growing.loader.flush()
    assert growing.writer.loaded == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert growing.writer.transactions == 1


async def test_a_spool_that_cannot_be_read_ends_a_growing_transaction(
    growing: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is stored, the spool's trouble is named, and the rest comes when it can be read."""
    await growing.offer(b"a", b"b")
    assert await asyncio.to_thread(growing.writer.part_written.wait, 30)
    (sequence,) = await asyncio.to_thread(
        growing.spool.append, [SpoolEntry(Signal.TRACES, b"c", 1, Outcome(), None)]
    )
    read, tried_again, tries = growing.spool.read, threading.Event(), count(1)

    def fail(*_: object, **__: object) -> list[SpooledRequest]:
        if next(tries) == 3:  # for the growing transaction, for the next one, and again
            tried_again.set()
        raise RetryableError("the disk is away")

    monkeypatch.setattr(growing.spool, "read", fail)
    growing.loader.notice(sequence)
    assert await asyncio.to_thread(tried_again.wait, 30)
    assert growing.writer.loaded == [b"a", b"b"]
    assert growing.loader.problems == ["the spool cannot be read: the disk is away"]
    monkeypatch.setattr(growing.spool, "read", read)
    await growing.loader.flush()
    assert growing.writer.loaded == [b"a", b"b", b"c"]


async def test_a_growing_transaction_is_given_up_with_its_loader(growing: Stage) -> None:
    """Whoever takes over does not wait for it; what it held is still in the spool."""
    await growing.offer(b"a", b"b")
    assert await asyncio.to_thread(growing.writer.part_written.wait, 30)
    async with asyncio.timeout(30):
        await growing.loader.abandon()
    growing.is_abandoned = True
    assert growing.writer.loaded == []
    assert growing.spool.statistics().requests == 2


async def test_flush_says_that_the_store_is_not_open(stage: Stage) -> None:
    """Instead of waiting for a store that may never come."""
    with pytest.raises(RetryableError, match="not open"):
        await stage.loader.flush()


async def test_a_full_spool_lets_nobody_in_until_there_is_room(stage: Stage) -> None:
    """Room is what a checkpoint has made."""
    await stage.loader.wait_for_room()
    await stage.offer(b"x" * 10_000)
    waiting = asyncio.create_task(stage.loader.wait_for_room())
    await wait_all_tasks_blocked()
    assert not waiting.done()
    await asyncio.to_thread(stage.spool.remove_through, 1)
    await stage.start()  # loads what it was offered and completes the checkpoint that is due
    async with asyncio.timeout(30):
        await waiting


async def test_pacing_ends_by_itself(stage: Stage) -> None:
    """A store that stands still holds a commit up for a moment only."""
    for number in range(30):
        await stage.offer(b"%d" % number)
    async with asyncio.timeout(5):
        await stage.loader.pace()
    await stage.start()


async def test_an_unexpected_failure_stops_loading_and_is_seen(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits in flush is told; what is acknowledged stays in the spool."""

    def fail(_: LoadBatch) -> None:
        raise ZeroDivisionError("a bug")

    stage.writer.load = fail  # type: ignore[method-assign, assignment]
    await stage.start()
    await stage.offer(b"a")
    with pytest.raises(RetryableError, match="a bug"):
        await stage.loader.flush()
    assert stage.loader.problem == "loading has stopped: a bug"
    assert stage.spool.statistics().requests == 1


async def test_who_waits_for_the_spool_to_forget_may_be_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal goes on, the others get their answer, and loading and stopping do not end with the one."""
    await stage.start()
    await stage.offer(b"a")
    go_on, began = threading.Event(), threading.Event()
    remove = stage.spool.remove_through

    def remove_slowly(position: int) -> int:
        began.set()
        assert go_on.wait(30)
        return remove(position)

    monkeypatch.setattr(stage.spool, "remove_through", remove_slowly)
    await stage.loader.flush()
    await stage.loader.checkpoints.complete()
    await asyncio.to_thread(began.wait, 30)
    impatient = asyncio.create_task(stage.loader.checkpoints.forgotten())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    go_on.set()
    await stage.loader.checkpoints.forgotten()
    await stage.offer(b"b")
    await stage.loader.flush()
    assert stage.writer.loaded == [b"a", b"b"]
