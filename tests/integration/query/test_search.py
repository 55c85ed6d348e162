"""Search: by meaning where there are vectors, by words where not, grouped by trace, filtered before it is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.config import QueryConfig
from receiver.errors import EmbeddingUnavailableError, InvalidFilterError
from receiver.query.service import QueryService
from receiver.questions import Filters
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import T0, ExactIndex, S, StoreRows, WordEmbedder, index_of, trace

MakeService = Callable[..., QueryService]


@pytest.fixture
def service(rows: StoreRows, reader: DuckDbReader) -> MakeService:
    """Give a maker of services: the index is of the vectors that are there when it is called."""

    def make(*, embedder: WordEmbedder | None = None, index: ExactIndex | None = None) -> QueryService:
        return QueryService(
            reader,
            embedder=embedder or WordEmbedder(),
            index=index or index_of(rows),
            config=QueryConfig(),
            prepare=str.lower,
        )

    return make


async def test_the_best_record_of_each_trace_is_found_most_similar_first(
    rows: StoreRows, service: MakeService
) -> None:
    """One result per trace, with how many of its records fit."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, text="card payment declined")
    rows.span(trace(1), 2, resource_id=shop, text="payment")
    rows.span(trace(2), 3, resource_id=shop, text="payment page shown to the customer")
    rows.span(trace(3), 4, resource_id=shop, text="list all products")
    embedder = WordEmbedder()
    found = await service(embedder=embedder).search("Payment declined")
    assert [result["trace_id"] for result in found.results] == [trace(1).hex, trace(2).hex]
    best = found.results[0]
    assert (best["span_id"], best["matches"], best["text"]) == (f"{1:016x}", 2, "card payment declined")
    assert best["similarity"] == pytest.approx(2 / np.sqrt(6), abs=1e-5)
    assert best["why"] == "has payment, declined: card payment declined"
    assert (found.mode, found.note, found.pending) == ("meaning", None, 0)
    assert embedder.asked_urgently == [True]


async def test_of_records_with_one_text_the_newest_come_first(rows: StoreRows, service: MakeService) -> None:
    """Equal similarity is ordered by time, and one trace with many of them hides no other."""
    shop = rows.resource("shop")
    for number in range(1, 40):
        rows.span(trace(9), number, resource_id=shop, start=T0 + 99 * S, text="charge card")
    for number in (1, 2, 3):
        rows.span(trace(number), 1, resource_id=shop, start=T0 + number * S, text="charge card")
    found = await service().search("charge card", limit=3)
    assert [result["trace_id"] for result in found.results] == [trace(9).hex, trace(3).hex, trace(2).hex]
    assert found.results[0]["matches"] == 39


async def test_a_log_record_is_found_like_a_span(rows: StoreRows, service: MakeService) -> None:
    """A log of a trace stands for the trace; logs without a trace are grouped by their text."""
    shop = rows.resource("shop")
    rows.log("disk is full", resource_id=shop, trace_id=trace(1), span_id=1, severity=17)
    for place in range(3):
        rows.log("disk is nearly full", resource_id=shop, time=T0 + place)
    found = (await service().search("disk full")).results
    assert [(row["signal"], row["trace_id"], row["matches"]) for row in found] == [
        ("logs", trace(1).hex, 1),
        ("logs", None, 3),
    ]
    assert (found[0]["status"], found[0]["body"], found[0]["duration_ms"]) == ("error", "disk is full", None)
    assert found[1]["time_unix_nano"] == str(T0 + 2)


