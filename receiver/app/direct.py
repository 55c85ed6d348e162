"""Questions without a server: the database file opened read-only, asked once through the query service, closed.

In: settings, a question's name and the texts of its parameters. Out: the bytes that the API would have sent. A
DuckDB file belongs to one process, so this works only while no receiver runs on the data directory, and a
receiver that starts meanwhile waits for it (``store.open_retry_s``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import duckdb

from receiver.api.routes import ROUTES, ask
from receiver.api.wire import json_reply
from receiver.app.vectors import fill_index
from receiver.config import Settings
from receiver.decode.text_form import model_text
from receiver.embed.pool import EmbedderPool
from receiver.embed.renewed_index import RenewedIndex
from receiver.errors import NotFoundError, QueryError, StoreUnavailableError
from receiver.query.service import QueryService
from receiver.sessions.prices import load_prices
from receiver.spool.waiting import spool_identity, waiting_requests
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.migrate import migrations
from receiver.store.sql_sandbox import SqlLimits, lock_down

_NEEDS_VECTORS = frozenset({"search", "stats"})
_NEEDS_PRICES = frozenset({"sessions", "session"})


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """The answer, and what could not be part of it."""

    body: bytes
    """JSON, as the API sends it."""
    waiting_requests: int
    """Acknowledged requests that are in the spool and not in the database yet."""


def ask_directly(settings: Settings, question: str, given: Mapping[str, Sequence[str]]) -> DirectAnswer:
    """Return the answer of the database in the data directory.

    Raises:
        NotFoundError: There is no database.
        StoreUnavailableError: A receiver that runs holds it.
        QueryError: Only a running receiver can answer this, or the file is of another release.
        ConfigError: The price table that the question needs is missing, or has mistakes.
        ReceiverError: What the query service raises.
    """
    route = next((each for each in ROUTES if each.name == question), None)
    if route is None:
        raise QueryError(f"only a running receiver can do this: {question}", hint="otlp-receiver serve")
    prices = load_prices(settings.query.prices_path) if question in _NEEDS_PRICES else None
    connection = _open(settings)
    try:
        waiting = _waiting(settings, connection)
        lock_down(connection, temp_directory=settings.data_path / "tmp")

        async def answered() -> bytes:
            reader = DuckDbReader(
                connection.cursor,
                readers=1,
                timeout_s=settings.query.timeout_s,
                sql_limits=SqlLimits.from_config(settings.query),
            )
            embedder = EmbedderPool(settings.embed, cache=settings.models_path)
            index = RenewedIndex(None, 1, embedder.model)
            try:
                if question in _NEEDS_VECTORS:
                    await embedder.start()
                if question in _NEEDS_VECTORS and embedder.available:
                    index = RenewedIndex(settings.index_path, embedder.dimension, embedder.model)
                    await asyncio.to_thread(fill_index, index, reader, embedder.model, embedder.stand_in)
                service = QueryService(
                    reader,
                    embedder=embedder,
                    index=index,
                    config=settings.query,
                    prepare=model_text,
                    prices=prices,
                )
                answer = await ask(route, service, given, now_ns=time.time_ns())
            finally:
                await embedder.close()
                reader.close()
            return json_reply(answer).body

        return DirectAnswer(asyncio.run(answered()), waiting)
    finally:
        connection.close()


def requeue_directly(settings: Settings) -> int:
    """Put every quarantined request back into the queue of a receiver that does not run; return how many.

    Raises:
        NotFoundError: There is no spool.
        StartError: A receiver runs on the data directory.
    """
    from receiver.spool.sqlite_spool import SqliteSpool  # noqa: PLC0415 - the only question that writes

    if not settings.spool_path.is_file():
        raise NotFoundError(f"there is no spool in {settings.data_path}", hint="name another --data-dir")
    spool = SqliteSpool(settings.spool_path)
    try:
        return spool.requeue()
    finally:
        spool.close()


def _open(settings: Settings) -> duckdb.DuckDBPyConnection:
    path = settings.store_path
    if not path.is_file():
        raise NotFoundError(f"there is no database at {path}", hint="name another --data-dir")
    try:
        connection = duckdb.connect(
            str(path),
            read_only=True,
            config={
                "memory_limit": f"{settings.store.memory_limit_bytes}B",
                "threads": settings.store.threads,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, duckdb.IOException) and "lock" in reason.lower():
            raise StoreUnavailableError(
                f"a running receiver holds {path}", hint="ask it: --endpoint names its query listener"
            ) from error
        raise QueryError(f"{path} cannot be opened: {reason}") from error
    try:
        (version,) = connection.execute("SELECT max(version) FROM schema_migrations").fetchone() or (None,)
    except duckdb.Error:
        version = None
    if version != max(migrations()):
        connection.close()
        raise QueryError(
            f"{path} has schema version {version}, this release reads {max(migrations())}",
            hint="a receiver of this release brings an older one up to date when it starts",
        )
    return connection


def _waiting(settings: Settings, connection: duckdb.DuckDBPyConnection) -> int:
    identity: UUID | None = spool_identity(settings.spool_path)
    if identity is None:
        return 0
    row = connection.execute(
        "SELECT max(position) FROM spool_positions WHERE spool = ?", [str(identity)]
    ).fetchone()
    return waiting_requests(settings.spool_path, after=row[0] if row and row[0] is not None else 0)
