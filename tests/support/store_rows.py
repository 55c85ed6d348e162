"""A real DuckDB file with the project's schema, filled with plain SQL: what readers are tested on."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import duckdb
import numpy as np
from numpy.typing import NDArray

from receiver.store.migrate import migrate

T0 = 1_790_000_000_000_000_000
"""A time in 2026, in nanoseconds."""
MS = 1_000_000
S = 1_000_000_000
_READERS_END_S = 10.0
_NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
MODEL = "words/4096"
DIMENSION = 4096


def identity(text: str) -> UUID:
    """Return the id of a text; stands for the hashes of the real writer."""
    return uuid5(_NAMESPACE, text)


def trace(number: int) -> UUID:
    """Return a trace id that ends with a number."""
    return UUID(int=(0xABC << 100) + number)


@cache
def _empty_store() -> bytes:
    """Return the file of a store without rows: migrating one for each test takes four times as long."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "telemetry.duckdb"
        connection = duckdb.connect(str(path))
        migrate(connection)
        connection.close()
        return path.read_bytes()


class StoreRows:
    """Writes rows one by one; slow and plain on purpose."""

    def __init__(self, path: Path) -> None:
        """Create the file with its schema, or open the one that is there."""
        if not path.exists():
            path.write_bytes(_empty_store())
        self._instance = duckdb.connect(str(path))
        self._lock = threading.Lock()  # DuckDB refuses two calls at once on one connection
        self.connection = self.cursor()
        self.vectors: dict[UUID, NDArray[np.float32]] = {}

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a new cursor of the same instance: what readers are given, in threads of their own."""
        with self._lock:
            return self._instance.cursor()

    def close(self) -> None:
        """Close the file, once readers that were closed before have ended."""
        for thread in threading.enumerate():
            if thread.name.startswith("store-reader"):
                thread.join(_READERS_END_S)
        self.connection.close()
        with self._lock:
            self._instance.close()

    def insert(self, table: str, **values: Any) -> None:
        """Insert one row."""
        marks = ", ".join("?" for _ in values)
        names = ", ".join(f'"{name}"' for name in values)
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))

    def resource(self, service: str | None, **attributes: Any) -> UUID:
        """Insert a resource and return its id; a second call inserts a copy, as after a crash."""
        full = ({"service.name": service} if service else {}) | attributes
        resource_id = identity("resource" + json.dumps(full))
        self.insert(
            "resources",
            resource_id=resource_id,
            service_name=service,
            attributes=_strict(full),
            dropped_attributes_count=0,
            schema_url="",
        )
        return resource_id

    def scope(self, name: str = "tests") -> UUID:
        """Insert a scope and return its id."""
        scope_id = identity("scope" + name)
        self.insert(
            "scopes",
            scope_id=scope_id,
            name=name,
            version="1",
            attributes="{}",
            dropped_attributes_count=0,
            schema_url="",
        )
        return scope_id

    def text(self, text: str, *, embedded: bool = True) -> UUID:
        """Insert a text, and its vector, and return its id."""
        text_id = identity("text" + text)
        known = self.connection.execute("SELECT 1 FROM texts WHERE text_id = ?", [text_id]).fetchone()
        if known is None:
            self.insert("texts", text_id=text_id, text=text, model_text=text.lower())
            if embedded:
                self.vectors[text_id] = word_vector(text.lower())
                vector = self.vectors[text_id].tolist()
                self.insert("embeddings", text_id=text_id, chunk=0, model=MODEL, vector=vector)
        return text_id

    def span(
        self,
        trace_id: UUID,
        span_id: int,
        *,
        name: str = "work",
        resource_id: UUID,
        parent: int | None = None,
        start: int = T0,
        end: int | None = None,
        status: int = 0,
        attributes: str | dict[str, Any] = "{}",
        text: str | None = None,
        embedded: bool = True,
        **more: Any,
    ) -> None:
        """Insert a span that takes 5 ms unless it is told otherwise."""
        self.insert(
            "spans",
            **{
                "trace_id": trace_id,
                "span_id": span_id,
                "parent_span_id": parent,
                "trace_state": "",
                "flags": 0,
                "name": name,
                "kind": 2,
                "start_time_unix_nano": start,
                "end_time_unix_nano": start + 5 * MS if end is None else end,
                "status_code": status,
                "status_message": "",
                "attributes": attributes if isinstance(attributes, str) else _strict(attributes),
                "dropped_attributes_count": 0,
                "events": [],
                "dropped_events_count": 0,
                "links": [],
                "dropped_links_count": 0,
                "resource_id": resource_id,
                "scope_id": identity("scopetests"),
                "text_id": self.text(text, embedded=embedded) if text else None,
            }
            | more,
        )

    def log(
        self,
        body: str | None,
        *,
        resource_id: UUID,
        time: int = T0,
        trace_id: UUID | None = None,
        span_id: int | None = None,
        severity: int = 9,
        attributes: dict[str, Any] | None = None,
        embedded: bool = True,
        **more: Any,
    ) -> None:
        """Insert a log record."""
        self.insert(
            "logs",
            **{
                "time_unix_nano": time,
                "observed_time_unix_nano": T0,
                "trace_id": trace_id,
                "span_id": span_id,
                "flags": 0,
                "severity_number": severity,
                "severity_text": "",
                "event_name": "",
                "body": body,
                "body_type": "string" if body is not None else None,
                "attributes": _strict(attributes or {}),
                "dropped_attributes_count": 0,
                "resource_id": resource_id,
                "scope_id": identity("scopetests"),
                "text_id": self.text(body, embedded=embedded) if body else None,
            }
            | more,
        )

    def metric(
        self,
        name: str,
        kind: str,
        *,
        resource_id: UUID,
        temporality: int = 0,
        monotonic: bool = False,
        unit: str = "1",
    ) -> UUID:
        """Insert a metric's descriptor and return its id."""
        metric_id = identity(f"metric{name}{kind}{resource_id}")
        self.insert(
            "metrics",
            metric_id=metric_id,
            resource_id=resource_id,
            scope_id=identity("scopetests"),
            name=name,
            description="",
            unit=unit,
            type=kind,
            aggregation_temporality=temporality,
            is_monotonic=monotonic,
            metadata="{}",
        )
        return metric_id

    def number(
        self,
        metric_id: UUID,
        time: int,
        value: float,
        *,
        start: int = 0,
        attributes: str = "{}",
        flags: int = 0,
        session_id: str | None = None,
    ) -> None:
        """Insert a gauge's or sum's point."""
        self.insert(
            "metric_points",
            metric_id=metric_id,
            attributes=attributes,
            start_time_unix_nano=start,
            time_unix_nano=time,
            flags=flags,
            value_int=value if isinstance(value, int) else None,
            value_double=None if isinstance(value, int) else value,
            exemplars=[],
            session_id=session_id,
        )


