"""Vectors of texts as rows of the table ``embeddings``."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from receiver.ports import TextVectors
from receiver.store.arrow_rows import INPUT_ROWS, offer_rows


def insert_vectors(
    connection: duckdb.DuckDBPyConnection, vectors: pa.Table, *, model: str, replace: bool
) -> None:
    """Insert, in the transaction in hand; texts that have some of this model keep them, texts that are gone get none.

    Args:
        connection: Is in a transaction, after which the caller calls ``forget_rows``.
        vectors: Of :func:`vector_table`.
        model: Identity of what made them.
        replace: They stand in the place of those that a text has.

    Raises:
        duckdb.Error: The transaction has failed.
    """
    offer_rows(connection, vectors)
    if replace:
        connection.execute(
            f"DELETE FROM embeddings WHERE model = ? AND text_id IN (SELECT text_id FROM {INPUT_ROWS})",
            [model],
        )
    # With IN and NOT IN all vectors that are there would be put into a hash table: four times the time.
    connection.execute(
        f"INSERT INTO embeddings SELECT i.text_id, i.chunk, ?, i.vector FROM {INPUT_ROWS} i"
        " SEMI JOIN texts USING (text_id)"
        " ANTI JOIN (SELECT text_id FROM embeddings WHERE model = ?) e USING (text_id)",
        [model, model],
    )


def vector_table(rows: Sequence[TextVectors]) -> pa.Table:
    """Return the vectors of at least one text, all of one length, for :func:`insert_vectors`."""
    ids = pa.array([row.text_id.bytes for row in rows for _ in row.vectors], pa.binary(16))
    chunks = np.concatenate([np.arange(len(row.vectors), dtype=np.uint16) for row in rows])
    vectors = np.concatenate([row.vectors for row in rows]).astype(np.float32, copy=False)
    return pa.table(
        {
            "text_id": pa.ExtensionArray.from_storage(pa.uuid(), ids),
            "chunk": pa.array(chunks),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
        }
    )
