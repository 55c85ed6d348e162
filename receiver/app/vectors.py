"""The embedding side put together: worker pool, index, backlog; quiet where no model is installed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from receiver.config import EmbedConfig
from receiver.embed.backlog import EmbeddingBacklog
from receiver.embed.pool import EmbedderPool
from receiver.embed.renewed_index import RenewedIndex
from receiver.errors import EmbeddingOffError, EmbeddingUnavailableError, StoreUnavailableError
from receiver.loader.loader import Loader
from receiver.ports import TextVectors
from receiver.questions import StoreReader
from receiver.telemetry.metrics import Metrics

_LOG = logging.getLogger(__name__)
_AGAIN_S = 5.0


class Vectors:
    """Implements ``receiver.questions.VectorIndex``, empty until the store is open. Threads: the event loop's."""

    def __init__(self, config: EmbedConfig, index_path: Path, metrics: Metrics, *, models_path: Path) -> None:
        """Prepare; nothing is looked up or loaded."""
        self.embedder = EmbedderPool(config, cache=models_path)
        self._config = config
        self._path = index_path
        self._metrics = metrics
        self._index: RenewedIndex | None = None
        self._backlog: EmbeddingBacklog | None = None
        self._write: Callable[[Sequence[TextVectors], bool], Awaitable[None]] | None = None
        self._changed = False
        self._closed = False
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of texts that can be found."""
        return len(self._index) if self._index else 0

    @property
    def stand_ins(self) -> int:
        """Return how many texts are found by an older vector."""
        return self._index.stand_ins if self._index else 0

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[UUID, float]]:
        """Return the nearest texts; see the protocol."""
        return self._index.search(vector, limit) if self._index else []

    def similarities(self, vector: NDArray[np.float32], texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the cosine of each of these texts; see the protocol."""
        return self._index.similarities(vector, texts) if self._index else np.full(len(texts), -np.inf)

    async def start(self, reader: StoreReader, loader: Loader) -> None:
        """Load or rebuild the index and begin with the backlog; does little where no model is installed."""
        try:
            await self._start(reader, loader)
        finally:
            self._ready.set()

    async def _start(self, reader: StoreReader, loader: Loader) -> None:
        await self.embedder.start()
        if not self.embedder.available:
            return
        model = self.embedder.model
        index = RenewedIndex(self._path, self.embedder.dimension, model)
        while True:
            try:
                self._changed = await asyncio.to_thread(
                    fill_index, index, reader, model, self.embedder.stand_in
                )
                break
            except StoreUnavailableError as error:
                _LOG.warning("the vectors cannot be read: %s; it is tried again", error)
                await asyncio.sleep(_AGAIN_S)

        async def write(rows: Sequence[TextVectors], replace: bool = False) -> None:
            self._changed = True
            await loader.write_embeddings(list(rows), model=model, replace=replace)

        if self._closed:
            return
        self._index, self._write = index, write

        async def count() -> int:
            return (await reader.count_texts(model))[1]

        self._backlog = EmbeddingBacklog(
            self.embedder,
            fetch=lambda limit: reader.pending_texts(model, limit),
            write=write,
            count=count,
            index=index,
            metrics=self._metrics,
            config=self._config,
        )
        if not self._config.on_demand:
            self._backlog.start()

    def wake(self) -> None:
        """Look for texts without vectors soon."""
        if self._backlog:
            self._backlog.wake()

    async def wait_idle(self) -> None:
        """Return when every text that is stored now has its vectors.

        Raises:
            EmbeddingOffError: There is no model.
            EmbeddingUnavailableError: It cannot be done now.
        """
        await self._ready.wait()  # a store that opens is followed by its vectors at once
        if self.embedder.missing:
            raise EmbeddingOffError(self.embedder.missing)
        if self._backlog is None:
            raise EmbeddingUnavailableError(
                self.embedder.unavailable_reason or "the store is not open yet", hint="see /readyz"
            )
        if not self._backlog.started:
            self._backlog.start()
        await self._backlog.wait_idle()

    async def keep(self, rows: Sequence[TextVectors]) -> None:
        """Make these the vectors of texts that are stored, in the place of those that they have.

        Raises:
            EmbeddingUnavailableError: There is no model whose vectors they could join.
            StoreUnavailableError: They cannot be written now.
        """
        index, write = self._index, self._write
        if index is None or write is None:
            raise EmbeddingUnavailableError(self.embedder.unavailable_reason or "the store is not open yet")
        await asyncio.to_thread(
            index.discard_file
        )  # it has the old vectors, and this run may end without saving
        await write(rows, True)

        def renewed() -> None:
            index.remove([row.text_id for row in rows])
            index.add([row.text_id for row in rows], [row.vectors for row in rows])

        await asyncio.to_thread(renewed)

    async def forget(self, text_ids: Collection[UUID]) -> None:
        """Find these texts no more."""
        if self._index and text_ids:
            await asyncio.to_thread(self._index.remove, text_ids)
            self._changed = True

    async def close(self) -> None:
        """Stop the backlog and the worker processes, and begin with neither; keep the index on disk."""
        self._closed = True
        if self._backlog:
            await self._backlog.close()
        await self.embedder.close()
        if self._index and self._changed:
            try:
                await asyncio.to_thread(self._index.save)
            except OSError as error:
                _LOG.warning(
                    "the vector index is not kept, the next start makes it from the store: %s", error
                )


def fill_index(index: RenewedIndex, reader: StoreReader, model: str, stand_in: str | None) -> bool:
    """Bring the index to what the store has; return True if its file has not all of that.

    Args:
        index: Empty.
        reader: Of the store.
        model: Identity of the index's vectors.
        stand_in: Identity of those that texts may be found by until they have one of ``model``; None: there is none.
    """
    index.load()
    stale = set(index.text_ids())
    missing: dict[UUID, list[NDArray[np.float32]]] = {}
    for batch in reader.vectors(model):
        for text_id, vector in zip(batch.text_ids, batch.vectors, strict=True):
            if text_id in index:
                stale.discard(text_id)
            else:
                missing.setdefault(text_id, []).append(vector)
    index.remove(stale)
    index.add(list(missing), [np.stack(vectors) for vectors in missing.values()])
    if missing or stale:
        _LOG.info("vector index: %d texts added from the store, %d removed", len(missing), len(stale))
    if stand_in is not None:
        _fill_stand_ins(index, reader, stand_in)
    return bool(missing or stale)


def _fill_stand_ins(index: RenewedIndex, reader: StoreReader, stand_in: str) -> None:
    older: dict[UUID, list[NDArray[np.float32]]] = {}
    for batch in reader.vectors(stand_in):
        for text_id, vector in zip(batch.text_ids, batch.vectors, strict=True):
            if text_id not in index:
                older.setdefault(text_id, []).append(vector)
    index.stand_in(list(older), [np.stack(vectors) for vectors in older.values()])
    if older:
        _LOG.info("%d texts are found by their vectors of %s until they have new ones", len(older), stand_in)
