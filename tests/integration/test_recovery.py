"""What was acknowledged is stored once after every bad end: a crash, a lost log, a restored or mixed-up file."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from receiver.errors import RetryableError
from receiver.signals import Signal
from tests.support.otlp_requests import log_request, metric_request, span_request
from tests.support.pipeline import Pipeline, numbered


async def test_a_crash_between_commit_and_load_is_replayed_once(tmp_path: Path) -> None:
    """What only the spool had is stored after the restart, and a second restart changes nothing."""
    async with Pipeline(tmp_path / "before", load=False) as pipeline:
        await pipeline.accept(span_request(0, 5), log_request(0, 2), metric_request(0, 3), span_request(5, 5))
        await pipeline.crash(tmp_path / "after")
    for _ in range(2):
        async with Pipeline(tmp_path / "after") as pipeline:
            await pipeline.loader.flush()
            assert await pipeline.span_names() == numbered(0, 10)
            assert await pipeline.query("SELECT count(*) FROM logs") == [(2,)]
            assert await pipeline.query("SELECT count(*) FROM metric_points") == [(3,)]
            assert (await pipeline.identity())[Signal.TRACES] == (10, 10)


async def test_a_crash_between_load_and_checkpoint_stores_nothing_twice(tmp_path: Path) -> None:
    """The spool still has what the store has; the stored position keeps it from being loaded again."""
    async with Pipeline(tmp_path / "before") as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
        await pipeline.crash(tmp_path / "after")
    async with Pipeline(tmp_path / "after") as pipeline:
        assert pipeline.spool.statistics().requests == 1
        await pipeline.accept(span_request(5, 5))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 10)


async def test_a_retry_after_a_crash_is_a_duplicate(tmp_path: Path) -> None:
    """The client whose answer was lost sends again; its spans are stored once."""
    request = span_request(0, 5)
    async with Pipeline(tmp_path / "before") as pipeline:
        await pipeline.accept(request)
        await pipeline.crash(tmp_path / "after")
    async with Pipeline(tmp_path / "after") as pipeline:
        (answer,) = await pipeline.accept(request)
        assert answer.message.startswith("identical to a request accepted")
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 5)


async def test_a_lost_tail_of_the_stores_log_is_replayed(tmp_path: Path) -> None:
    """Without the log, DuckDB opens the last checkpoint without a word; the spool has the rest."""
    async with Pipeline(tmp_path / "before") as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.complete()
        for n in range(5, 50, 5):
            await pipeline.accept(span_request(n, 5))
            await pipeline.loader.flush()
        await pipeline.crash(tmp_path / "after")
    log = tmp_path / "after" / "telemetry.duckdb.wal"
    data = log.read_bytes()
    shutil.copytree(tmp_path / "after", tmp_path / "cut")
    (tmp_path / "cut" / log.name).write_bytes(data[: len(data) * 2 // 3])
    log.unlink()
    for name in ("after", "cut"):
        async with Pipeline(tmp_path / name) as pipeline:
            await pipeline.loader.flush()
            assert await pipeline.span_names() == numbered(0, 50), name


async def test_a_restored_older_store_catches_up_from_a_spool_that_still_has_it(tmp_path: Path) -> None:
    """A copy of the database from before the last loads is brought up to date."""
    async with Pipeline(tmp_path / "a") as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
    shutil.copy(tmp_path / "a" / "telemetry.duckdb", tmp_path / "older.duckdb")
    async with Pipeline(tmp_path / "a") as pipeline:
        await pipeline.accept(span_request(5, 5))
        await pipeline.loader.flush()
        await pipeline.crash(tmp_path / "b")
    (tmp_path / "b" / "telemetry.duckdb.wal").unlink()
    shutil.copy(tmp_path / "older.duckdb", tmp_path / "b" / "telemetry.duckdb")
    async with Pipeline(tmp_path / "b") as pipeline:
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 10)


async def test_a_new_spool_with_an_old_store_starts_at_zero(tmp_path: Path) -> None:
    """Positions belong to a spool: what a new one takes in is stored beside what the old one brought."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(*(span_request(n) for n in range(5)))
        await pipeline.loader.flush()
    (tmp_path / "spool.db").unlink()
    async with Pipeline(tmp_path) as pipeline:
        assert pipeline.loader.position == 0
        await pipeline.accept(span_request(5))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 6)


