"""The query listener on a real socket, over a real DuckDB file."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from receiver.api.app import QueryApp
from receiver.config import QueryConfig
from receiver.errors import RetryableError
from receiver.query.service import QueryService
from receiver.questions import PipelineFigures
from receiver.store.duckdb_reader import DuckDbReader
from receiver.telemetry.metrics import Metrics
from tests.support.store_rows import StoreRows, WordEmbedder, index_of


@dataclass
class RunningServer:
    """Stands for the rest of the receiver: pipeline and health."""

    found_problems: list[str] = field(default_factory=list)
    flushed: list[bool] = field(default_factory=list)
    broken: RetryableError | None = None

    async def flush(self, *, embeddings: bool) -> None:
        """Remember it, or fail as told."""
        if self.broken:
            raise self.broken
        self.flushed.append(embeddings)

    async def figures(self) -> PipelineFigures:
        """Return some."""
        return PipelineFigures(spool={"requests": 0}, quarantine={"requests": 0})

    def problems(self) -> list[str]:
        """Return what the test put there."""
        return self.found_problems


@dataclass(frozen=True)
class Answer:
    """What came back over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks over a real connection."""

    port: int

    async def ask(
        self, target: str, *, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Return the answer to one request; a body that is not bytes is sent as JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        return await asyncio.to_thread(self._ask, target, method, body, sent)

    def _ask(self, target: str, method: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[StoreRows]:
    """Give an empty store that can be filled before the first question."""
    store = StoreRows(tmp_path / "telemetry.duckdb")
    store.scope()
    yield store
    store.close()


@pytest.fixture
def server() -> RunningServer:
    """Give the rest of the receiver."""
    return RunningServer()


class LateIndex:
    """The index of the vectors that are there when it is asked."""

    def __init__(self, rows: StoreRows) -> None:
        """Keep the store."""
        self._rows = rows

    def __len__(self) -> int:
        """Return how many texts have vectors."""
        return len(index_of(self._rows))

    def search(self, vector: Any, limit: int) -> Any:
        """Return the nearest."""
        return index_of(self._rows).search(vector, limit)


@pytest.fixture
async def client(rows: StoreRows, server: RunningServer) -> AsyncIterator[Client]:
    """Give a client of a listener on a free port."""
    reader = DuckDbReader(rows.cursor, readers=2, timeout_s=30)
    service = QueryService(
        reader,
        embedder=WordEmbedder(),
        index=LateIndex(rows),
        config=QueryConfig(),
        prepare=str.lower,
        pipeline=server,
    )
    app = QueryApp(service, Metrics(), server, own_hosts=["telemetry.internal"], version="1.2.3")
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", access_log=False)  # type: ignore[arg-type]
    listener = uvicorn.Server(config)
    listener.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.ensure_future(listener.serve(sockets=[listening]))
    yield Client(listening.getsockname()[1])
    listener.should_exit = True
    await serving
    listening.close()
    reader.close()
