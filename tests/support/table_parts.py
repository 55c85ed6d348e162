"""The parts that a flattener yields, as whole tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa


def rows_of(parts: Iterable[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Return all rows by table name; what stands in several parts is there as often."""
    found: dict[str, list[pa.Table]] = {}
    for tables in parts:
        for name, table in tables.items():
            found.setdefault(name, []).append(table)
    return {
        name: pa.concat_tables([table.select(tables[0].schema.names) for table in tables])
        for name, tables in found.items()
    }
