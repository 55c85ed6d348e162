"""Rules of the backlog of texts without vectors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.config import EmbedConfig
from receiver.embed import backlog as backlog_module
from receiver.embed.backlog import MAX_FAILURES, EmbeddingBacklog
from receiver.embed.index import VectorIndex
from receiver.errors import EmbeddingUnavailableError, StoreUnavailableError
from receiver.ports import PendingText, TextVectors
from receiver.telemetry.metrics import Metrics
from tests.support.hashing_embedder import HashingEmbedder


class _Texts:
    """Texts as a store holds them: pending until their vectors were written."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts: dict[UUID, str] = {}
        self.vectors: dict[UUID, TextVectors] = {}
        self.read_failures = 0
        self.write_failures = 0
        self.add(texts)

    def add(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.texts[UUID(int=len(self.texts) + 1)] = text

    async def fetch(self, limit: int) -> list[PendingText]:
        if self.read_failures:
            self.read_failures -= 1
            raise StoreUnavailableError("the store is not open yet", retry_after_s=0.001)
        pending = [PendingText(i, text) for i, text in self.texts.items() if i not in self.vectors]
        return pending[:limit]

    async def write(self, rows: Sequence[TextVectors]) -> None:
        if self.write_failures:
            self.write_failures -= 1
            raise StoreUnavailableError("out of space", retry_after_s=0.001)
        self.vectors.update({row.text_id: row for row in rows})

    async def count(self) -> int:
        return len(self.texts) - len(self.vectors)


@pytest.fixture(autouse=True)
def _short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "FIRST_BACK_OFF_S", 0.001)
    monkeypatch.setattr(backlog_module, "MAX_BACK_OFF_S", 0.002)


@asynccontextmanager
async def _running(
    texts: _Texts, embedder: HashingEmbedder, metrics: Metrics | None = None, **settings: int
) -> AsyncIterator[tuple[EmbeddingBacklog, VectorIndex]]:
    index = VectorIndex(None, embedder.dimension, embedder.model)
    backlog = EmbeddingBacklog(
        embedder,
        fetch=texts.fetch,
        write=texts.write,
        count=texts.count,
        index=index,
        metrics=metrics or Metrics(),
        config=EmbedConfig.model_validate({"batch_texts": 4, "queue_texts": 16} | settings),
    )
    backlog.start()
    try:
        yield backlog, index
    finally:
        await backlog.close()


async def test_what_is_pending_at_the_start_gets_vectors() -> None:
    """Texts from before the last stop are embedded without anyone asking."""
    texts, embedder, metrics = _Texts([f"text {n}" for n in range(50)]), HashingEmbedder(), Metrics()
    async with _running(texts, embedder, metrics, workers=2) as (backlog, index):
        await backlog.wait_idle()
        assert len(texts.vectors) == len(index) == 50
        assert backlog.pending == 0
        assert max(len(batch) for batch in embedder.batches) <= 4
    assert b"otlp_receiver_embedded_texts_total 50.0" in metrics.render()


async def test_new_texts_are_embedded_after_a_wake() -> None:
    """The loader's word is enough: nothing polls."""
    stored = asyncio.Event()

    class _Told(_Texts):
        async def write(self, rows: Sequence[TextVectors]) -> None:
            await super().write(rows)
            stored.set()

    texts = _Told([])
    async with _running(texts, HashingEmbedder()) as (backlog, _):
        await backlog.wait_idle()
        texts.add(["payment was declined"])
        await asyncio.to_thread(backlog.wake)
        await stored.wait()
    assert len(texts.vectors) == 1


async def test_the_index_finds_what_was_embedded() -> None:
    """A text is searchable as soon as it is not pending any more."""
    texts, embedder = _Texts(["payment declined", "cart is empty"]), HashingEmbedder()
    async with _running(texts, embedder) as (backlog, index):
        await backlog.wait_idle()
        (question,) = await embedder.embed(["payment declined why"])
        assert index.search(question, 1)[0][0] == UUID(int=1)


async def test_an_outage_loses_nothing_and_sets_no_text_aside() -> None:
    """While no worker can embed everything stays pending; when one can, everything is embedded."""
    texts, embedder, metrics = _Texts([f"text {n}" for n in range(10)]), HashingEmbedder(), Metrics()
    embedder.outage = True
    async with _running(texts, embedder, metrics) as (backlog, _):
        with pytest.raises(EmbeddingUnavailableError, match="no worker"):
            await backlog.wait_idle()
        assert len(embedder.batches) >= MAX_FAILURES
        assert (len(texts.vectors), backlog.set_aside) == (0, 0)
        embedder.outage = False
        await backlog.wait_idle()
        assert len(texts.vectors) == 10
    assert b"otlp_receiver_embed_errors_total" in metrics.render()