def word_vector(text: str) -> NDArray[np.float32]:
    """Return a unit vector that counts a text's words: texts that share words are near."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    for word in text.split():
        vector[identity(word).int % DIMENSION] += 1
    length = np.linalg.norm(vector)
    return (vector / length if length else vector).astype(np.float32)


class WordEmbedder:
    """An embedder whose model counts words: deterministic, and exact enough to search with."""

    def __init__(self, *, available: bool = True) -> None:
        """Say whether it can be used."""
        self._available = available
        self.asked_urgently: list[bool] = []

    @property
    def model(self) -> str:
        """Return the identity of its vectors."""
        return MODEL

    @property
    def available(self) -> bool:
        """Return whether it can be used."""
        return self._available

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> list[NDArray[np.float32]]:
        """Return one vector per text, and remember how it was asked."""
        self.asked_urgently.append(urgent)
        return [word_vector(text)[None, :] for text in texts]


class ExactIndex:
    """A vector index that compares with every vector."""

    def __init__(self, text_ids: Sequence[UUID], vectors: NDArray[np.float32]) -> None:
        """Keep them."""
        self._text_ids = list(text_ids)
        self._vectors = vectors

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self._text_ids)

    @property
    def stand_ins(self) -> int:
        """Return none: every vector is of the present model."""
        return 0

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[UUID, float]]:
        """Return the nearest, most similar first."""
        if not self._text_ids:
            return []
        scores = self._vectors @ vector
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(self._text_ids[place], float(scores[place])) for place in order]

    def similarities(self, vector: NDArray[np.float32], texts: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the cosine of each of these texts, -inf of others."""
        places = {text_id.int & 0xFFFF_FFFF_FFFF_FFFF: at for at, text_id in enumerate(self._text_ids)}
        scores = [*(self._vectors @ vector).tolist(), -np.inf]
        return np.array([scores[places.get(low, -1)] for low in texts.tolist()], dtype=np.float64)


def index_of(rows: StoreRows) -> ExactIndex:
    """Return an index of the vectors in a store."""
    vectors = np.array(list(rows.vectors.values()), dtype=np.float32).reshape(-1, DIMENSION)
    return ExactIndex(list(rows.vectors), vectors)


def _strict(attributes: Any) -> str:
    """Return JSON as the store has it: without spaces, other letters than ASCII as they are."""
    return json.dumps(attributes, separators=(",", ":"), ensure_ascii=False)
