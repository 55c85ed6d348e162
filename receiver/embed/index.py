"""The index of vectors: which texts are nearest to a vector, by cosine.

In: texts' vectors, one per chunk. Out: text ids with the cosine of their best chunk. Up to ``EXACT_VECTORS``
it compares with all of them; above that it keeps a ``usearch`` graph, where that is installed. Its file is
only a cache of the store: one file, replaced as a whole, with the model's identity, the layout, the counts and a
checksum in its first line; whatever does not fit is refused, and the caller fills the index from the store.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import xxhash
from numpy.typing import NDArray

from receiver.disk import sync_folder
from receiver.embed.vector_sets import GRAPH_INSTALLED, ExactSet, GraphSet, Keys, Vectors, VectorSet

_LOGGER = logging.getLogger(__name__)

EXACT_VECTORS = 5_000
"""Above so many a graph is faster, where usearch is installed."""
_FORMAT = 3
_HEADER_LIMIT = 4096
_ID = np.dtype([("text", "V16"), ("key", "<u8")])
_SETS: dict[str, type[ExactSet | GraphSet]] = {kind.layout: kind for kind in (ExactSet, GraphSet)}


class VectorIndex:
    """Nearest texts by cosine, in memory, with a file that saves rebuilding.

    Threads: any, one at a time by a lock; every method blocks (a search 1 to 2 ms at 100,000 vectors, the
    turn from exact to graph 1 to 2 s), so the event loop calls through a thread.
    """

    def __init__(self, path: Path | None, dimension: int, model: str) -> None:
        """Hold nothing yet.

        Args:
            path: The cache file; None keeps everything in memory.
            dimension: Length of every vector.
            model: Identity of the vectors; a file with another one is refused.
        """
        self._path = path
        self._dimension = dimension
        self._model = model
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._set: VectorSet = ExactSet(self._dimension)
        self._keys: dict[UUID, range] = {}
        self._lows: dict[int, range] = {}
        """The same keys, by the low 64 bits of the id."""
        self._texts: dict[int, UUID] = {}
        self._next_key = 0

    def __len__(self) -> int:
        """Return the number of vectors: one per chunk."""
        return len(self._set)

    def __contains__(self, text_id: object) -> bool:
        """Return True if the text has its vectors here."""
        return text_id in self._keys

    def text_ids(self) -> set[UUID]:
        """Return all texts that are held, to be compared with the store's."""
        with self._lock:
            return set(self._keys)

    def add(self, text_ids: Sequence[UUID], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Hold these texts as well; one that is held already, or comes twice, keeps its first vectors.

        Args:
            text_ids: One for each element of ``vectors``.
            vectors: For each text its chunks, shape ``(chunks, dimension)``, or its only one, ``(dimension,)``;
                unit length.

        Raises:
            ValueError: A shape is wrong; nothing was added.
        """
        rows = [np.atleast_2d(np.asarray(chunks, dtype=np.float32)) for chunks in vectors]
        if len(rows) != len(text_ids) or any(chunks.shape[1] != self._dimension for chunks in rows):
            msg = f"wanted {len(text_ids)} arrays of vectors of {self._dimension} numbers"
            raise ValueError(msg)
        with self._lock:
            new: list[NDArray[np.float32]] = []
            first = self._next_key
            for text_id, chunks in zip(text_ids, rows, strict=True):
                if text_id in self._keys or not len(chunks):
                    continue
                keys = range(self._next_key, self._next_key + len(chunks))
                self._keys[text_id] = self._lows[_low(text_id)] = keys
                self._texts.update(dict.fromkeys(keys, text_id))
                self._next_key = keys.stop
                new.append(chunks)
            if new:
                added = np.arange(first, self._next_key, dtype=np.uint64)
                self._set.add(added, np.ascontiguousarray(np.concatenate(new)))
                self._grow_into_graph()

    def remove(self, text_ids: Collection[UUID]) -> None:
        """Forget these texts; unknown ones are passed over."""
        with self._lock:
            gone = [key for text_id in text_ids for key in self._keys.pop(text_id, ())]
            for text_id in text_ids:
                self._lows.pop(_low(text_id), None)
            for key in gone:
                del self._texts[key]
            if gone:
                self._set.remove(np.array(gone, dtype=np.uint64))

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[UUID, float]]:
        """Return up to ``limit`` texts with their best chunk's cosine, the nearest first, each text once.

        Args:
            vector: Shape ``(dimension,)`` or ``(1, dimension)``, unit length.
            limit: Most texts.
        """
        flat = np.ascontiguousarray(vector, dtype=np.float32).reshape(self._dimension)
        with self._lock:
            count = 2 * limit
            while limit > 0 and len(self._set):
                best = self._best_of_texts(*self._set.search(flat, count))
                if len(best) >= limit or count >= len(self._set):
                    return best[:limit]
                count *= 4  # long texts filled the places with their chunks
        return []

    def similarities(self, vector: NDArray[np.float32], texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the cosine of the best chunk of each of these texts, -inf for those that are not held.

        Args:
            vector: As for :meth:`search`.
            texts: The low 64 bits of their ids.
        """
        flat = np.ascontiguousarray(vector, dtype=np.float32).reshape(self._dimension)
        best = np.full(len(texts), -np.inf)
        with self._lock:
            held = [(at, keys) for at, low in enumerate(texts.tolist()) if (keys := self._lows.get(low))]
            if held:
                chunks = np.array([key for _, keys in held for key in keys], dtype=np.uint64)
                places = np.repeat([at for at, _ in held], [len(keys) for _, keys in held])
                np.maximum.at(best, places, self._set.cosines(flat, chunks))
        return best

    def save(self) -> None:
        """Write the file, if there is one to write: whole or not at all."""
        if self._path is None:
            return
        with self._lock:
            ids = np.empty(len(self._texts), dtype=_ID)
            ids["key"] = np.fromiter(self._texts, dtype=np.uint64, count=len(ids))
            ids["text"] = np.frombuffer(b"".join(t.bytes for t in self._texts.values()), dtype="V16")
            layout = self._set.layout
            body = ids.tobytes() + self._set.to_bytes()
        header: dict[str, Any] = {
            "format": _FORMAT,
            "model": self._model,
            "dimension": self._dimension,
            "layout": layout,
            "vectors": len(ids),
        }
        header["checksum"] = _checksum(header, body)
        scratch = self._path.with_name(self._path.name + ".new")
        with scratch.open("wb") as stream:
            stream.write(json.dumps(header).encode("ascii") + b"\n")
            stream.write(body)
        scratch.replace(self._path)

    def discard_file(self) -> None:
        """Delete the file, now and after a power cut; for vectors that change, which :meth:`text_ids` cannot tell.

        Raises:
            OSError: It cannot be deleted.
        """
        if self._path is None or not self._path.exists():
            return
        self._path.unlink()
        sync_folder(self._path.parent)

    def load(self) -> bool:
        """Hold what the file has, in the place of what was held; False where it cannot be used.

        Then the index is empty, the reason is in the log, and the caller adds every vector of the store.
        After True the file may still be older than the store: compare :meth:`text_ids`.
        """
        with self._lock:
            self._clear()
            if self._path is None or not self._path.exists():
                return False
            try:
                self._read(self._path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._clear()
                _LOGGER.warning("the vector index file %s is not used: %s", self._path, error)
                return False
            return True

    def _read(self, path: Path) -> None:
        with path.open("rb") as stream:
            header: Any = json.loads(stream.readline(_HEADER_LIMIT))
            body = stream.read()
        wanted = {"format": _FORMAT, "model": self._model, "dimension": self._dimension}
        found = {name: header[name] for name in wanted}
        if found != wanted:
            msg = f"it is of {found}, not of {wanted}"
            raise ValueError(msg)
        if header.pop("checksum") != _checksum(header, body):
            msg = "its checksum is wrong"
            raise ValueError(msg)
        kind = _SETS.get(header["layout"])
        if (
            kind is None
        ):  # of a release with other parameters: it would be searched with less than they promise
            msg = f"its layout is {header['layout']!r}"
            raise ValueError(msg)
        if kind is GraphSet and not GRAPH_INSTALLED:
            msg = "usearch is not installed"
            raise ValueError(msg)
        ids = np.frombuffer(body, dtype=_ID, count=header["vectors"])
        vectors = kind(self._dimension)
        vectors.restore(body[ids.nbytes :], ids["key"].astype(np.uint64))
        self._set = vectors
        self._texts = {
            int(key): UUID(bytes=text.tobytes()) for key, text in zip(ids["key"], ids["text"], strict=True)
        }
        for key in sorted(self._texts):
            keys = self._keys.get(self._texts[key], range(key, key))
            self._keys[self._texts[key]] = range(keys.start, key + 1)  # a text's chunks have keys in a row
        self._lows = {_low(text_id): keys for text_id, keys in self._keys.items()}
        self._next_key = max(self._texts, default=-1) + 1

    def _best_of_texts(self, keys: Keys, cosines: Vectors) -> list[tuple[UUID, float]]:
        best: dict[UUID, float] = {}
        for key, cosine in zip(keys.tolist(), cosines.tolist(), strict=True):
            best.setdefault(self._texts[key], cosine)
        return list(best.items())

    def _grow_into_graph(self) -> None:
        if not (GRAPH_INSTALLED and isinstance(self._set, ExactSet) and len(self._set) > EXACT_VECTORS):
            return
        graph = GraphSet(self._dimension)
        graph.add(*self._set.items())
        self._set = graph


def _low(text_id: UUID) -> int:
    return text_id.int & 0xFFFF_FFFF_FFFF_FFFF


def _checksum(header: dict[str, Any], body: bytes) -> str:
    """Return the checksum of everything in a file but itself: a wrong count would be read past its end."""
    state = xxhash.xxh3_128(json.dumps(header, sort_keys=True).encode("ascii"))
    state.update(body)
    return state.hexdigest()
