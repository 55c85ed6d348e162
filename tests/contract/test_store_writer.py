"""The promises of ``receiver.ports.StoreWriter``, proved for every implementation of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from receiver.config import LimitsConfig, StoreConfig
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.errors import StartError, StoreRejectedError
from receiver.ports import ExportRequest, LoadBatch, TextVectors, Verdict
from receiver.signals import Signal
from receiver.store import migrate as migrate_module
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.migrate import Migration, migrate, migrations
from tests.support.otlp_requests import T0, log_request, make_span, metric_request, span_request, traces
from tests.support.table_parts import rows_of

SPOOL, OTHER = UUID(int=1), UUID(int=2)


class Store:
    """A store file and what makes batches for it."""

    def __init__(self, folder: Path) -> None:
        """Open it."""
        self.folder = folder
        nested = NestedValues()
        self._decoder = ColumnDecoder(LimitsConfig(), nested)
        self._flattener = ColumnFlattener(nested)
        self.open()

    def open(self) -> None:
        """Open the file."""
        path = self.folder / "t.duckdb"
        self.store = DuckDbStore.open(path, StoreConfig(), temp_directory=self.folder / "tmp")
        self.writer = DuckDbWriter(self.store)

    def close(self) -> None:
        """Close everything."""
        self.writer.close()
        self.store.close()
        self._flattener.close()

    def batch(self, position: int, *requests: ExportRequest, spool: UUID = SPOOL) -> LoadBatch:
        """Return the rows of requests."""
        columns, records = [], dict.fromkeys(Signal, 0)
        for request in requests:
            decoded = self._decoder.decode([request])
            verdict = decoded.verdicts[0]
            assert isinstance(verdict, Verdict)
            records[request.signal] += verdict.records
            columns += decoded.columns
        return LoadBatch(spool, position, list(self._flattener.parts(columns)), records)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.store.connection.execute(sql).fetchall()

    def stored(self) -> dict[str, int]:
        """Return the stored totals."""
        return dict(self.rows("SELECT signal, stored FROM record_totals"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_load_brings_rows_position_and_totals(store: Store) -> None:
    """All three are there afterwards; positions belong to a spool."""
    assert store.writer.position(SPOOL) == 0
    store.writer.load(store.batch(5, span_request(0, 3), log_request(0, 2), metric_request(0, 4)))
    assert store.writer.position(SPOOL) == 5
    assert store.writer.position(OTHER) == 0
    assert store.stored() == {"traces": 3, "metrics": 4, "logs": 2}
    assert store.rows("SELECT count(*) FROM spans") == [(3,)]


def test_what_was_loaded_is_there_after_a_restart(store: Store) -> None:
    """Rows, position and totals survive."""
    store.writer.load(store.batch(5, span_request(0, 3)))
    store.writer.load(store.batch(9, span_request(3, 1), spool=OTHER))
    store.writer.close()
    store.store.close()
    store.open()
    assert (store.writer.position(SPOOL), store.writer.position(OTHER)) == (5, 9)
    assert store.stored()["traces"] == 4


def test_resources_scopes_metrics_and_texts_are_stored_once(store: Store) -> None:
    """However often they come, in one batch or in several."""
    for position in range(1, 4):
        store.writer.load(
            store.batch(position, span_request(position), metric_request(0), metric_request(0, 2))
        )
    for table, key in (("resources", "resource_id"), ("scopes", "scope_id"), ("metrics", "metric_id")):
        ((count, distinct),) = store.rows(f"SELECT count(*), count(DISTINCT {key}) FROM {table}")
        assert count == distinct, table
    assert store.rows("SELECT count(*) FROM metrics") == [(1,)]
    assert store.rows("SELECT count(*) FROM metric_points") == [(9,)]


@pytest.mark.parametrize("count", [1, 4_000])
def test_what_several_parts_of_a_transaction_bring_is_stored_once(store: Store, count: int) -> None:
    """Little, and so much that it is not written together; whether or not it was stored before a restart."""
    requests = [_named_apart(range(first * count, (first + 1) * count)) for first in range(3)]
    store.writer.load(store.batch(1, requests[0]))
    store.writer.close()
    store.store.close()
    store.open()  # it knows nothing of what is there
    parts = [part for request in (*requests, *requests) for part in store.batch(2, request).parts]
    store.writer.load(LoadBatch(SPOOL, 2, parts, {Signal.TRACES: 6 * count}))
    for table, key, things in (
        ("resources", "resource_id", 1),
        ("scopes", "scope_id", 1),
        ("texts", "text_id", 3 * count),
    ):
        assert store.rows(f"SELECT count(*), count(DISTINCT {key}) FROM {table}") == [(things, things)], table
    found = store.rows("SELECT count(*), count(t.text) FROM spans LEFT JOIN texts t USING (text_id)")
    assert found == [(7 * count, 7 * count)]


def _named_apart(numbers: range) -> ExportRequest:
    """Return spans with as much of a text of their own as is kept."""
    words = ("".join(chr(ord("a") + int(digit)) for digit in f"{number:05}") for number in numbers)
    spans = (make_span(number, name=word * 100) for number, word in zip(numbers, words, strict=True))
    return ExportRequest(Signal.TRACES, traces(*spans))


def test_rows_that_can_never_be_written_are_refused_and_nothing_of_the_batch_stays(store: Store) -> None:
    """The error says that a retry is useless; the next batch is loaded as if nothing had been."""
    good = store.batch(1, span_request(0, 2), metric_request(0))
    tables = rows_of(good.parts)
    spans = tables["spans"]
    null_names = spans.set_column(spans.schema.get_field_index("name"), "name", pa.nulls(2, pa.string()))
    bad = LoadBatch(SPOOL, 1, [{**tables, "spans": null_names}], good.records)
    with pytest.raises(StoreRejectedError, match="name"):
        store.writer.load(bad)
    assert store.writer.position(SPOOL) == 0
    assert store.stored() == {"traces": 0, "metrics": 0, "logs": 0}
    for table in ("spans", "resources", "metrics", "texts"):
        assert store.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    store.writer.load(good)
    assert store.rows("SELECT count(*) FROM spans") == [(2,)]


def test_a_checkpoint_returns_the_positions_that_it_covers(store: Store) -> None:
    """What they cover is in the database file itself, without its log."""
    store.writer.load(store.batch(3, span_request(0, 3)))
    store.writer.load(store.batch(7, span_request(3, 1), spool=OTHER))
    assert store.writer.checkpoint() == {SPOOL: 3, OTHER: 7}
    log = store.folder / "t.duckdb.wal"
    assert not log.exists() or log.stat().st_size == 0


def test_a_question_that_is_older_than_the_last_load_does_not_hold_a_checkpoint_up(store: Store) -> None:
    """Else one question after the other would put every checkpoint off, and the spool would only grow."""
    store.writer.load(store.batch(5, span_request(0, 1), log_request(0, 1)))
    with store.store.cursor() as question:
        question.execute("BEGIN TRANSACTION READ ONLY")
        assert question.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
        store.writer.load(store.batch(9, span_request(1, 1), log_request(1, 1)))
        store.writer.retire(before_ns=T0 * 2)
        assert store.writer.checkpoint() == {SPOOL: 9}
        assert question.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
        question.rollback()
    assert store.stored() == {"traces": 2, "logs": 2, "metrics": 0}


def test_a_store_that_was_opened_again_completes_its_checkpoint_beside_a_question(tmp_path: Path) -> None:
    """The first checkpoint after a failure always has something to write, and keeps all positions."""
    store = Store(tmp_path)
    store.writer.load(store.batch(5, span_request(0, 1)))
    store.writer.load(store.batch(7, span_request(1, 1), spool=OTHER))
    store.store.connection.close()  # as after a failure: nobody gets a cursor any more
    assert store.writer.revive()
    with store.store.cursor() as question:
        question.execute("BEGIN TRANSACTION READ ONLY")
        question.execute("SELECT count(*) FROM spans").fetchall()
        store.writer.load(store.batch(8, span_request(2, 1), spool=OTHER))
        assert store.writer.checkpoint() == {SPOOL: 5, OTHER: 8}
        question.rollback()
    assert [store.writer.position(spool) for spool in (SPOOL, OTHER)] == [5, 8]
    store.close()


def test_what_a_store_lost_with_the_end_of_its_log_is_written_again(tmp_path: Path) -> None:
    """Resources, scopes, metrics and texts were there before it was opened again; rows that name them come once more."""
    store = Store(tmp_path)
    batch = store.batch(5, span_request(0, 1), log_request(0, 1), metric_request(0))
    store.writer.load(batch)
    store.store.connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    (tmp_path / "t.duckdb.wal").unlink()
    store.store.connection.close()  # as after a failure: nobody gets a cursor any more
    assert store.writer.revive()
    assert store.writer.position(SPOOL) == 0
    store.writer.load(batch)
    for table in ("resources", "scopes", "metrics", "texts"):
        kept = pa.concat_tables([part[table] for part in batch.parts if table in part])
        key = kept.column_names[0]
        ((count,),) = store.rows(f"SELECT count(DISTINCT {key}) FROM {table}")
        assert count == len(set(kept.column(key).to_pylist())) > 0, table
    store.close()


def test_the_name_of_a_store_is_on_disk_when_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must not take a new file away whose checkpoint the spool has relied upon."""
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        fsync(handle)
        synced.append((os.fstat(handle).st_ino, (tmp_path / "t.duckdb").exists()))

    monkeypatch.setattr(os, "fsync", noted)
    Store(tmp_path).close()
    assert (tmp_path.stat().st_ino, True) in synced


