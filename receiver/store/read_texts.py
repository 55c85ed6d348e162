"""Texts and vectors, for the embedding side: what is pending, what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa

from receiver.ports import PendingText
from receiver.questions import VectorBatch

_WITHOUT_VECTOR = "FROM texts t ANTI JOIN (SELECT text_id FROM embeddings WHERE model = ?) e USING (text_id)"


def pending_texts(cursor: duckdb.DuckDBPyConnection, model: str, limit: int) -> list[PendingText]:
    """Return distinct texts without a vector of this model, the oldest rows first."""
    rows = cursor.execute(
        f"SELECT t.text_id, any_value(t.model_text) {_WITHOUT_VECTOR}"
        " GROUP BY t.text_id ORDER BY min(t.rowid) LIMIT ?",
        [model, limit],
    ).fetchall()
    return [PendingText(text_id, model_text) for text_id, model_text in rows]


def count_texts(cursor: duckdb.DuckDBPyConnection, model: str) -> tuple[int, int]:
    """Return how many distinct texts have a vector of this model, and how many wait for one."""
    pending = cursor.execute(f"SELECT count(DISTINCT t.text_id) {_WITHOUT_VECTOR}", [model]).fetchone()
    ready = cursor.execute(
        "SELECT count(DISTINCT text_id) FROM embeddings WHERE model = ?", [model]
    ).fetchone()
    return (int(ready[0]) if ready else 0, int(pending[0]) if pending else 0)


def vector_batches(cursor: duckdb.DuckDBPyConnection, model: str, batch_rows: int) -> Iterator[VectorBatch]:
    """Yield every vector of this model as columns."""
    reader = cursor.sql(
        "SELECT text_id::VARCHAR AS text_id, chunk, vector FROM embeddings WHERE model = ?", params=[model]
    ).to_arrow_reader(batch_rows)
    for batch in cast("Iterable[pa.RecordBatch]", reader):
        if not batch.num_rows:
            continue
        ids = [UUID(text) for text in batch.column(0).to_pylist()]
        flat = batch.column(2).flatten().to_numpy(zero_copy_only=False)
        yield VectorBatch(
            text_ids=ids,
            chunks=batch.column(1).to_numpy(zero_copy_only=False),
            vectors=np.asarray(flat, dtype=np.float32).reshape(batch.num_rows, -1),
        )
