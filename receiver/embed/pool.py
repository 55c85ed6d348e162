"""The pool of embedding workers: texts in, vectors out, the model's libraries in other processes only.

In: texts, urgent (a question) or not (the backlog). Out: vectors, or an error that says why there are none.
Promised: no process before the first text; an urgent batch waits for at most one batch in each worker; a
batch that brings a worker down is tried once more on a fresh one; a worker that keeps dying is restarted
later and later, up to once in 30 s; after ``close`` no process of the pool is left.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from receiver.config import EmbedConfig
from receiver.embed.model import resolve_model
from receiver.embed.process import WorkerDiedError, WorkerProcess, WorkerRefusedError
from receiver.embed.source import ModelSource
from receiver.embed.worker import WorkerSettings
from receiver.errors import EmbeddingFailedError, EmbeddingUnavailableError

_LOGGER = logging.getLogger(__name__)
_Vectors = list[NDArray[np.float32]]

MAX_WAITING = 256
"""Batches that may wait for a worker; the backlog has four for each at the most, so the others are questions."""
_FIRST_BACK_OFF_S = 1.0
_MAX_BACK_OFF_S = 30.0
_CLOSE_GRACE_S = 0.3


@dataclass(order=True)
class _Job:
    """A batch on its way; the order is that of the queue."""

    rank: int
    number: int
    texts: list[str] = field(compare=False)
    vectors: Future[_Vectors] = field(compare=False, default_factory=Future)


_URGENT, _NORMAL, _STOP = 0, 1, -1


class EmbedderPool:
    """Implements :class:`receiver.ports.Embedder` with worker processes.

    Threads: the methods belong to the event loop; the properties may be read from any thread.
    """

    def __init__(self, config: EmbedConfig, *, cache: Path | None = None) -> None:
        """Prepare; nothing is looked up before :meth:`start`, and nothing runs before the first text.

        Args:
            config: Of the receiver.
            cache: Folder where workers keep what they make of the model's weights; None: each makes its own.
        """
        self._config = config
        self._cache = cache
        self._source: ModelSource | None = None
        self._missing = None if config.enabled else "embeddings are switched off (embed.enabled)"
        self._queue: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._workers: list[_Worker] = []
        self._closed = False

    @property
    def model(self) -> str:
        """Return the identity of the vectors; before ``start`` and without a model it ends in ``@none``."""
        return self._source.identity if self._source else f"{self._config.model}@none"

    @property
    def stand_in(self) -> str | None:
        """Return the identity of vectors that questions may meet until a text has its own; see ModelSource."""
        return self._source.stand_in if self._source else None

    @property
    def dimension(self) -> int:
        """Return the length of a vector; 0 without a model."""
        return self._source.dimension if self._source else 0

    @property
    def available(self) -> bool:
        """Return False where an embedding cannot be made now; see :attr:`unavailable_reason`."""
        return self.unavailable_reason is None

    @property
    def unavailable_reason(self) -> str | None:
        """Return why no embedding can be made now, for a person to read; None if it can.

        A worker that could not be started counts until its back-off is over, so that it is tried again.
        """
        if self._closed:
            return "the receiver is stopping"
        if self._missing or self._source is None:
            return self._missing or "the embedding model has not been looked up yet"
        refusals = [worker.refusal() for worker in self._workers]
        return refusals[0] if refusals and all(refusals) else None

    @property
    def missing(self) -> str | None:
        """Return why there is no model before the next start; None where there is one."""
        return self._missing

    @property
    def worker_pids(self) -> list[int]:
        """Return the ids of the processes that run."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    @property
    def cut_texts(self) -> int:
        """Return how many texts were longer than all their chunks together, since the start."""
        return sum(worker.cut_texts for worker in self._workers)

    async def start(self) -> None:
        """Know the model's identity, or the reason why there is none; no process runs yet.

        Takes about 0.1 s; the first use of a model that has to come from the hub takes a download.
        """
        if self._missing or self._source:
            return
        try:
            self._source = await asyncio.to_thread(resolve_model, self._config)
        except EmbeddingUnavailableError as error:
            self._missing = str(error)
            _LOGGER.warning("search by meaning is off: %s", error)

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> _Vectors:
        """Return for each text its chunks' vectors, shape ``(chunks, dimension)``, rows of unit length.

        Args:
            texts: In batches of ``embed.batch_texts``; the first call starts the workers (below a second; 5 to 10
                with torch).
            urgent: Goes before everything that is not.

        Raises:
            EmbeddingFailedError: These texts failed on a working model, or brought two workers down.
            EmbeddingUnavailableError: No worker can do it now.

        Cancellation: a batch in hand is finished and thrown away; waiting ones are not begun.
        """
        if reason := self.unavailable_reason:
            raise EmbeddingUnavailableError(reason)
        self._start_workers()
        size = self._config.batch_texts
        jobs = [
            _Job(_URGENT if urgent else _NORMAL, next(self._numbers), list(texts[at : at + size]))
            for at in range(0, len(texts), size)
        ]
        if jobs and self._queue.qsize() >= MAX_WAITING:
            raise EmbeddingUnavailableError(f"{MAX_WAITING} batches of texts wait for a worker already")
        for job in jobs:
            self._queue.put(job)
        batches = await asyncio.gather(*(asyncio.wrap_future(job.vectors) for job in jobs))
        return [vectors for batch in batches for vectors in batch]

    async def close(self, timeout_s: float = 5.0) -> None:
        """Return once no worker is left; what was waiting fails. Safe to call twice.

        A worker in the middle of a batch is ended nearly at once: its vectors can be made again.
        """
        self._closed = True
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job.vectors.set_running_or_notify_cancel():
                job.vectors.set_exception(EmbeddingUnavailableError("the receiver is stopping"))
        for worker in self._workers:
            worker.closing = True
            self._queue.put(_Job(_STOP, next(self._numbers), []))
        await asyncio.gather(*(asyncio.to_thread(worker.close, timeout_s) for worker in self._workers))

    def _start_workers(self) -> None:
        if self._workers or self._source is None:
            return
        config = self._config
        settings = WorkerSettings(
            source=self._source,
            cache=self._cache,
            device=config.device,
            threads=config.threads,
            chunk_tokens=config.chunk_tokens,
            max_chunks=config.max_chunks,
        )
        for number in range(config.workers):
            worker = _Worker(self._queue, settings, self._source.dimension, number)
            self._workers.append(worker)
            worker.start()


