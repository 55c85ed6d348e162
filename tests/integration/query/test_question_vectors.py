"""Vectors of questions: made once while they are remembered, and searched with directly."""

from __future__ import annotations

import numpy as np
import pytest

from receiver.config import QueryConfig
from receiver.errors import InvalidFilterError
from receiver.query.service import QueryService
from receiver.questions import Filters
from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import StoreRows, WordEmbedder, index_of, trace


def service_of(
    rows: StoreRows, reader: DuckDbReader, embedder: WordEmbedder, *, remembered: int
) -> QueryService:
    """Return a service over what is stored."""
    return QueryService(
        reader,
        embedder=embedder,
        index=index_of(rows),
        config=QueryConfig(question_cache=remembered, threshold=-1.0),
        prepare=str,
    )


@pytest.mark.parametrize(
    ("remembered", "expected"),
    [(2, 4), (3, 3), (0, 6)],
)
async def test_a_question_that_is_remembered_is_not_embedded_again(
    rows: StoreRows, reader: DuckDbReader, remembered: int, expected: int
) -> None:
    """The one that was asked longest ago goes first; asking again keeps it; 0 remembers none."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="payment failed")
    embedder = WordEmbedder()
    service = service_of(rows, reader, embedder, remembered=remembered)
    for question in ("a", "b", "a", "c", "a", "b"):
        assert (await service.search(question)).mode == "meaning"
    assert len(embedder.asked_urgently) == expected


async def test_a_vector_finds_what_is_near_it(rows: StoreRows, reader: DuckDbReader) -> None:
    """With the filters, limit and threshold of a question in words."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, text="payment failed")
    rows.span(trace(2), 2, resource_id=rows.resource("bank"), text="payment failed again")
    embedder = WordEmbedder()
    service = service_of(rows, reader, embedder, remembered=10)
    ((vector,),) = await embedder.embed(["payment failed"])
    vector = np.asarray(vector, dtype=np.float32)
    found = await service.search_vector(vector, limit=5, threshold=0.9)
    assert [row["trace_id"] for row in found] == [trace(1).hex]
    found = await service.search_vector(vector, Filters(service="bank"), limit=5, threshold=0.1)
    assert [row["trace_id"] for row in found] == [trace(2).hex]
    assert len(await service.search_vector(vector, limit=1)) == 1
    with pytest.raises(InvalidFilterError, match="limit"):
        await service.search_vector(vector, limit=0)
