"""One table of records as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from receiver.otlp.json_records import TABLE_KEY
from receiver.questions import RecordTable

_ROW_GROUP = 65_536


def write_parquet(
    path: Path, table: RecordTable, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> int:
    """Return how many records are in the file once it is complete. Threads: any; blocks."""
    rows = 0
    waiting: list[pa.RecordBatch] = []
    described = schema.with_metadata({TABLE_KEY: table.value.encode()})
    with pq.ParquetWriter(path, described, compression="zstd") as writer:
        for batch in batches:
            waiting.append(batch)
            rows += batch.num_rows
            if sum(each.num_rows for each in waiting) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema).cast(described))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema).cast(described))
    return rows