def test_texts_that_have_vectors_keep_them_and_unknown_texts_get_none(store: Store) -> None:
    """A worker that answers twice, or after retention, does no harm."""
    store.writer.load(store.batch(1, span_request(0)))
    ((text_id,),) = store.rows("SELECT text_id FROM texts")
    rows = [TextVectors(text_id, np.eye(2, 4, dtype=np.float32))]
    unknown = [TextVectors(UUID(int=99), np.eye(1, 4, dtype=np.float32))]
    store.writer.write_embeddings([*rows, *unknown], model="m")
    store.writer.write_embeddings(rows, model="m")
    store.writer.write_embeddings([], model="m")
    assert store.rows("SELECT text_id, chunk, model, vector FROM embeddings ORDER BY chunk") == [
        (text_id, 0, "m", [1.0, 0.0, 0.0, 0.0]),
        (text_id, 1, "m", [0.0, 1.0, 0.0, 0.0]),
    ]
    store.writer.write_embeddings(rows, model="another")
    assert store.rows("SELECT count(*) FROM embeddings") == [(4,)]


def test_vectors_that_make_no_table_leave_no_transaction_open(store: Store) -> None:
    """They are told at once, and the load after them works."""
    odd = [TextVectors(UUID(int=n), np.eye(1, 4 + n, dtype=np.float32)) for n in range(2)]
    with pytest.raises(ValueError, match="dimension"):
        store.writer.write_embeddings(odd, model="m")
    store.writer.load(store.batch(1, span_request(0)))
    assert store.rows("SELECT count(*) FROM spans") == [(1,)]


