"""docs/schema.md describes the database that the migrations make: every table, column and type."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from receiver.store.migrate import migrate

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"
_COLUMN = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$")


def documented() -> dict[str, list[tuple[str, str]]]:
    """Return the columns and types of each table on the page, in their order."""
    tables: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            name = ""
        elif line.startswith("### "):
            name = line.removeprefix("### ")
            tables[name] = []
        elif (match := _COLUMN.match(line)) and name:
            tables[name].append((match[1], match[2]))
    return tables


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    """Return a database with the newest schema."""
    connection = duckdb.connect()
    migrate(connection)
    return connection


def test_every_table_and_column_is_described_with_its_type(connection: duckdb.DuckDBPyConnection) -> None:
    """The page and the database say the same, in the same order."""
    actual: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() JOIN duckdb_tables() USING (table_name)"
        " WHERE NOT duckdb_tables.internal ORDER BY table_name, column_index"
    ).fetchall():
        actual.setdefault(table, []).append((column, kind))
    assert documented() == actual


def test_every_view_is_named(connection: duckdb.DuckDBPyConnection) -> None:
    """Who looks for a view finds what it shows."""
    views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    text = PAGE.read_text().split("## Views")[1]
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == sorted(name for (name,) in views)
