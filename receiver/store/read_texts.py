"""Texts and vectors, for the embedding side: what is pending, what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa

from receiver.ports import PendingText
from receiver.questions import VectorBatch
from receiver.store.commits import Commits

_WITHOUT_VECTOR = "FROM texts t ANTI JOIN (SELECT text_id FROM embeddings WHERE model = ?) e USING (text_id)"


def pending_texts(cursor: duckdb.DuckDBPyConnection, model: str, limit: int) -> list[PendingText]:
    """Return distinct texts without a vector of this model, the oldest rows first, of at most ``limit`` rows."""
    # The few are made distinct here: in the store all that wait would be grouped for them, four times the time.
    rows = cursor.execute(
        f"SELECT t.text_id, t.model_text {_WITHOUT_VECTOR} ORDER BY t.rowid LIMIT ?", [model, limit]
    ).fetchall()
    return [PendingText(text_id, model_text) for text_id, model_text in dict(rows).items()]


def count_texts(cursor: duckdb.DuckDBPyConnection, model: str) -> tuple[int, int]:
    """Return how many distinct texts have a vector of this model, and how many wait for one; reads all of them."""
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


@dataclass(frozen=True, slots=True)
class _Counted:
    state: tuple[str, int, int, int]
    commit: int | None
    """The number of the last commit, which they know of; None: there was another one meanwhile."""
    counts: tuple[int, int]


class TextCounts:
    """Counts texts again only when there are others: every search tells how many wait. Threads: any.

    Rows of texts and vectors are only added, or deleted by retention, which counts what it retires; vectors that
    are replaced stay those of the same texts. So the same numbers mean the same texts.
    """

    def __init__(self, commits: Commits | None = None) -> None:
        """Nothing was counted yet; ``commits`` tells when there is nothing to ask the store for."""
        self._commits = commits
        self._last: _Counted | None = None

    def known(self, model: str) -> tuple[int, int] | None:
        """Return :func:`count_texts` if nothing was committed since they were counted."""
        last = self._last
        if self._commits is None or last is None or last.commit is None or last.state[0] != model:
            return None
        return last.counts if last.commit == self._commits.count else None

    def counts(self, cursor: duckdb.DuckDBPyConnection, model: str) -> tuple[int, int]:
        """Return :func:`count_texts`."""
        before = self._commits.count if self._commits else None
        row = cursor.execute(
            "SELECT (SELECT count(*) FROM texts), (SELECT count(*) FROM embeddings),"
            " (SELECT coalesce(sum(retired), 0)::UBIGINT FROM record_totals)"
        ).fetchone() or (0, 0, 0)
        state = (model, *row)
        last = self._last
        if last is None or last.state != state:
            last = _Counted(state, None, count_texts(cursor, model))
        is_sure = before is not None and self._commits is not None and self._commits.count == before
        self._last = replace(last, commit=before if is_sure else None)
        return last.counts
