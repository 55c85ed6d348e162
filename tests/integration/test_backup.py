"""A backup is complete up to its moment, and a restore brings back what it and the spool hold, once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from receiver.app.backup import back_up_stopped
from receiver.app.backup_hold import CheckpointHolds
from receiver.app.data_directory import prepare_data_directory
from receiver.app.restore import restore
from receiver.app.restore_plan import RestoreReport
from receiver.config import Settings
from receiver.errors import NotFoundError, QueryError, RetryableError, StartError
from receiver.ports import ExportRequest
from receiver.signals import Signal
from receiver.spool.backup import SpoolFacts, spool_facts
from receiver.store.backup import copy_store, store_facts
from tests.faults.numbered_client import SIGNALS, quick_client
from tests.faults.numbered_records import acknowledged_numbers, assert_conserved, stored_numbers
from tests.support.command_line import otlp_receiver
from tests.support.otlp_requests import span_request
from tests.support.pipeline import Pipeline, numbered
from tests.support.receiver_process import ReceiverProcess

_CONTENT = "SELECT count(*), sum(hash(t)) FROM t"


def test_a_file_copied_between_two_checkpoints_is_the_state_of_the_first(tmp_path: Path) -> None:
    """DuckDB, however much is written meanwhile, leaves alone the blocks that the last checkpoint refers to."""
    path = tmp_path / "store.duckdb"
    with duckdb.connect(path, config={"checkpoint_threshold": "1TB", "threads": 1}) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i, 'x' || range AS s FROM range(400000)")
        connection.execute("CHECKPOINT")
        connection.execute("DELETE FROM t WHERE i % 2 = 0")
        connection.execute("CHECKPOINT")  # there are free blocks now, to be written over
        wanted = connection.execute(_CONTENT).fetchone()
        written, enough = threading.Event(), threading.Event()

        def write() -> None:
            cursor = connection.cursor()
            number = 0
            while not enough.is_set():
                number += 1
                cursor.execute("BEGIN")
                cursor.execute("INSERT INTO t SELECT range, 'y' || range FROM range(200000)")
                cursor.execute("DELETE FROM t WHERE i % 7 = ?", [number % 7])
                cursor.execute("COMMIT" if number % 3 else "ROLLBACK")
                written.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                written.clear()
                assert written.wait(60)
                copy = tmp_path / f"copy-{number}.duckdb"
                copy_store(path, copy)
                with duckdb.connect(copy, read_only=True) as copied:
                    assert copied.execute(_CONTENT).fetchone() == wanted
        finally:
            enough.set()
            writer.join()
        with pytest.raises(RetryableError, match="checkpointed while"):  # a checkpoint does not go unnoticed
            copy_store(path, tmp_path / "torn", observer=lambda: _checkpoint(connection))


async def test_checkpoints_that_are_held_back_come_when_they_are_released(tmp_path: Path) -> None:
    """Loading goes on under a hold and the file stays the same; a stop does not wait for its end."""
    async with Pipeline(tmp_path, store={"checkpoint_interval_s": 0.05}) as pipeline:
        await pipeline.accept(span_request(0, 5))
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.hold()
        for number in range(5, 25, 5):
            await pipeline.accept(span_request(number, 5))
            await pipeline.loader.flush()
        assert pipeline.spool.statistics().requests == 4  # no checkpoint covers them
        await asyncio.to_thread(shutil.copy, tmp_path / "telemetry.duckdb", tmp_path / "copy.duckdb")
        assert (await asyncio.to_thread(store_facts, tmp_path / "copy.duckdb")).rows["spans"] == 5
        pipeline.loader.checkpoints.release()
        async with asyncio.timeout(20):
            while pipeline.spool.statistics().requests:  # noqa: ASYNC110 - the spool tells nobody
                await asyncio.sleep(0.01)
        await pipeline.accept(span_request(25, 5))
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.hold()
    assert not (tmp_path / "telemetry.duckdb.wal").exists()


async def test_a_hold_has_one_holder_and_gives_way_to_the_spool_and_to_a_stop(tmp_path: Path) -> None:
    """A second backup has to wait, only its holder can end a hold, and what ended by itself is refused at its end."""
    async with Pipeline(tmp_path, spool={"max_bytes": 2000}) as pipeline:
        holds = CheckpointHolds(
            pipeline.settings, loader=pipeline.loader, spool=pipeline.spool, clock=time.time_ns
        )
        first = await holds.begin()
        assert first.spool == pipeline.spool.uuid
        with pytest.raises(RetryableError, match="another backup"):
            await holds.begin()
        with pytest.raises(NotFoundError):
            holds.end("somebody else")
        holds.renew(first.hold)
        await pipeline.accept(span_request(0, 30))
        with pytest.raises(NotFoundError, match="filled to a half"):
            holds.renew(first.hold)
        await pipeline.loader.flush()
        await pipeline.loader.checkpoints.complete()
        await pipeline.loader.checkpoints.forgotten()
        assert pipeline.spool.statistics().requests == 0, "checkpoints are made again"
        second = await holds.begin()
        holds.close()
        with pytest.raises(NotFoundError):
            holds.end(second.hold)
        with pytest.raises(RetryableError, match="stopping"):
            await holds.begin()


def test_a_backup_under_load_is_complete_up_to_its_moment_and_restores(tmp_path: Path) -> None:
    """What was acknowledged before the command is in it; restored elsewhere, each record is there once."""
    with ReceiverProcess(tmp_path / "data") as receiver, quick_client(receiver, number=0) as client:
        client.wait_for(20)
        before = acknowledged_numbers([client])
        made = _command(tmp_path, "--endpoint", f"http://{receiver.query}")
        client.wait_for(5)  # it still accepts
    folder = tmp_path / "backup"
    assert made.items() <= json.loads((folder / "manifest.json").read_text()).items()
    assert _names(tmp_path) == ["backup", "data", "data.log"], "nothing is left beside it"
    for name, facts in made["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == facts["sha256"]
        assert (folder / name).stat().st_mode & 0o077 == 0
    assert store_facts(folder / "telemetry.duckdb").rows == made["records"]
    with pytest.raises(QueryError, match="is there already"):
        back_up_stopped(_settings(tmp_path / "data"), folder)

    other = otlp_receiver("restore", folder, "--data-dir", tmp_path / "other", folder=tmp_path)
    assert other.returncode == 0, other.stderr
    with ReceiverProcess(tmp_path / "other") as restored:
        restored.flush()
        for signal in SIGNALS:
            stored = stored_numbers(restored, signal)
            assert len(stored) == len(set(stored))
            assert before[signal] <= set(stored)
        assert_conserved(restored)
        with pytest.raises(StartError, match="belongs to a running receiver"):
            restore(_settings(tmp_path / "other"), folder)


def test_a_restore_replays_what_the_spool_still_has_and_names_what_it_has_not(tmp_path: Path) -> None:
    """Between the backup and what waits lie requests that only the old store has: counted, and the totals agree."""
    data, after = tmp_path / "data", tmp_path / "after"
    _accept(data, span_request(0, 5))
    back_up_stopped(_settings(data), tmp_path / "backup")
    _accept(data, span_request(5, 5))
    _accept(data, span_request(10, 5), span_request(15, 5), crash_into=after)
    report = restore(_settings(after), tmp_path / "backup")
    assert report.spool_kept
    assert (report.replayed_requests, report.replayed_records["spans"]) == (2, 10)
    assert (report.not_restored["spans"], report.missing_requests) == (5, (2, 2))
    for _ in range(2):  # the second start changes nothing
        assert _accept(after) == sorted(numbered(0, 5) + numbered(10, 10))
        assert _facts(after).statistics.not_restored_records == _spans(5)
        assert _facts(after).beyond() == _spans(20)
    assert _accept(after, span_request(5, 5)) == numbered(0, 20), "what is missing is no repetition"
    assert report.aside is not None
    assert _accept(Path(report.aside)) == numbered(0, 20), "what was moved aside is a whole data directory"


def test_a_spool_that_the_backup_does_not_know_is_moved_aside(tmp_path: Path) -> None:
    """The backup's own spool takes its place under a new identity; what waited in the other one is kept and told."""
    data, other = tmp_path / "data", tmp_path / "other"
    _accept(data, span_request(0, 5))
    back_up_stopped(_settings(data), tmp_path / "backup")
    _accept(tmp_path / "crashed", span_request(100, 5), crash_into=other)
    unknown = _facts(other).uuid
    report = restore(_settings(other), tmp_path / "backup")
    assert (report.spool_kept, report.set_aside_requests) == (False, 1)
    assert report.aside is not None
    assert _facts(Path(report.aside)).uuid == unknown
    assert _facts(other).uuid not in {_facts(data).uuid, unknown}
    assert _accept(other, span_request(5, 5)) == numbered(0, 10)
    assert _facts(other).beyond() == _spans(10)


