"""The query listener on a real socket, over a real DuckDB file."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import uvicorn

from receiver.api.app import QueryApp
from receiver.config import QueryConfig
from receiver.query.service import QueryService
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.sql_sandbox import SqlLimits
from receiver.telemetry.metrics import Metrics, Refusal
from tests.support.query_listener import Client, RunningServer
from tests.support.store_rows import StoreRows, WordEmbedder, index_of


class _Rendered:
    """The metrics of a receiver to which nothing happened."""

    async def render(self) -> bytes:
        """Return them as text."""
        return Metrics().render()

    def queried(self, question: str, seconds: float) -> None:
        """Take note of nothing."""

    def question_refused(self, reason: Refusal) -> None:
        """Take note of nothing."""


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

    @property
    def stand_ins(self) -> int:
        """Return none: every vector is of the present model."""
        return 0

    def search(self, vector: Any, limit: int) -> Any:
        """Return the nearest."""
        return index_of(self._rows).search(vector, limit)

    def similarities(self, vector: Any, texts: Any) -> Any:
        """Return the cosine of each of these texts."""
        return index_of(self._rows).similarities(vector, texts)


@pytest.fixture
def begun() -> threading.Semaphore:
    """Give what is released each time a question reaches the store."""
    return threading.Semaphore(0)


@pytest.fixture
async def client(rows: StoreRows, server: RunningServer, begun: threading.Semaphore) -> AsyncIterator[Client]:
    """Give a client of a listener on a free port."""

    def connect() -> duckdb.DuckDBPyConnection:
        begun.release()
        return rows.cursor()

    # the time limit of SQL is out of a test's reach: what ends a statement here is something else
    patient = SqlLimits(rows=10_000, bytes=1 << 24, timeout_s=3600)
    reader = DuckDbReader(connect, readers=2, timeout_s=30, sql_limits=patient)
    service = QueryService(
        reader,
        embedder=WordEmbedder(),
        index=LateIndex(rows),
        config=QueryConfig(),
        prepare=str.lower,
        pipeline=server,
    )
    app = QueryApp(service, _Rendered(), server, own_hosts=["telemetry.internal"], version="1.2.3")
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", access_log=False)
    listener = uvicorn.Server(config)
    serving = asyncio.ensure_future(listener.serve(sockets=[listening]))
    yield Client(listening.getsockname()[1])
    listener.should_exit = True
    await serving
    listening.close()
    reader.close()
