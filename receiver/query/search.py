"""Search: the records that mean what a question says, or have its words where there are no vectors."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from receiver.config import QueryConfig
from receiver.errors import EmbeddingFailedError, EmbeddingUnavailableError, InvalidFilterError
from receiver.ports import Embedder, Rows
from receiver.query.reasons import reason, words_of
from receiver.questions import Filters, NearTexts, StoreReader, VectorIndex
from receiver.signals import Signal

_MOST_WORDS = 16
_LONGEST_QUESTION = 4096


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found, and how."""

    results: Rows
    mode: str
    """``meaning`` by vectors, ``text`` by words, ``none`` for an empty question."""
    threshold: float | None
    pending: int
    """Distinct texts that have no vector yet and cannot be found by meaning."""
    note: str | None = None


class Search:
    """Finds records by a question or a vector. Threads: one event loop; nothing here blocks it."""

    def __init__(
        self,
        reader: StoreReader,
        *,
        embedder: Embedder,
        index: VectorIndex,
        config: QueryConfig,
        prepare: Callable[[str], str],
    ) -> None:
        """Keep what is asked; see :class:`receiver.query.service.QueryService`."""
        self._reader = reader
        self._embedder = embedder
        self._index = index
        self._config = config
        self._prepare = prepare
        self._questions: OrderedDict[str, np.ndarray[Any, np.dtype[np.float32]]] = OrderedDict()
        """Vectors of recent questions, by the form that was embedded; the latest asked stands last."""

    async def by_question(
        self,
        question: str,
        filters: Filters,
        *,
        limit: int,
        threshold: float | None,
    ) -> SearchAnswer:
        """Return the records that mean what the question says, the best one of each trace.

        Without vectors (no embedder, nothing embedded yet) words are matched instead, and ``note`` says so.

        Args:
            question: Plain words.
            filters: What a record must be.
            limit: Most results.
            threshold: Least cosine similarity (by text: least share of words); the configured one if None.

        Raises:
            InvalidFilterError: The question is empty or too long, or of metrics.
            QueryLimitError: It took too long.
            StoreUnavailableError: The store cannot be read now.
        """
        question = question.strip()
        if not question:
            raise InvalidFilterError("the question is empty", hint="ask in plain words: q=payment failed")
        if len(question) > _LONGEST_QUESTION:
            raise InvalidFilterError(f"the question is longer than {_LONGEST_QUESTION} characters")
        if filters.signal is Signal.METRICS:
            raise InvalidFilterError("metrics are not searched by meaning", hint="list metrics instead")
        least = self._least(threshold)
        reason_for_text = self._no_vectors_because()
        if reason_for_text is None:
            try:
                vector = await self._question_vector(question)
            except (EmbeddingUnavailableError, EmbeddingFailedError) as error:
                reason_for_text = f"the embedding model is not available ({error.message})"
            else:
                (_, pending), rows = await asyncio.gather(
                    self._reader.count_texts(self._embedder.model),
                    self.by_vector(vector, filters, limit=limit, threshold=least),
                )
                unseen = max(0, pending - self._index.stand_ins)
                note = f"{unseen} texts have no vector yet and were not searched" if unseen else None
                return SearchAnswer(_explained(rows, question), "meaning", least, pending, note)
        rows = await self._matching_records(question, filters, limit, threshold or 0.0)
        _, pending = await self._reader.count_texts(self._embedder.model)
        return SearchAnswer(
            _explained(rows, question),
            "text",
            threshold,
            pending,
            f"matched by words, because {reason_for_text}",
        )

    async def by_vector(
        self,
        vector: np.ndarray[Any, np.dtype[np.float32]],
        filters: Filters,
        *,
        limit: int,
        threshold: float | None,
    ) -> Rows:
        """Return the records nearest to a vector, the best one of each trace, most similar first.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        near = NearTexts(self._index, vector, self._least(threshold))
        return await self._reader.search_records(near, filters, limit)

    def _least(self, threshold: float | None) -> float:
        return self._config.threshold if threshold is None else threshold

    def _no_vectors_because(self) -> str | None:
        if not self._embedder.available:
            return "the embedding model is not available"
        return None if len(self._index) else "no text has a vector yet"

    async def _question_vector(self, question: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        form = self._prepare(question)
        known = self._questions.get(form)
        if known is not None:
            self._questions.move_to_end(form)
            return known
        (chunks,) = await self._embedder.embed([form], urgent=True)
        if not len(chunks):
            raise EmbeddingUnavailableError("the model made no vector of the question")
        mean = np.asarray(chunks, dtype=np.float32).mean(axis=0)
        length = float(np.linalg.norm(mean))
        vector = (mean / length).astype(np.float32) if length else mean
        if self._config.question_cache:
            self._questions[form] = vector
            while len(self._questions) > self._config.question_cache:
                self._questions.popitem(last=False)
        return vector

    async def _matching_records(self, question: str, filters: Filters, limit: int, least: float) -> Rows:
        words = words_of(question)[:_MOST_WORDS]
        rows = await self._reader.match_text(words, filters, limit) if words else []
        return [row for row in rows if row["similarity"] >= least]


def _explained(rows: Rows, question: str) -> Rows:
    words = words_of(question)
    return [{**row, "why": reason(words, _whole_text(row))} for row in rows]


def _whole_text(row: Mapping[str, Any]) -> str:
    body = row.get("body")
    parts: Sequence[Any] = (row["text"], row["name"], body if isinstance(body, str) else None)
    return "\n".join(dict.fromkeys(part for part in parts if part))