def test_a_restore_that_was_cut_short_anywhere_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """However many of its moves were done, no receiver starts before the rest is, and nothing is moved twice."""
    data = tmp_path / "data"
    _accept(data, span_request(0, 5))
    back_up_stopped(_settings(data), tmp_path / "backup")
    _accept(data, span_request(5, 5))
    for moves in range(20):
        place = tmp_path / f"cut-{moves}"
        shutil.copytree(data, place)
        if _restored_with_a_cut(place, tmp_path / "backup", moves) is not None:
            break
        with pytest.raises(StartError, match="cut short"):
            prepare_data_directory(place)
        again = restore(_settings(place), tmp_path / "backup")
        assert again.finished_earlier
        assert store_facts(place / "telemetry.duckdb").rows["spans"] == 5
        assert _facts(place).statistics.not_restored_records == _spans(5)
        assert again.aside is not None
        assert store_facts(Path(again.aside) / "telemetry.duckdb").rows["spans"] == 10
        assert [name for name in _names(place) if ".restor" in name or "restore.plan" in name] == []
    assert 3 < moves < 19
    assert _accept(tmp_path / f"cut-{moves}") == numbered(0, 5)


def test_a_backup_that_is_not_whole_is_never_restored(tmp_path: Path) -> None:
    """A changed file, a broken manifest or a newer schema: refused, and nothing has been moved."""
    data, broken = tmp_path / "data", tmp_path / "broken"
    _accept(data, span_request(0, 5))
    back_up_stopped(_settings(data), tmp_path / "backup")
    before = _names(data)
    changes: list[tuple[str, Callable[[bytes], bytes], str]] = [
        ("telemetry.duckdb", lambda old: old[:-1] + bytes([old[-1] ^ 1]), "digest is another"),
        ("spool.db", lambda old: old[:-1], "digest is another"),
        ("manifest.json", lambda old: old[:40], "not the manifest"),
        (
            "manifest.json",
            lambda old: old.replace(b'"schema_version": ', b'"schema_version": 99'),
            "version 99",
        ),
    ]
    for name, change, words in changes:
        shutil.copytree(tmp_path / "backup", broken)
        (broken / name).write_bytes(change((broken / name).read_bytes()))
        with pytest.raises(QueryError, match=words):
            restore(_settings(data), broken)
        shutil.rmtree(broken)
        assert _names(data) == before


