"""The two ways to find the nearest of some vectors: look at all of them, or walk a graph.

Both hold rows of unit length under keys, and give cosines. :class:`ExactSet` needs numpy only;
:class:`GraphSet` needs ``usearch`` (extra ``embed``), which is absent where :data:`GRAPH_INSTALLED` is False.
Threads: none may be called from two threads at once; :class:`receiver.embed.index.VectorIndex` sees to it.
"""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Vectors = NDArray[np.float32]

GRAPH_INSTALLED = importlib.util.find_spec("usearch") is not None
_FIRST_CAPACITY = 256
# Texts of telemetry stand in dense groups with little between, and a question is near none of them: a graph with few
# links is walked into the wrong group. Figures of these and of others: docs/adr/0006-vectors.md.
GRAPH_DTYPE = "f16"
GRAPH_CONNECTIVITY = 32
GRAPH_EXPANSION_ADD = 256
GRAPH_EXPANSION_SEARCH = 512
_GRAPH_THREADS = 1  # the index must not take the cores of the ingest
_GRAPH_SLICE = 512
"""Vectors that go into a graph in one call."""
_COMPARED_SLICE = 4096
"""Vectors that are taken out of a graph at a time, to be compared."""


class VectorSet(Protocol):
    """**Protocol:** vectors under keys, and which of them are nearest to another."""

    layout: ClassVar[str]
    """How a dump was made: only a set of the same layout takes it back."""

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Hold these as well; no key is in use."""
        ...

    def remove(self, keys: Keys) -> None:
        """Forget these; each is in use."""
        ...

    def search(self, vector: Vectors, count: int) -> tuple[Keys, Vectors]:
        """Return up to ``count`` keys and their cosines, the nearest first."""
        ...

    def cosines(self, vector: Vectors, keys: Keys) -> Vectors:
        """Return the cosine of each of these; every one is in use."""
        ...

    def to_bytes(self) -> bytes:
        """Return everything, for :meth:`restore` of an empty set of the same kind and dimension."""
        ...

    def restore(self, dump: bytes, keys: Keys) -> None:
        """Hold what ``to_bytes`` gave, ``keys`` being all of its keys.

        Raises:
            ValueError: It gave something else.
        """
        ...


class ExactSet:
    """Compares with every vector: exact, and at 5,000 vectors faster than a graph is to build."""

    layout: ClassVar[str] = "exact f4"

    def __init__(self, dimension: int) -> None:
        """Hold nothing yet."""
        self._vectors: Vectors = np.empty((_FIRST_CAPACITY, dimension), dtype=np.float32)
        self._keys: Keys = np.empty(_FIRST_CAPACITY, dtype=np.uint64)
        self._length = 0

    def __len__(self) -> int:
        """Return the number of vectors."""
        return self._length

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Hold these as well; the room doubles when it is used up."""
        needed = self._length + len(keys)
        if needed > len(self._keys):
            capacity = max(needed, 2 * len(self._keys))
            self._vectors = self._grown(self._vectors, capacity)
            self._keys = self._grown(self._keys, capacity)
        self._vectors[self._length : needed] = vectors
        self._keys[self._length : needed] = keys
        self._length = needed

    def remove(self, keys: Keys) -> None:
        """Forget these and close the gaps."""
        kept = ~np.isin(self._keys[: self._length], keys)
        remaining = int(kept.sum())
        self._vectors[:remaining] = self._vectors[: self._length][kept]
        self._keys[:remaining] = self._keys[: self._length][kept]
        self._length = remaining

    def search(self, vector: Vectors, count: int) -> tuple[Keys, Vectors]:
        """Return the nearest; ties in no particular order."""
        cosines = self._vectors[: self._length] @ vector
        count = min(count, self._length)
        nearest = np.argpartition(-cosines, count - 1)[:count] if count < self._length else np.arange(count)
        nearest = nearest[np.argsort(-cosines[nearest])]
        return self._keys[nearest], cosines[nearest]

    def cosines(self, vector: Vectors, keys: Keys) -> Vectors:
        """Return the cosine of each of these."""
        order = np.argsort(self._keys[: self._length])
        places = order[np.searchsorted(self._keys[: self._length], keys, sorter=order)]
        found: Vectors = self._vectors[places] @ vector
        return found

    def items(self) -> tuple[Keys, Vectors]:
        """Return everything: views that the next change makes invalid."""
        return self._keys[: self._length], self._vectors[: self._length]

    def to_bytes(self) -> bytes:
        """Return the vectors as little-endian float32; the keys are the caller's to keep, in this order."""
        order = np.argsort(self._keys[: self._length])
        return self._vectors[: self._length][order].astype("<f4", copy=False).tobytes()

    def restore(self, dump: bytes, keys: Keys) -> None:
        """Hold the vectors under ``keys`` in rising order."""
        vectors = np.frombuffer(dump, dtype="<f4").reshape(-1, self._vectors.shape[1])
        if len(vectors) != len(keys):
            msg = f"{len(vectors)} vectors for {len(keys)} keys"
            raise ValueError(msg)
        self.add(np.sort(keys), vectors.astype(np.float32, copy=False))

    def _grown(self, array: NDArray[Any], capacity: int) -> NDArray[Any]:
        grown = np.empty((capacity, *array.shape[1:]), dtype=array.dtype)
        grown[: self._length] = array[: self._length]
        return grown


