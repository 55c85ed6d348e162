"""A real DuckDB file and a reader of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import StoreRows


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[StoreRows]:
    """Give an empty store that can be filled."""
    store = StoreRows(tmp_path / "telemetry.duckdb")
    store.scope()
    yield store
    store.close()


@pytest.fixture
def reader(rows: StoreRows) -> Iterator[DuckDbReader]:
    """Give a reader of the same instance."""
    opened = DuckDbReader(rows.cursor, readers=2, timeout_s=30)
    yield opened
    opened.close()
