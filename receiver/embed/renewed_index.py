"""An index whose texts keep an older vector until they have a new one.

In: vectors of the present model, and before them those that may stand in for it. Out: the nearest texts of both,
each text once. Promised: a text that has its new vector is never found by the old one. Stand-ins are in
memory only: the file of the index has the present model's vectors and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from receiver.embed.index import VectorIndex


class RenewedIndex(VectorIndex):
    """A :class:`VectorIndex` with stand-ins. Threads: as there."""

    def __init__(self, path: Path | None, dimension: int, model: str) -> None:
        """Hold nothing yet."""
        super().__init__(path, dimension, model)
        self._stand_ins = VectorIndex(None, dimension, model)

    @property
    def stand_ins(self) -> int:
        """Return how many texts are still found by an older vector."""
        return len(self._stand_ins.text_ids())

    def __len__(self) -> int:
        """Return the number of vectors, stand-ins counted."""
        return super().__len__() + len(self._stand_ins)

    def stand_in(self, text_ids: Sequence[UUID], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Hold older vectors of texts that have no new one; the others are passed over."""
        with self._lock:
            kept = [number for number, text_id in enumerate(text_ids) if text_id not in self]
            self._stand_ins.add([text_ids[each] for each in kept], [vectors[each] for each in kept])

    def add(self, text_ids: Sequence[UUID], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Hold these, in the place of their stand-ins."""
        with self._lock:
            super().add(text_ids, vectors)
            self._stand_ins.remove(text_ids)

    def remove(self, text_ids: Collection[UUID]) -> None:
        """Forget these texts and their stand-ins."""
        with self._lock:
            super().remove(text_ids)
            self._stand_ins.remove(text_ids)

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[UUID, float]]:
        """Return the nearest texts of both kinds."""
        with self._lock:
            new = super().search(vector, limit)
            if not len(self._stand_ins):
                return new
            both = new + self._stand_ins.search(vector, limit)
            return sorted(both, key=lambda found: -found[1])[:limit]

    def similarities(self, vector: NDArray[np.float32], texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the cosine of each of these texts, of either kind."""
        with self._lock:
            new = super().similarities(vector, texts)
            return (
                np.maximum(new, self._stand_ins.similarities(vector, texts)) if len(self._stand_ins) else new
            )