async def test_numbers_go_on_when_an_emptied_spool_is_opened_again(tmp_path: Path) -> None:
    """A number below the stored position would be skipped, so none is ever used twice."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(*(span_request(n) for n in range(5)))
    async with Pipeline(tmp_path) as pipeline:
        assert pipeline.spool.statistics().requests == 0
        await pipeline.accept(span_request(5))
        await pipeline.loader.flush()
        assert pipeline.loader.position == 6
        assert await pipeline.span_names() == numbered(0, 6)


async def test_a_position_above_the_spools_highest_number_stops_loading_and_says_so(tmp_path: Path) -> None:
    """An older copy of the spool under a newer store would have its new requests skipped: nothing is loaded or accepted."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(0))
        await pipeline.loader.flush()
    await asyncio.to_thread(shutil.copy, tmp_path / "spool.db", tmp_path / "older.db")
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(1), span_request(2))
        await pipeline.loader.flush()
    (tmp_path / "older.db").replace(tmp_path / "spool.db")
    async with Pipeline(tmp_path) as pipeline:
        assert pipeline.loader.problem is not None
        assert "not the spool that the store was loaded from" in pipeline.loader.problem
        with pytest.raises(RetryableError, match="not the spool"):
            await pipeline.accept(span_request(3))
        with pytest.raises(RetryableError, match="not the spool"):
            await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 3)


async def test_nothing_is_accepted_before_the_store_opens_into_a_spool_that_ends_too_early(
    tmp_path: Path,
) -> None:
    """What came in then would have numbers that the store has passed, and never be loaded."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(0))
        await pipeline.loader.flush()
    await asyncio.to_thread(shutil.copy, tmp_path / "spool.db", tmp_path / "older.db")
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(1), span_request(2))
        await pipeline.loader.flush()
    (tmp_path / "older.db").replace(tmp_path / "spool.db")
    async with Pipeline(tmp_path, load=False) as pipeline:
        with pytest.raises(RetryableError, match="as soon as it is open"):
            await pipeline.accept(span_request(3))
    (tmp_path / "telemetry.duckdb").unlink()  # now the store has passed nothing
    (tmp_path / "telemetry.duckdb.wal").unlink(missing_ok=True)
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(3))
        await pipeline.loader.flush()
        assert await pipeline.span_names() == ["span 3"]


async def test_a_spool_taken_in_before_the_store_opens_is_loaded_when_it_does(tmp_path: Path) -> None:
    """Requests are acknowledged while the database is still recovering."""
    async with Pipeline(tmp_path, load=False) as pipeline:
        await pipeline.accept(span_request(0, 3))
        with pytest.raises(RetryableError, match="not open"):
            await pipeline.loader.flush()
        await pipeline.open_store()
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 3)


async def test_a_store_that_went_back_is_said_and_replayed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names both positions; an ordinary backlog is not taken for it."""
    async with Pipeline(tmp_path / "before") as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.complete()
        await pipeline.accept(span_request(5, 5))
        await pipeline.loader.flush()
        await pipeline.crash(tmp_path / "after")
    shutil.copytree(tmp_path / "after", tmp_path / "whole")
    async with Pipeline(tmp_path / "whole"):
        assert "has gone back" not in caplog.text
    (tmp_path / "after" / "telemetry.duckdb.wal").unlink()
    async with Pipeline(tmp_path / "after") as pipeline:
        await pipeline.loader.flush()
        assert "the store has gone back from position 2 to 1 " in caplog.text
        assert "have left the spool" not in caplog.text
        assert await pipeline.span_names() == numbered(0, 10)


async def test_what_is_neither_in_an_older_store_nor_in_the_spool_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An older copy of the store beside a spool that has forgotten the rest: the log counts what is missing."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
    await asyncio.to_thread(shutil.copy, tmp_path / "telemetry.duckdb", tmp_path / "older")
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(5, 5), span_request(10, 5))
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.complete()
        await pipeline.loader.checkpoints.forgotten()
    (tmp_path / "older").replace(tmp_path / "telemetry.duckdb")
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.loader.flush()
        assert "2 requests above the store's position 1 have left the spool" in caplog.text
        assert await pipeline.span_names() == numbered(0, 5)


async def test_a_stores_log_that_cannot_be_replayed_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A torn log keeps no store from opening: it is kept under another name, and the spool has what was in it."""
    async with Pipeline(tmp_path / "before") as pipeline:
        for n in range(0, 20, 5):
            await pipeline.accept(span_request(n, 5))
            await pipeline.loader.flush()
        await pipeline.crash(tmp_path / "after")
    log = tmp_path / "after" / "telemetry.duckdb.wal"
    torn = log.read_bytes()[:-300] + bytes(300)
    log.write_bytes(torn)
    async with Pipeline(tmp_path / "after") as pipeline:
        await pipeline.loader.flush()
        assert await pipeline.span_names() == numbered(0, 20)
    (aside,) = (tmp_path / "after").glob("telemetry.duckdb.wal.damaged-*")
    assert aside.read_bytes() == torn
    assert aside.name in caplog.text