class GraphSet:
    """An HNSW graph: approximate, 1 to 2 ms a search at 100,000 vectors; vectors as 16-bit floats."""

    layout: ClassVar[str] = f"graph {GRAPH_DTYPE} {GRAPH_CONNECTIVITY} {GRAPH_EXPANSION_ADD}"

    def __init__(self, dimension: int) -> None:
        """Hold nothing yet."""
        self._graph = self._empty(dimension)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._graph)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Hold these as well, about 0.3 ms for each; the interpreter is free meanwhile."""
        for at in range(0, len(keys), _GRAPH_SLICE):
            self._graph.add(
                keys[at : at + _GRAPH_SLICE], vectors[at : at + _GRAPH_SLICE], threads=_GRAPH_THREADS
            )

    def remove(self, keys: Keys) -> None:
        """Forget these; their places are used again by later ones."""
        self._graph.remove(keys, threads=_GRAPH_THREADS)

    def search(self, vector: Vectors, count: int) -> tuple[Keys, Vectors]:
        """Return nearly the nearest: recall@10 at least 0.97 (tests/unit/embed/test_index.py)."""
        matches = self._graph.search(vector, min(count, len(self._graph)), threads=_GRAPH_THREADS)
        return np.asarray(matches.keys), 1.0 - np.asarray(matches.distances, dtype=np.float32)

    def cosines(self, vector: Vectors, keys: Keys) -> Vectors:
        """Return the cosine of each of these: what :meth:`search` gives, to the last bits."""
        from usearch.index import search  # noqa: PLC0415 - part of the extra

        found = np.empty(len(keys), dtype=np.float32)
        query = vector.astype(np.float16)
        for at in range(0, len(keys), _COMPARED_SLICE):
            taken = np.asarray(self._graph.get(keys[at : at + _COMPARED_SLICE], np.float16))
            matches = search(taken, query, len(taken), "cos", exact=True, threads=_GRAPH_THREADS)
            places = at + np.asarray(matches.keys).astype(np.intp)
            found[places] = 1.0 - np.asarray(matches.distances, dtype=np.float32)
        return found

    def to_bytes(self) -> bytes:
        """Return the graph in the library's own format."""
        return bytes(self._graph.save())

    def restore(self, dump: bytes, keys: Keys) -> None:
        """Hold the graph of ``dump``."""
        try:
            self._graph.load(dump)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        if len(self._graph) != len(keys):
            msg = f"{len(self._graph)} vectors for {len(keys)} keys"
            raise ValueError(msg)

    @staticmethod
    def _empty(dimension: int) -> Any:
        from usearch.index import Index  # noqa: PLC0415 - part of the extra

        return Index(
            ndim=dimension,
            metric="cos",
            dtype=GRAPH_DTYPE,
            connectivity=GRAPH_CONNECTIVITY,
            expansion_add=GRAPH_EXPANSION_ADD,
            expansion_search=GRAPH_EXPANSION_SEARCH,
        )