@pytest.mark.parametrize("place", ["read_failures", "write_failures"])
async def test_a_store_that_fails_for_a_while_is_tried_again(place: str) -> None:
    """Vectors that could not be written are made and written again."""
    texts = _Texts(["one", "two"])
    setattr(texts, place, 2)
    async with _running(texts, HashingEmbedder()) as (backlog, index):
        await backlog.wait_idle()
        assert len(texts.vectors) == len(index) == 2


async def test_a_text_that_always_fails_does_not_block_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its neighbours are embedded, it is tried alone three times, logged and left alone; waiting says so."""
    texts, embedder = _Texts([f"text {n}" for n in range(10)]), HashingEmbedder()
    embedder.poison = {"text 3"}
    async with _running(texts, embedder) as (backlog, _):
        with pytest.raises(EmbeddingUnavailableError, match="1 texts"):
            await backlog.wait_idle()
        assert len(texts.vectors) == 9
        assert UUID(int=4) not in texts.vectors
        assert embedder.batches.count(["text 3"]) == MAX_FAILURES
        assert (backlog.set_aside, backlog.pending) == (1, 1)
        assert str(UUID(int=4)) in caplog.text
        texts.add(["a later text"])
        with pytest.raises(EmbeddingUnavailableError):
            await backlog.wait_idle()
        assert len(texts.vectors) == 10
        assert embedder.batches.count(["text 3"]) == MAX_FAILURES


async def test_batches_are_written_together_and_one_that_fails_does_not_hold_the_others() -> None:
    """Four batches go to the store in one write; of a batch with a text that fails the texts come later, alone."""
    written: list[int] = []

    class _Counted(_Texts):
        async def write(self, rows: Sequence[TextVectors]) -> None:
            await super().write(rows)
            written.append(len(rows))

    texts, embedder = _Counted([f"text {n}" for n in range(16)]), HashingEmbedder()
    embedder.poison = {"text 5"}
    async with _running(texts, embedder) as (backlog, index):
        with pytest.raises(EmbeddingUnavailableError, match="1 texts"):
            await backlog.wait_idle()
        assert written == [12, 1, 1, 1]
        assert len(texts.vectors) == len(index) == 15


async def test_an_answer_with_too_few_vectors_does_not_end_the_backlog() -> None:
    """Which text each vector is of cannot be told, so the texts are tried alone."""

    class _Forgetful(HashingEmbedder):
        async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> list[NDArray[np.float32]]:
            return (await super().embed(texts, urgent=urgent))[: max(len(texts) - 1, 1)]

    texts = _Texts([f"text {n}" for n in range(7)])
    async with _running(texts, _Forgetful()) as (backlog, _):
        await backlog.wait_idle()
        assert len(texts.vectors) == 7


async def test_more_texts_set_aside_than_the_queue_holds_do_not_block_the_others() -> None:
    """Texts that are set aside are fetched again and must not fill the place of those that can be embedded."""
    texts, embedder = _Texts([f"bad {n}" for n in range(20)]), HashingEmbedder()
    embedder.poison = set(texts.texts.values())
    texts.add(["good"])
    async with _running(texts, embedder, queue_texts=4, batch_texts=2) as (backlog, _):
        with pytest.raises(EmbeddingUnavailableError, match="20 texts"):
            await backlog.wait_idle()
        assert [row.text_id for row in texts.vectors.values()] == [UUID(int=21)]


async def test_close_tells_those_who_wait() -> None:
    """Nobody waits for ever: a stop ends the waiting with a reason, and what was pending stays pending."""
    asked = asyncio.Event()

    class _NeverReady(_Texts):
        async def write(self, rows: Sequence[TextVectors]) -> None:
            asked.set()
            await asyncio.Event().wait()
            await super().write(rows)

    texts = _NeverReady(["one"])
    async with _running(texts, HashingEmbedder()) as (backlog, _):
        waiting = asyncio.create_task(backlog.wait_idle())
        await asked.wait()
        await asyncio.wait_for(backlog.close(), 10)
        with pytest.raises(EmbeddingUnavailableError, match="stopping"):
            await waiting
    with pytest.raises(EmbeddingUnavailableError, match="not being worked on"):
        await backlog.wait_idle()
    assert await backlog.count_pending() == 1
