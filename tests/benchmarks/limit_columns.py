"""What the storage engine can do with rows that are ready: Arrow tables into DuckDB, as the receiver's writer does.

    python -m tests.benchmarks.limit_columns --signal traces --payload realistic

The rows are what decoder and flattener make of fresh requests of the payload, with new ids for each row. They go
through ``DuckDbWriter`` into a new file with the default settings, in transactions of several sizes; checkpoints
are completed as often as the loader does it, and once at the end, and count. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from receiver.config import Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.identifiers import uuids
from receiver.decode.nested_values import NestedValues
from receiver.ports import ExportRequest, LoadBatch
from receiver.signals import Signal
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from tests.benchmarks.payload import PAYLOADS, pool_of
from tests.benchmarks.template import Chance
from tests.support.table_parts import rows_of

COMMIT_ROWS = (16_384, 61_440, 122_880, 245_760)
_PART_REQUESTS, _REQUEST_RECORDS = 8, 512
_PART_ROWS = _PART_REQUESTS * _REQUEST_RECORDS  # all commit sizes are multiples of it
_KEYS = {"resources": "resource_id", "scopes": "scope_id", "metrics": "metric_id", "texts": "text_id"}


@dataclass(frozen=True)
class Part:
    """The rows of some requests, by table."""

    tables: dict[str, pa.Table]
    payload_bytes: int


def parts_of(signal: Signal, payload: str, rows: int, capture: Path | None = None) -> list[Part]:
    """Return parts of ``_PART_ROWS`` records each, ``rows`` records together."""
    pool, chance = pool_of(payload, signal, records=_REQUEST_RECORDS, capture=capture), Chance()
    nested = NestedValues()
    decoder, flattener = ColumnDecoder(Settings().limits, nested), ColumnFlattener(nested)
    parts = []
    try:
        for first in range(0, rows // _REQUEST_RECORDS, _PART_REQUESTS):
            numbers = range(first, first + _PART_REQUESTS)
            bodies = [pool[n % len(pool)].fresh(time.time_ns(), chance) for n in numbers]
            columns = decoder.decode([ExportRequest(signal, body) for body in bodies]).columns
            parts.append(Part(rows_of(flattener.parts(list(columns))), sum(map(len, bodies))))
    finally:
        flattener.close()
    return parts


def rows_per_second(
    signal: Signal, parts: Sequence[Part], commit_rows: int, total_rows: int, folder: Path
) -> tuple[float, int]:
    """Return records a second into a new file, and how many checkpoints there were."""
    settings = Settings()
    took, since, checkpoints, unsaved = 0.0, 0.0, 0, 0
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = DuckDbStore.open(
            Path(name, "telemetry.duckdb"), settings.store, temp_directory=Path(name, "tmp")
        )
        try:
            writer, spool = DuckDbWriter(store), uuid4()
            for position, commit in enumerate(_commits(parts, commit_rows, total_rows), 1):
                tables = {
                    name: _with_new_ids(table) for name, table in _joined([p.tables for p in commit]).items()
                }
                started = time.perf_counter()
                writer.load(LoadBatch(spool, position, [tables], {signal: commit_rows}))
                unsaved += sum(part.payload_bytes for part in commit)
                took += time.perf_counter() - started
                if (
                    unsaved >= settings.store.checkpoint_bytes
                    or took - since >= settings.store.checkpoint_interval_s
                ):
                    took += _checkpoint(writer)
                    since, unsaved, checkpoints = took, 0, checkpoints + 1
            took += _checkpoint(writer)
            writer.close()
        finally:
            store.close()
    return total_rows / took, checkpoints + 1


def _checkpoint(writer: DuckDbWriter) -> float:
    started = time.perf_counter()
    writer.checkpoint()
    return time.perf_counter() - started


def _commits(parts: Sequence[Part], commit_rows: int, total_rows: int) -> Iterator[list[Part]]:
    size, number = commit_rows // _PART_ROWS, 0
    for _ in range(total_rows // commit_rows):
        yield [parts[(number + place) % len(parts)] for place in range(size)]
        number += size


def _joined(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Return one table of each name; what a store holds once is in it once."""
    tables = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        table = pa.concat_tables([part[name] for part in parts if name in part])
        tables[name] = _distinct(table, _KEYS[name]) if name in _KEYS else table
    return tables


def _distinct(table: pa.Table, key: str) -> pa.Table:
    first = {value: row for row, value in reversed(list(enumerate(table.column(key).to_pylist())))}
    return table.take(pa.array(sorted(first.values())))


def _with_new_ids(table: pa.Table) -> pa.Table:
    """Return the rows with random ids: ids that come again would compress, and theirs never do."""
    for name, width in (("trace_id", 16), ("span_id", 8)):
        if name in table.column_names:
            place = table.column_names.index(name)
            field = table.schema.field(name)
            random = os.urandom(width * len(table))
            values = pa.array(np.frombuffer(random, np.uint64)) if width == 8 else uuids(random, len(table))
            table = table.set_column(place, field, values)
    return table


def measured(
    signal: Signal, payload: str, rows: int, folder: Path, capture: Path | None
) -> dict[str, object]:
    """Return the rates of all commit sizes and the best of them."""
    parts = parts_of(signal, payload, COMMIT_ROWS[-1], capture)
    rates = {}
    for commit_rows in COMMIT_ROWS:
        rate, checkpoints = rows_per_second(signal, parts, commit_rows, rows, folder)
        rates[commit_rows] = {"rows_per_s": round(rate), "checkpoints": checkpoints}
    best = max(rates, key=lambda size: rates[size]["rows_per_s"])
    return {
        "signal": signal.value,
        "payload": payload,
        "rows": rows,
        "by_commit_rows": rates,
        "best_commit_rows": best,
        "best_rows_per_s": rates[best]["rows_per_s"],
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--signal", choices=[signal.value for signal in Signal], default=Signal.TRACES.value)
    parser.add_argument("--payload", choices=PAYLOADS, default="realistic")
    parser.add_argument("--capture", type=Path, help="OTLP/JSON lines for the payload demo")
    parser.add_argument("--rows", type=int, default=4 * COMMIT_ROWS[-1])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made")
    options = parser.parse_args()
    rows = -(-options.rows // COMMIT_ROWS[-1]) * COMMIT_ROWS[-1]
    print(
        json.dumps(measured(Signal(options.signal), options.payload, rows, options.folder, options.capture))
    )


if __name__ == "__main__":
    main()