def test_vectors_may_replace_those_that_a_text_has(store: Store) -> None:
    """Code that brings a vector along means it, however fast the model was."""
    store.writer.load(store.batch(1, span_request(0)))
    ((text_id,),) = store.rows("SELECT text_id FROM texts")
    store.writer.write_embeddings([TextVectors(text_id, np.eye(2, 4, dtype=np.float32))], model="m")
    given = [TextVectors(text_id, np.eye(1, 4, 3, dtype=np.float32))]
    store.writer.write_embeddings(given, model="m", replace=True)
    assert store.rows("SELECT chunk, vector FROM embeddings") == [(0, [0.0, 0.0, 0.0, 1.0])]


@pytest.mark.parametrize("question", ["position", "age_at", "used_bytes"])
def test_vectors_are_written_after_the_writer_was_asked_something(store: Store, question: str) -> None:
    """A start asks for the position, and the texts that wait since the last run come right after it."""
    store.writer.load(store.batch(1, span_request(0)))
    ((text_id,),) = store.rows("SELECT text_id FROM texts")
    asked = {"position": (SPOOL,), "age_at": (0.5,), "used_bytes": ()}[question]
    getattr(store.writer, question)(*asked)
    store.writer.write_embeddings([TextVectors(text_id, np.eye(1, 4, dtype=np.float32))], model="m")
    assert store.rows("SELECT count(*) FROM embeddings") == [(1,)]