def _settings(data_dir: Path) -> Settings:
    return Settings(data_dir=str(data_dir))


def _accept(folder: Path, *requests: ExportRequest, crash_into: Path | None = None) -> list[str]:
    """Start on the folder, take the requests, stop; return the names of the stored spans.

    With ``crash_into`` nothing is loaded, and the files go there as a kill would have left them.
    """

    async def run() -> list[str]:
        async with Pipeline(folder, load=crash_into is None) as pipeline:
            await pipeline.accept(*requests)
            if crash_into is not None:
                await pipeline.crash(crash_into)
                return []
            await pipeline.loader.flush()
            return await pipeline.span_names()

    return asyncio.run(run())


def _facts(folder: Path) -> SpoolFacts:
    return spool_facts(folder / "spool.db", position=0)


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def _checkpoint(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'z')")
    connection.execute("CHECKPOINT")


def _command(folder: Path, *options: str | Path) -> dict[str, Any]:
    """Make a backup in ``folder``/backup by the command; return what it said."""
    done = otlp_receiver("backup", folder / "backup", "--json", *options, folder=folder)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


class _CutError(Exception):
    """As if the process had been killed here."""


def _restored_with_a_cut(data_dir: Path, backup: Path, moves: int) -> RestoreReport | None:
    """Begin a restore that ends before move number ``moves`` as a kill would end it; its report if it got through."""
    done = 0
    rename = Path.rename

    def counted(source: Path, target: Path) -> Path:
        nonlocal done
        if done == moves:
            raise _CutError
        done += 1
        return rename(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", counted)
        try:
            return restore(_settings(data_dir), backup)
        except _CutError:
            return None


def _spans(count: int) -> dict[Signal, int]:
    return {Signal.TRACES: count, Signal.METRICS: 0, Signal.LOGS: 0}
