"""OtelIngester: the documented API for traces, on the receiver's own spool, database, texts, vectors and search."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Self

from receiver.client.credentials import Credentials
from receiver.config import Settings
from receiver.errors import RetryableError
from receiver.ingester.batch import BatchReport, converted
from receiver.ingester.hot_store import HotStore
from receiver.ingester.place import MEMORY
from receiver.ingester.validation import (
    NOT_INITIALIZED,
    ValidationError,
    checked_limit,
    checked_question,
    checked_seconds,
    checked_text,
    checked_threshold,
)

_PART = 4000
"""Traces that are converted while those before them are committed."""


class OtelIngester:
    """Stores traces and finds them by meaning. Threads: one event loop, whichever it is; nothing blocks it."""

    def __init__(
        self,
        hot_store: HotStore | None = None,
        embedding_model: str | None = "all-MiniLM-L6-v2",
        cache_size: int | None = 1000,
        *,
        hot_store_path: str | PathLike[str] = MEMORY,
        system_id: str | None = None,
        similarity_threshold: float | None = None,
        wait_for_embeddings_s: float = 30.0,
        settings: Settings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """Keep what to open; nothing is opened before :meth:`initialize`.

        Args:
            hot_store: Where traces are stored; initialised with the ingester, and closed with it.
            embedding_model: Name of a sentence-transformers model, for a store that is not open yet.
            cache_size: Recent questions whose vectors are kept, likewise; 0 keeps none.
            hot_store_path: Of a store of the ingester's own, where none is given; see :class:`HotStore`.
            system_id: Of traces that name none themselves; None: their service's name tells.
            similarity_threshold: Least similarity where a search names none; None: the configured one, 0.2.
            wait_for_embeddings_s: Longest wait of a search for the vectors of what this ingester has stored.
            settings: Of the receiver in this process; see :class:`HotStore`.
            credentials: For a running receiver; see :class:`HotStore`.

        Raises:
            ValidationError: An argument is not what it must be.
        """
        if hot_store is not None and not isinstance(hot_store, HotStore):
            raise ValidationError(f"hot_store: a {type(hot_store).__name__} is not a HotStore")
        self._store = hot_store or HotStore(hot_store_path, settings=settings, credentials=credentials)
        if not self._store.initialized:
            self._store.prefer(embedding_model=embedding_model, cache_size=cache_size)
        self._system_id = None if system_id is None else checked_text("system_id", system_id)
        self._threshold = (
            None
            if similarity_threshold is None
            else checked_threshold(similarity_threshold, name="similarity_threshold")
        )
        self._wait_s = checked_seconds("wait_for_embeddings_s", wait_for_embeddings_s)
        self._initialized = False
        self._unembedded = False

    @property
    def hot_store(self) -> HotStore:
        """Return the store underneath."""
        return self._store

    async def initialize(self) -> None:
        """Open the store; a second call changes nothing.

        Raises:
            StartError: The folder cannot be used, or belongs to a running receiver.
            StoreUnavailableError: Another process holds the file, or nothing listens at the address.
            ValidationError: The embedding model is not known.
        """
        await self._store.initialize()
        self._initialized = True

    async def ingest_trace(self, trace_data: Mapping[str, Any] | Any) -> None:
        """Return once the trace is on disk; one that was stored before is not stored again.

        Args:
            trace_data: A trace dict, an OTLP-JSON dict, or an SDK's ``ReadableSpan`` (docs/python.md).

        Raises:
            ValidationError: It is no trace; nothing of it is stored.
            RuntimeError: The ingester is not initialised.
            RetryableError: It cannot be stored now.
        """
        report = await self._ingested([trace_data])
        if report.failures:
            error = report.failures[0].error
            raise ValidationError(error.message, hint=error.hint) from None

    async def ingest_batch(self, traces: Iterable[Any]) -> dict[str, Any]:
        """Return once every good trace is on disk; a bad one is an error with its index and stops no other.

        Returns:
            ``success_count`` (stored by this call), ``duplicate_count`` (stored before, or earlier in the batch),
            ``error_count``, ``errors`` (texts ``Trace <id>: <what is wrong>``) and ``error_details`` (dicts with
            ``index``, ``trace_id`` and ``error``). The three counts make up the batch.

        Raises:
            ValidationError: ``traces`` is one trace, or no series at all.
            RuntimeError: The ingester is not initialised.
            RetryableError: It cannot be stored now; some may be, and the whole batch may be handed in again.

        Cancellation: what was taken up is stored all the same.
        """
        if isinstance(traces, str | bytes | Mapping) or not isinstance(traces, Iterable):
            raise ValidationError(
                f"traces: a {type(traces).__name__} is not a list of traces", hint="ingest_trace takes one"
            )
        report = await self._ingested(traces if isinstance(traces, Sequence) else list(traces))
        return report.as_dict()

    async def _ingested(self, traces: Sequence[Any]) -> BatchReport:
        access = self._opened().access
        report = BatchReport()
        parts = [traces[first : first + _PART] for first in range(0, len(traces), _PART)]
        turn = converted(self._system_id)
        try:
            ready = asyncio.ensure_future(turn(parts[0], 0)) if parts else None
            first = 0
            for number, part in enumerate(parts):
                assert ready is not None  # noqa: S101 - there is one for each part
                units = await ready
                first += len(part)
                ready = (
                    asyncio.ensure_future(turn(parts[number + 1], first)) if number + 1 < len(parts) else None
                )
                report.failures += units.failures
                if units.units:
                    self._store.stored()
                    self._unembedded = True
                    outcome = await access.import_units(units.units)
                    report.add(outcome.stored)
        finally:
            if ready is not None:
                ready.cancel()
                await asyncio.gather(ready, return_exceptions=True)
        return report

    async def search_traces(
        self,
        query: str,
        limit: int = 10,
        system_id: str | None = None,
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the traces that mean what the question says, most similar first.

        What this ingester has stored is among them: the search waits for its vectors, at most
        ``wait_for_embeddings_s``. Where there is no model, words are matched.

        Args:
            query: Plain words, at most 4096 characters.
            limit: Most results, 1 to 1000.
            system_id: Only of this system.
            threshold: Least similarity, -1 to 1; None: that of the ingester, else the configured one.

        Returns:
            Dicts with ``conversation_id`` (the trace id as it was given), ``content`` (names of the spans),
            ``timestamp`` (an aware datetime), ``metadata`` (a dict), ``similarity``, ``system_id``, and of the best
            span ``text``, ``span_id`` and ``why``.

        Raises:
            ValidationError: An argument is not what it must be.
            RuntimeError: The ingester is not initialised.
            RetryableError: Not now.
        """
        store = self._opened()
        question, most = checked_question(query), checked_limit(limit)
        if system_id is not None:
            checked_text("system_id", system_id)
        least = self._threshold if threshold is None else checked_threshold(threshold)
        await store.settle()
        await self._embedded()
        return await store.searched(question, system_id=system_id, limit=most, threshold=least)

    async def get_trace_by_id(self, trace_id: str) -> dict[str, Any] | None:
        """Return a trace by its id as it was given, or None.

        Returns:
            ``conversation_id``, ``content``, ``timestamp``, ``metadata``, ``system_id``, ``spans`` (each with ids,
            name, kind, times, status, attributes, events, links) and ``logs``.

        Raises:
            ValidationError: The id is no text, or empty.
            RuntimeError: The ingester is not initialised.
            RetryableError: Not now.
        """
        store = self._opened()
        checked_text("trace_id", trace_id)
        return await store.get_by_id(trace_id)

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything that was stored can be found, with ``embeddings`` by meaning too.

        Raises:
            RuntimeError: The ingester is not initialised.
            RetryableError: Not now; for embeddings: there is no model.
        """
        await self._opened().access.flush(embeddings=embeddings)
        self._unembedded = self._unembedded and not embeddings

    async def close(self) -> None:
        """Close the store, an injected one too; a second call changes nothing."""
        self._initialized = False
        await self._store.close()

    async def __aenter__(self) -> Self:
        """Initialise."""
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _opened(self) -> HotStore:
        if not self._initialized or not self._store.initialized:
            raise RuntimeError(NOT_INITIALIZED)
        return self._store

    async def _embedded(self) -> None:
        """Wait for the vectors of what was stored; once in vain is enough until more is stored."""
        if not self._unembedded or not self._wait_s:
            return
        self._unembedded = False
        access = self._store.access
        try:
            async with asyncio.timeout(self._wait_s):
                if (await access.ask("stats"))["embedding"]["available"]:
                    await access.flush(embeddings=True)
        except (TimeoutError, RetryableError):
            return  # what has no vector yet is found by words, or by the next search