def test_retiring_deletes_what_ended_before_and_what_only_that_referred_to(store: Store) -> None:
    """Totals of stored stay; retired counts what went."""
    old = ExportRequest(
        Signal.TRACES, traces(make_span(0, start_time_unix_nano=5, end_time_unix_nano=6), service="old")
    )
    store.writer.load(store.batch(1, old, span_request(1), log_request(0), metric_request(0, 3)))
    retired = store.writer.retire(before_ns=T0)
    assert retired.records == {Signal.TRACES: 1, Signal.METRICS: 0, Signal.LOGS: 0}
    assert len(retired.text_ids) == 1
    assert store.rows("SELECT name FROM spans") == [("span 1",)]
    assert store.rows("SELECT service_name FROM resources WHERE service_name IS NOT NULL") == [("shop",)]
    assert store.rows("SELECT stored, retired FROM record_totals WHERE signal = 'traces'") == [(2, 1)]
    everything = store.writer.retire(before_ns=2**64 - 1)
    assert everything.records == {Signal.TRACES: 1, Signal.METRICS: 3, Signal.LOGS: 1}
    for table in ("spans", "logs", "metrics", "metric_points", "resources", "scopes", "texts"):
        assert store.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


def test_age_at_is_the_time_before_which_that_share_lies(store: Store) -> None:
    """It is None for an empty store and copes with times of 0 and 2^64-1."""
    assert store.writer.age_at(0.5) is None
    store.writer.load(store.batch(1, span_request(0, 100)))
    middle = store.writer.age_at(0.5)
    assert middle is not None
    assert abs(middle - (T0 + 1050)) < 2048  # found with doubles, which are 256 ns apart here
    ends = (0, 2**64 - 1)
    awkward = traces(
        *(make_span(n, start_time_unix_nano=0, end_time_unix_nano=end) for n, end in enumerate(ends))
    )
    store.writer.load(store.batch(2, ExportRequest(Signal.TRACES, awkward)))
    assert store.writer.age_at(0.5) is not None


def test_used_bytes_grow_with_what_is_stored(store: Store) -> None:
    """Retention by size looks at it."""
    before = store.writer.used_bytes()
    store.writer.load(store.batch(1, span_request(0, 20_000)))
    store.writer.checkpoint()
    assert store.writer.used_bytes() > before


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    """A new file gets all of them, a file of this version none."""
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        assert migrate(connection) == list(migrations())
        assert migrate(connection) == []
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() == (len(migrations()),)


def test_a_migration_for_new_files_leaves_records_of_an_older_file_alone(tmp_path: Path) -> None:
    """A new file names the compression of long texts; one of the schema before keeps its rows as they are."""
    plain = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'spans' AND sql ILIKE '%zstd%'"
    with duckdb.connect(str(tmp_path / "new.duckdb")) as connection:
        migrate(connection)
        assert connection.execute(plain).fetchone() == (1,)
    with duckdb.connect(str(tmp_path / "older.duckdb")) as connection:
        migrate(connection)
        connection.execute("DELETE FROM schema_migrations WHERE version > 3")
        connection.execute("CREATE OR REPLACE TABLE spans AS SELECT 'kept' AS name")
        assert migrate(connection) == [version for version in migrations() if version > 3]
        assert connection.execute("SELECT name FROM spans").fetchone() == ("kept",)


def test_a_file_of_a_newer_release_is_refused(store: Store) -> None:
    """It is not opened with a schema that this release does not know; the message says what to do."""
    store.store.connection.execute("INSERT INTO schema_migrations VALUES (9999, now())")
    with pytest.raises(StartError, match=r"9999.*newer"):
        migrate(store.store.connection)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one transaction: half of one is never seen."""
    monkeypatch.setattr(
        migrate_module,
        "migrations",
        lambda: {
            1: Migration("CREATE TABLE a (x INTEGER); CREATE TABLE a (x INTEGER);", for_new_files=False)
        },
    )
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        with pytest.raises(duckdb.Error):
            migrate(connection)
        assert connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'a'"
        ).fetchone() == (0,)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The receiver does not start, and the file is not touched."""
    (tmp_path / "t.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StartError, match="cannot be opened"):
        DuckDbStore.open(tmp_path / "t.duckdb", StoreConfig(), temp_directory=tmp_path / "tmp")
    assert (tmp_path / "t.duckdb").read_bytes() == b"not a database" * 1000