async def test_the_threshold_hides_what_is_less_similar(rows: StoreRows, service: MakeService) -> None:
    """The configured threshold holds unless another is asked for."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="one two three four")
    asking = service()
    assert len((await asking.search("one", threshold=0.49)).results) == 1
    assert (await asking.search("one", threshold=0.51)).results == []
    assert (await asking.search("nothing alike")).results == []
    assert len((await asking.search("nothing alike", threshold=0.0)).results) == 1


async def test_filters_are_applied_before_the_results_are_cut(rows: StoreRows, service: MakeService) -> None:
    """Behind 300 better texts of another service the one that passes is still found."""
    bank, shop = rows.resource("bank"), rows.resource("shop")
    for number in range(300):
        rows.span(trace(1000 + number), 1, resource_id=bank, text=f"charge card n{number}")
    rows.span(trace(1), 1, resource_id=shop, text="charge the card of the customer again and again")
    found = await service().search("charge card", Filters(service="shop"), limit=5, threshold=0.0)
    assert [result["trace_id"] for result in found.results] == [trace(1).hex]


async def test_a_signal_can_be_asked_for(rows: StoreRows, service: MakeService) -> None:
    """Only logs, or only spans; metrics are not searched."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, text="order placed")
    rows.log("order placed", resource_id=shop, trace_id=trace(2))
    asking = service()
    for signal, number in ((Signal.TRACES, 1), (Signal.LOGS, 2)):
        found = await asking.search("order placed", Filters(signal=signal))
        assert [result["trace_id"] for result in found.results] == [trace(number).hex]
    with pytest.raises(InvalidFilterError):
        await asking.search("order", Filters(signal=Signal.METRICS))


async def test_texts_without_a_vector_are_reported(rows: StoreRows, service: MakeService) -> None:
    """A search that cannot see everything says so."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, text="order placed")
    rows.span(trace(2), 1, resource_id=shop, text="order cancelled", embedded=False)
    found = await service().search("order")
    assert (len(found.results), found.pending) == (1, 1)
    assert found.note is not None
    assert "1 texts have no vector yet" in found.note


class BrokenEmbedder(WordEmbedder):
    """An embedder whose worker is down."""

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> list[NDArray[np.float32]]:
        """Fail as the real one does."""
        raise EmbeddingUnavailableError(f"the worker is down; {len(texts)} wait, urgent: {urgent}")


@pytest.mark.parametrize("embedder", [WordEmbedder(available=False), BrokenEmbedder()], ids=["off", "down"])
async def test_without_a_model_words_are_matched_and_the_answer_says_so(
    rows: StoreRows, service: MakeService, embedder: WordEmbedder
) -> None:
    """The share of the words found is the similarity, whatever their case."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, text="Card PAYMENT declined")
    rows.span(trace(2), 1, resource_id=shop, name="payment")
    rows.span(trace(3), 1, resource_id=shop, name="other")
    rows.log("order 12345678: payment declined", resource_id=shop, trace_id=trace(4))
    found = await service(embedder=embedder).search("why was the payment declined?")
    assert found.mode == "text"
    assert found.note is not None
    assert "matched by words" in found.note
    assert {(row["trace_id"], row["similarity"]) for row in found.results} == {
        (trace(1).hex, 1.0),
        (trace(4).hex, 1.0),
        (trace(2).hex, 0.5),
    }


async def test_an_empty_index_falls_back_to_words(rows: StoreRows, service: MakeService) -> None:
    """Before the first vector is made a search still finds."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="card declined", embedded=False)
    found = await service().search("card", Filters(service="shop"))
    assert (found.mode, len(found.results), found.pending) == ("text", 1, 1)
    assert (await service().search("card", Filters(service="bank"))).results == []


@pytest.mark.parametrize("question", ["", "   ", "x" * 5000])
async def test_an_empty_or_endless_question_is_refused(service: MakeService, question: str) -> None:
    """There is nothing to look for, or too much."""
    with pytest.raises(InvalidFilterError):
        await service().search(question)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_range_is_refused(service: MakeService, limit: int) -> None:
    """The configured bound is named."""
    with pytest.raises(InvalidFilterError, match="1000"):
        await service().search("x", limit=limit)


async def test_a_text_that_looks_like_sql_is_only_a_text(rows: StoreRows, service: MakeService) -> None:
    """Words of a question are parameters, quotes and percent signs included."""
    rows.span(
        trace(1), 1, resource_id=rows.resource("shop"), text="50% off '; DROP TABLE spans; --", embedded=False
    )
    found = await service().search("'; DROP TABLE spans; -- 50%")
    assert len(found.results) == 1
    assert rows.connection.execute("SELECT count(*) FROM spans").fetchall() == [(1,)]