class _Worker(threading.Thread):
    """The thread that owns one worker process after the other and brings it batches."""

    def __init__(
        self, jobs: queue.PriorityQueue[_Job], settings: WorkerSettings, dimension: int, number: int
    ) -> None:
        super().__init__(name=f"embed-{number}", daemon=True)
        self._jobs = jobs
        self._settings = settings
        self._dimension = dimension
        self._process: WorkerProcess | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last_error = ""
        self.closing = False
        self.cut_texts = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process else None

    def refusal(self) -> str | None:
        """Return why no process can be started at the moment; None if it can, or one runs."""
        left = self._not_before - time.monotonic()
        if left <= 0:
            return None
        return f"the embedding worker could not be kept running ({self._last_error}); tried again in {left:.0f} s"

    def run(self) -> None:
        while (job := self._jobs.get()).rank != _STOP:
            if not job.vectors.set_running_or_notify_cancel():
                continue
            try:
                vectors = self._embed(job.texts)
            except EmbeddingUnavailableError as error:
                job.vectors.set_exception(error)
            except Exception as error:  # task boundary: the thread must live, the caller be told
                _LOGGER.exception("a batch of texts failed in a way that was not foreseen")
                self._discard()
                job.vectors.set_exception(EmbeddingFailedError(f"{type(error).__name__}: {error}"))
            else:
                job.vectors.set_result(vectors)
        self._discard()

    def close(self, timeout_s: float) -> None:
        """Return once thread and process have ended. Threads: any but this one; blocks."""
        self.join(min(_CLOSE_GRACE_S, timeout_s / 3))
        if self.is_alive() and (process := self._process):
            process.terminate()
        self.join(timeout_s)
        if self.is_alive():
            _LOGGER.error("an embedding worker did not end within %.1f s", timeout_s)

    def _embed(self, texts: Sequence[str]) -> _Vectors:
        for attempt in (1, 2):
            process = self._running()
            try:
                vectors, cut = process.embed(texts)
            except WorkerRefusedError as error:
                raise EmbeddingFailedError(f"the model failed over {len(texts)} texts: {error}") from None
            except WorkerDiedError as error:
                self._failed(error)
                if self.closing:
                    raise EmbeddingUnavailableError("the receiver is stopping") from None
                if attempt == 2:
                    raise EmbeddingFailedError(f"{error}, over {len(texts)} texts") from None
            else:
                self._failures = 0
                self.cut_texts += cut
                return vectors
        raise AssertionError

    def _running(self) -> WorkerProcess:
        """Return a process that has loaded the model, the present one if it lives."""
        if self._process is not None:
            return self._process
        if refusal := self.refusal():
            raise EmbeddingUnavailableError(refusal, retry_after_s=self._not_before - time.monotonic())
        if self.closing:
            raise EmbeddingUnavailableError("the receiver is stopping")
        self._process = process = WorkerProcess(self._settings, dimension=self._dimension)
        begun = time.monotonic()
        try:
            process.start()
        except (WorkerDiedError, WorkerRefusedError, OSError) as error:
            self._failures = max(self._failures, 1)  # a start that fails is never worth trying again at once
            self._failed(error)
            raise EmbeddingUnavailableError(f"the embedding worker could not be started: {error}") from None
        _LOGGER.info("embedding worker %s loaded the model in %.1f s", process.pid, time.monotonic() - begun)
        return process

    def _failed(self, error: Exception) -> None:
        """Give the process up; the first failure after a success costs no back-off."""
        self._discard()
        self._last_error = str(error)
        if self._failures:
            back_off = min(_MAX_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** (self._failures - 1))
            self._not_before = time.monotonic() + back_off
        self._failures += 1
        if not self.closing:
            _LOGGER.warning("embedding worker lost: %s", error)

    def _discard(self) -> None:
        if self._process is not None:
            self._process.stop(3.0)
            self._process = None
