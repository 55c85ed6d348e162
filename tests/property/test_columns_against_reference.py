"""Whatever valid requests say comes back from the store, field for field: columns against plain messages.

Both routes go through it: the Python one and, where it was built, the compiled one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from receiver.config import LimitsConfig, StoreConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import is_compiled
from receiver.ports import ExportRequest, LoadBatch, Outcome, Verdict
from receiver.signals import Signal
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from tests.support.decode_routes import open_route
from tests.support.otlp_strategies import REQUESTS
from tests.support.reference_rows import expected_rows, stored_rows

SPOOL = UUID(int=7)
TEMPORALITY = "metrics have no aggregation temporality"


class Way:
    """The way of a request from its bytes to its rows, without queue and spool."""

    def __init__(self, store: DuckDbStore, *, compiled: bool) -> None:
        """Build decoder, flattener and writer around a store."""
        self.store = store
        self._decoder, self._flattener = open_route(LimitsConfig(), NestedValues(), compiled=compiled)
        self._writer = DuckDbWriter(store)
        self._position = 0

    def store_group(self, signal: Signal, payloads: list[bytes]) -> list[Verdict]:
        """Decode the requests as one group, store what was accepted and return the verdicts."""
        decoded = self._decoder.decode([ExportRequest(signal, payload) for payload in payloads])
        verdicts = [verdict for verdict in decoded.verdicts if isinstance(verdict, Verdict)]
        records = sum(verdict.records for verdict in verdicts)
        assert records == sum(columns.records for columns in decoded.columns)
        self._position += 1
        self._writer.load(
            LoadBatch(SPOOL, self._position, self._flattener.parts(decoded.columns), {signal: records})
        )
        return verdicts

    def empty(self) -> None:
        """Forget all rows, and that they were there."""
        self._writer.close()
        for (table,) in self.store.connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if table not in ("record_totals", "schema_migrations"):
                self.store.connection.execute(f"DELETE FROM {table}")
        self.store.connection.execute("UPDATE record_totals SET stored = 0")
        self._writer = DuckDbWriter(self.store)

    def close(self) -> None:
        """Close what was opened."""
        self._flattener.close()
        self._writer.close()


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Way]]:
    """Return the ways into a real database file; every example starts with it emptied."""
    folder: Path = tmp_path_factory.mktemp("store")
    store = DuckDbStore.open(folder / "t.duckdb", StoreConfig(), temp_directory=folder / "tmp")
    ways = [Way(store, compiled=compiled) for compiled in ((False, True) if is_compiled() else (False,))]
    yield ways
    for way in ways:
        way.close()
    store.close()


def check(ways: list[Way], signal: Signal, groups: list[list[bytes]]) -> None:
    """Store the groups one after the other, each way, and compare every table with the reference."""
    expected = expected_rows(signal, [payload for group in groups for payload in group])
    records = sum(
        count
        for table, rows in expected.items()
        if table == "spans" or "points" in table or table == "logs"
        for count in rows.values()
    )
    for way in ways:
        way.empty()
        for payloads in groups:
            verdicts = way.store_group(signal, payloads)
            assert [v.payload for v in verdicts] == payloads
            for verdict in verdicts:
                assert verdict.outcome == Outcome() or TEMPORALITY in verdict.outcome.message
                assert verdict.outcome.rejected == 0
        found = stored_rows(way.store.connection)
        assert found.keys() == expected.keys()
        for table, rows in expected.items():
            assert found[table] == rows, table
        totals = way.store.connection.execute(
            "SELECT stored FROM record_totals WHERE signal = ?", [signal.value]
        ).fetchone()
        assert totals == (records,)


def groups_of(signal: Signal) -> st.SearchStrategy[list[list[bytes]]]:
    """Return one or two groups of a few requests each."""
    return st.lists(st.lists(REQUESTS[signal], min_size=1, max_size=3), min_size=1, max_size=2)


ORACLE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@ORACLE
@given(groups=groups_of(Signal.TRACES))
@example(groups=[[b""]])
def test_spans_come_back_as_the_reference_reads_them(ways: list[Way], groups: list[list[bytes]]) -> None:
    """Every field of every span, event and link is stored exactly (rule D12)."""
    check(ways, Signal.TRACES, groups)


@ORACLE
@given(groups=groups_of(Signal.LOGS))
@example(groups=[[b""]])
def test_logs_come_back_as_the_reference_reads_them(ways: list[Way], groups: list[list[bytes]]) -> None:
    """Every field of every log record, its body's type included, is stored exactly (rule D12)."""
    check(ways, Signal.LOGS, groups)


@ORACLE
@given(groups=groups_of(Signal.METRICS))
@example(groups=[[b""]])
def test_metrics_come_back_as_the_reference_reads_them(ways: list[Way], groups: list[list[bytes]]) -> None:
    """Every metric and every point of the five kinds is stored exactly, in its table (rule D12)."""
    check(ways, Signal.METRICS, groups)
