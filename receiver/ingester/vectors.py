"""Vectors that code brings along: only a receiver of this process takes them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from receiver.access import Access
from receiver.ingester.validation import ValidationError
from receiver.ports import Rows, TextVectors
from receiver.questions import Filters

if TYPE_CHECKING:
    from receiver.app.embedded import EmbeddedReceiver

_LOOK_UP_S = 60.0
_TEXT = (
    "SELECT text_id::VARCHAR FROM spans WHERE trace_id = '%s'::UUID AND text_id IS NOT NULL"
    " ORDER BY rowid DESC LIMIT 1"
)


class LocalVectors:
    """The vectors of a receiver in this process. Threads: its event loop; nothing blocks it."""

    def __init__(self, embedded: EmbeddedReceiver) -> None:
        """Use a receiver that is open."""
        self._embedded = embedded

    @classmethod
    def of(cls, access: Access) -> LocalVectors | None:
        """Return the vectors behind an access, or None where the receiver is another process."""
        return cls(access) if hasattr(access, "receiver") else None  # type: ignore[arg-type]

    async def looked_up(self) -> None:
        """Return when the model has been looked up, or could not be for a minute."""
        await asyncio.wait({self._embedded.receiver.answering.opening}, timeout=_LOOK_UP_S)

    def unknown_model(self) -> str | None:
        """Return why the configured model cannot be used, or None; no model at all is no reason."""
        embedder = self._embedded.receiver.answering.vectors.embedder
        if not self._embedded.receiver.settings.embed.enabled or embedder.dimension:
            return None
        return embedder.unavailable_reason

    def unavailable(self) -> str | None:
        """Return why there are no vectors, or None."""
        embedder = self._embedded.receiver.answering.vectors.embedder
        return None if embedder.dimension else embedder.unavailable_reason or "there is no embedding model"

    def checked(self, embedding: Any) -> NDArray[np.float32]:
        """Return a vector at unit length, shape ``(1, dimension)``.

        Raises:
            ValidationError: It is none, has the wrong length, or is zero.
        """
        dimension = self._embedded.receiver.answering.vectors.embedder.dimension
        try:
            vector = np.asarray(embedding, dtype=np.float32)
        except (TypeError, ValueError):
            raise ValidationError("embedding: it is not a list of numbers") from None
        if vector.shape != (dimension,):
            raise ValidationError(
                f"embedding: it has {len(embedding) if isinstance(embedding, Sequence) else vector.shape} numbers,"
                f" vectors of this model have {dimension}"
            )
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not length or not math.isfinite(length):
            raise ValidationError("embedding: a vector of zeros, or with NaN or infinity, has no direction")
        return (vector / length).astype(np.float32).reshape(1, dimension)

    async def write(self, trace_id: str, vectors: NDArray[np.float32]) -> None:
        """Make these the vectors of the text of a trace's newest span, in the place of those that it has."""
        rows = (await self._embedded.ask("sql", {"query": [_TEXT % trace_id]}))["rows"]
        for (text,) in rows:
            await self._embedded.receiver.answering.vectors.keep([TextVectors(UUID(text), vectors)])

    async def search(
        self, vector: NDArray[np.float32], filters: Filters, limit: int, threshold: float
    ) -> Rows:
        """Return the records whose text is nearest to a vector."""
        return await self._embedded.service.search_vector(vector, filters, limit=limit, threshold=threshold)
