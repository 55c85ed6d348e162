"""HotStore: the documented store of conversations, on a receiver's own spool, database, texts and vectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError as PydanticError

from receiver.access import Access
from receiver.client.credentials import Credentials
from receiver.config import Settings
from receiver.errors import EmbeddingUnavailableError, InvalidTraceError, NotFoundError, QueryError
from receiver.ingester.conversations import conversation_of, conversations
from receiver.ingester.hot_record import TASK_CLASS, HotRecord, unit_of
from receiver.ingester.place import MEMORY, Place, names_a_place, place_of
from receiver.ingester.systems import found_of, search_of, traces_of
from receiver.ingester.validation import (
    NOT_INITIALIZED,
    ValidationError,
    checked_cache_size,
    checked_limit,
    checked_text,
    checked_threshold,
)
from receiver.ingester.vectors import LocalVectors
from receiver.sources.trace_dicts.fields import trace_id as trace_id_bytes
from receiver.sources.trace_dicts.span import SPAN_ID
from receiver.times import rfc3339

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_CACHE = 1000
_MOST = 1000


class HotStore:
    """A store of conversations. Threads: one event loop, whichever it is; nothing blocks it."""

    def __init__(
        self,
        database_path: str | PathLike[str] = MEMORY,
        *,
        embedding_model: str | None = None,
        cache_size: int | None = None,
        settings: Settings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """Keep where it lies; nothing is opened before :meth:`initialize`.

        Args:
            database_path: ``:memory:`` (a temporary folder that goes at close), a ``.duckdb`` file (beside it a
                folder ``<file>.d``), a data directory, or ``http(s)://host:port`` of a running receiver.
            embedding_model: Name of a sentence-transformers model; None: the configured one.
            cache_size: Questions whose vectors are kept; None: the configured number.
            settings: Of the receiver in this process; None: those of ``otlp-receiver serve`` in this folder.
            credentials: What to show to a running receiver; None: what the environment says.

        Raises:
            ValidationError: An argument is not what it must be.
        """
        if not names_a_place(database_path):
            raise ValidationError(
                f"database_path: {database_path!r:.40} names no store",
                hint=f"{MEMORY}, a .duckdb file, a data directory, or http://host:port",
            )
        self.db_path = str(database_path)
        self._settings = settings
        self._credentials = credentials
        self._changes: dict[str, object] = {}
        self.prefer(embedding_model=embedding_model, cache_size=cache_size)
        self._place: Place | None = None
        self._access: Access | None = None
        self._opening = asyncio.Lock()
        self._unflushed = False

    def prefer(self, *, embedding_model: str | None, cache_size: int | None) -> None:
        """Use this model and number of questions when the store is opened; None leaves what there is."""
        if embedding_model is not None:
            self._changes.setdefault("embed.model", checked_text("embedding_model", embedding_model))
        if cache_size is not None:
            self._changes.setdefault("query.question_cache", checked_cache_size(cache_size))

    @property
    def initialized(self) -> bool:
        """Return True between :meth:`initialize` and :meth:`close`."""
        return self._access is not None

    @property
    def access(self) -> Access:
        """Return the receiver underneath.

        Raises:
            RuntimeError: The store is not initialised.
        """
        if self._access is None:
            raise RuntimeError(NOT_INITIALIZED)
        return self._access

    async def initialize(self) -> None:
        """Open the store; a second call changes nothing.

        Raises:
            StartError: The folder cannot be used, or belongs to a running receiver.
            StoreUnavailableError: Another process holds the file, or nothing listens at the address.
            ValidationError: The embedding model is not known.
        """
        async with self._opening:
            if self._access is not None:
                return
            place = await asyncio.to_thread(
                place_of, self.db_path, self._settings, self._changes, self._credentials
            )
            access = await place.open()
            try:
                await self._check_model(access)
            except BaseException:
                await access.close()
                await asyncio.to_thread(place.clean)
                raise
            self._place, self._access = place, access

    async def _check_model(self, access: Access) -> None:
        vectors = LocalVectors.of(access)
        if vectors is None:
            return
        await vectors.looked_up()
        if "embed.model" in self._changes and (reason := vectors.unknown_model()):
            raise ValidationError(f"embedding_model: {reason}")

    async def insert(self, record: HotRecord | dict[str, Any]) -> bool:
        """Return once the record is on disk: True if it is new, False if this very record was there.

        A given embedding becomes the vector of the record's text, wherever else that text stands.

        Raises:
            ValidationError: It is no record, or its embedding has the wrong length.
            EmbeddingUnavailableError: It has an embedding, and there is no model whose vectors it could join.
            QueryError: It has an embedding, and the receiver is another process.
            RetryableError: It cannot be stored now.
        """
        access = self.access
        try:
            checked = record if isinstance(record, HotRecord) else HotRecord.model_validate(record)
        except PydanticError as error:
            first = error.errors()[0]
            raise ValidationError(f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}") from None
        vectors = self._local(access).checked(checked.embedding) if checked.embedding else None
        unit = unit_of(checked)
        outcome = await access.import_units([unit])
        self._unflushed = True
        if vectors is not None and outcome.stored[0]:
            await self.settle()
            trace, _ = trace_id_bytes(checked.conversation_id)
            await self._local(access).write(trace.hex(), vectors)
        return outcome.stored[0]

    async def search_similar(
        self,
        query_embedding: Sequence[float],
        system_id: str | None = None,
        limit: int = 10,
        threshold: float = 0.7,
    ) -> list[dict[str, Any]]:
        """Return the conversations whose text is nearest to a vector, most similar first.

        Args:
            query_embedding: Of the model's dimension; of any length but zero.
            system_id: Only of this system.
            limit: Most results, 1 to 1000.
            threshold: Least cosine. 0.7 is what the interface has always had; the receiver's own 0.2 finds what
                questions of another wording mean.

        Raises:
            ValidationError: An argument is not what it must be.
            QueryError: The receiver is another process: it is asked in words.
            EmbeddingUnavailableError: There is no model.
        """
        access = self.access
        checked_limit(limit)
        local = self._local(access)
        vector = local.checked(query_embedding)[0]
        least = checked_threshold(threshold)
        await self.settle()
        rows = await found_of(access, lambda filters: local.search(vector, filters, limit, least), system_id)
        return await self.described(rows[:limit])

    async def query_traces(
        self,
        system_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        task_class: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return conversations, newest first.

        Args:
            system_id: Only of this system.
            start_time: A span began then or later; without a zone it is UTC.
            end_time: A span began then or before.
            task_class: What a record's metadata name so.
            limit: Most results, 1 to 1000.

        Raises:
            ValidationError: An argument is not what it must be.
        """
        access = self.access
        given = {"limit": [str(checked_limit(limit, most=_MOST))]}
        if start_time is not None:
            given["since"] = [_rfc3339("start_time", start_time, 0)]
        if end_time is not None:
            given["until"] = [_rfc3339("end_time", end_time, 1000)]
        if task_class is not None:
            given["attribute"] = [f"{TASK_CLASS}={json.dumps(checked_text('task_class', task_class))}"]
        await self.settle()
        rows = await traces_of(access, given, system_id)
        rows.sort(key=lambda row: int(row["time_unix_nano"]), reverse=True)
        ids = [row["trace_id"] for row in rows[:limit]]
        found = await conversations(access, ids)
        return [found[each] for each in ids if each in found]

    async def get_by_id(self, conversation_id: str) -> dict[str, Any] | None:
        """Return a conversation with its spans and log records, or None; of spans the first 10,000.

        Raises:
            ValidationError: The id is no text, or empty.
        """
        access = self.access
        try:
            trace, _ = trace_id_bytes(checked_text("conversation_id", conversation_id))
        except InvalidTraceError as error:
            raise ValidationError(f"conversation_id: {error.message}", hint=error.hint) from None
        await self.settle()
        try:
            answer = await access.ask("trace", {"trace_id": [trace.hex()], "limit": ["10000"]})
        except NotFoundError:
            return None
        return conversation_of(answer)

    async def count(self) -> int:
        """Return how many conversations are stored, exactly."""
        access = self.access
        await self.settle()
        answer = await access.ask("sql", {"query": ["SELECT count(DISTINCT trace_id) FROM spans"]})
        return int(answer["rows"][0][0])

    async def searched(
        self, question: str, *, system_id: str | None, limit: int, threshold: float | None
    ) -> list[dict[str, Any]]:
        """Return the conversations that mean what the question says, with ``text``, ``span_id`` and ``why``."""
        access = self.access
        given = {"q": [question], "limit": [str(limit)], "signal": ["traces"]}
        if threshold is not None:
            given["threshold"] = [repr(threshold)]
        rows = await search_of(access, given, system_id)
        return await self.described(rows[:limit])

    async def described(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return each record that was found as the conversation that it belongs to."""
        found = await conversations(self.access, [row["trace_id"] for row in rows])
        return [
            {
                **found[row["trace_id"]],
                "similarity": row["similarity"],
                "text": row["text"],
                "span_id": row["attributes"].get(SPAN_ID, row["span_id"]),
                **({"why": row["why"]} if "why" in row else {}),
            }
            for row in rows
            if row["trace_id"] in found
        ]

    def stored(self) -> None:
        """Take note that something was handed in: questions wait until it can be found."""
        self._unflushed = True

    async def settle(self) -> None:
        """Return when what was handed in through this object can be found by id and filters."""
        if self._unflushed:
            self._unflushed = False
            try:
                await self.access.flush()
            except BaseException:
                self._unflushed = True
                raise

    async def close(self) -> None:
        """Close the store; a second call changes nothing. It can be initialised again."""
        access, self._access = self._access, None
        place, self._place = self._place, None
        if access is not None:
            await access.close()
        if place is not None:
            await asyncio.to_thread(place.clean)

    async def __aenter__(self) -> Self:
        """Initialise."""
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _local(self, access: Access) -> LocalVectors:
        vectors = LocalVectors.of(access)
        if vectors is None:
            raise QueryError(
                "a receiver behind an address takes no vectors, it makes them itself",
                hint="leave the embedding empty, and search in words",
            )
        if reason := vectors.unavailable():
            raise EmbeddingUnavailableError(reason)
        return vectors


def _rfc3339(name: str, moment: Any, later_ns: int) -> str:
    if not isinstance(moment, datetime):
        raise ValidationError(f"{name}: {moment!r:.40} is not a datetime")
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    nanos = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    text = rfc3339(nanos + later_ns)
    if text is None:
        raise ValidationError(f"{name}: {moment} is before 1970 or after 2262")
    return text
