"""An embedder without a model: texts that share words are near each other; failures on demand."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from receiver.errors import EmbeddingFailedError, EmbeddingUnavailableError


class HashingEmbedder:
    """Implements :class:`receiver.ports.Embedder` by hashing words into places of a vector."""

    def __init__(self, dimension: int = 64) -> None:
        """Work, until told otherwise."""
        self.dimension = dimension
        self.outage = False
        self.poison: set[str] = set()
        """Texts over which a batch fails as a whole, as one does that brings a worker down."""
        self.batches: list[list[str]] = []
        """Every batch that was asked for, failed ones included."""
        self.urgent_batches = 0

    @property
    def model(self) -> str:
        """Return an identity."""
        return f"hashing@0:{self.dimension}:normalized"

    @property
    def available(self) -> bool:
        """Return True: an outage is something that passes."""
        return True

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> list[NDArray[np.float32]]:
        """Return one vector for each text, shape ``(1, dimension)``."""
        self.batches.append(list(texts))
        self.urgent_batches += urgent
        if self.outage:
            raise EmbeddingUnavailableError("no worker", retry_after_s=0.001)
        if bad := self.poison.intersection(texts):
            raise EmbeddingFailedError(f"the worker died over {sorted(bad)}")
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros((1, self.dimension), dtype=np.float32)
        for word in text.lower().split() or [""]:
            vector[0, zlib.crc32(word.encode()) % self.dimension] += 1.0
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit
