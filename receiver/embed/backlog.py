"""The backlog: every stored text gets its vectors, sooner or later, off the path of answers and loads.

In: texts that have no vectors yet, asked from the store in rounds. Out: vectors, into the store and then into
the index (the store is the truth, the index its cache). Promised: a text is pending until its vectors are in
the store, so nothing is lost by a failure or a stop; a text that fails is tried alone from then on, and set
aside until the next start, with a line in the log, after it failed ``MAX_FAILURES`` times; an outage (no
worker, no store) costs no text anything and is tried again later and later, up to once in ``MAX_BACK_OFF_S``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from receiver.config import EmbedConfig
from receiver.embed.index import VectorIndex
from receiver.errors import EmbeddingFailedError, EmbeddingUnavailableError, RetryableError
from receiver.ports import Embedder, PendingText, TextVectors
from receiver.telemetry.metrics import Metrics

_LOGGER = logging.getLogger(__name__)

Fetch = Callable[[int], Awaitable[list[PendingText]]]
"""Returns up to so many texts without vectors, the same ones again until they have some."""
Write = Callable[[Sequence[TextVectors]], Awaitable[None]]
"""Returns once the vectors are stored, so that ``Fetch`` does not give these texts any more."""
Count = Callable[[], Awaitable[int]]
"""Returns how many texts have no vectors."""

MAX_FAILURES = 3
FIRST_BACK_OFF_S = 0.5
MAX_BACK_OFF_S = 60.0
_WRITE_BATCHES = 4
"""Batches whose vectors are written together: the store looks through all that it has for each write, and syncs."""
_GIVE_UP_ROUNDS = 3
"""Failed rounds in a row after which those who wait for an empty backlog are told that it will not be."""


class EmbeddingBacklog:
    """The task that drains texts without vectors through an :class:`~receiver.ports.Embedder`.

    Threads: the event loop's thread only, but for :meth:`wake` and the properties.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        fetch: Fetch,
        write: Write,
        count: Count,
        index: VectorIndex,
        metrics: Metrics,
        config: EmbedConfig,
    ) -> None:
        """Prepare; nothing runs before :meth:`start`."""
        self._embedder = embedder
        self._fetch = fetch
        self._write = write
        self._count = count
        self._index = index
        self._metrics = metrics
        self._config = config
        self._queue: asyncio.Queue[PendingText] = asyncio.Queue(config.queue_texts)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failures: dict[UUID, int] = {}
        self._set_aside: set[UUID] = set()
        self._outage: Exception | None = None
        self._failed_rounds = 0
        self._pending = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Return how many texts had no vectors when that was last counted; see :meth:`count_pending`."""
        return self._pending

    @property
    def started(self) -> bool:
        """Return True from :meth:`start` on."""
        return self._task is not None

    @property
    def set_aside(self) -> int:
        """Return how many of them are not tried again before the next start."""
        return len(self._set_aside)

    def start(self) -> None:
        """Begin with what is pending from earlier; the first text starts the embedder's processes.

        Not to be called where no model is installed: it would ask once a minute, for nothing.
        """
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="embedding-backlog")
        self._wake.set()

    def wake(self) -> None:
        """Look for new texts soon. Threads: any; cheap enough for every load."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to look
                self._loop.call_soon_threadsafe(self._wake.set)

    async def count_pending(self) -> int:
        """Return how many texts have no vectors now."""
        self._pending = await self._count()
        return self._pending

    async def wait_idle(self) -> None:
        """Return once every text that was pending before the call has its vectors.

        While new texts keep coming without a pause it waits for those as well.

        Raises:
            EmbeddingUnavailableError: Texts are set aside, or no vectors can be made or stored now.

        Cancellation: only the waiting ends.
        """
        if self._task is None or self._task.done():
            raise EmbeddingUnavailableError("the embedding backlog is not being worked on")
        done = asyncio.get_running_loop().create_future()
        self._waiters.append(done)
        self._wake.set()
        self._hurry.set()
        await done

    async def close(self) -> None:
        """Stop; batches in hand stay pending. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tell(len(self._waiters), EmbeddingUnavailableError("the receiver is stopping"))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._config.workers):
                group.create_task(self._drain(), name=f"embedding-backlog-{number}")
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._work_through()

    async def _work_through(self) -> None:
        """Do rounds until nothing is left that can be done."""
        while True:
            watched = len(self._waiters)  # who asked before the round began; the list only grows meanwhile
            idle = await self._round()
            if self._outage is not None:
                await self._after_outage(watched)
                continue
            self._failed_rounds = 0
            if idle:
                left = len(self._set_aside)
                self._tell(
                    watched,
                    EmbeddingUnavailableError(f"{left} texts could not be embedded") if left else None,
                )
                return

    async def _round(self) -> bool:
        """Take as many texts as the queue holds through it; return True if there was none."""
        self._outage = None
        try:
            found = await self._fetch(self._config.queue_texts + len(self._set_aside))
            texts = [text for text in found if text.text_id not in self._set_aside]
            self._pending = max(len(found), self._pending)
            for text in texts[: self._config.queue_texts]:
                await self._queue.put(text)
            await self._queue.join()
            await self.count_pending()
        except Exception as error:  # noqa: BLE001 - task boundary: the store's trouble must not end the backlog
            self._outage = error
            return False
        return not texts

    async def _after_outage(self, watched: int) -> None:
        self._failed_rounds += 1
        error = self._outage
        self._metrics.embed_failed()
        asked = getattr(error, "retry_after_s", None) or 0.0
        back_off = max(asked, min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2 ** min(self._failed_rounds - 1, 10)))
        _LOGGER.warning("texts stay without vectors, tried again in %.1f s: %s", back_off, error)
        if self._failed_rounds >= _GIVE_UP_ROUNDS or not self._embedder.available:
            self._tell(watched, EmbeddingUnavailableError(f"texts cannot be embedded now: {error}"))
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), back_off)

    async def _drain(self) -> None:
        """Take batches from the queue for ever; a text that failed before makes a batch of its own."""
        size = self._config.batch_texts
        while True:
            taken = [await self._queue.get()]
            while len(taken) < size * _WRITE_BATCHES and not self._queue.empty():
                taken.append(self._queue.get_nowait())
            together = [text for text in taken if text.text_id not in self._failures]
            alone = [[text] for text in taken if text.text_id in self._failures]
            batches = [together[at : at + size] for at in range(0, len(together), size)]
            for at_once in [batches, *([batch] for batch in alone)]:
                if at_once and self._outage is None:
                    await self._embed(at_once)
            for _ in taken:
                self._queue.task_done()

    async def _embed(self, batches: list[list[PendingText]]) -> None:
        """Embed the batches, each by itself, and write together what has vectors."""
        answers = await asyncio.gather(
            *(self._embedder.embed([text.model_text for text in batch]) for batch in batches),
            return_exceptions=True,
        )
        done: list[PendingText] = []
        rows: list[TextVectors] = []
        for batch, answer in zip(batches, answers, strict=True):
            if isinstance(answer, BaseException):
                self._not_embedded(batch, answer)
            elif len(answer) != len(batch):
                self._not_embedded(batch, ValueError(f"{len(answer)} vectors for {len(batch)} texts"))
            else:
                done += batch
                rows += map(TextVectors, [text.text_id for text in batch], answer)
        if not done:
            return
        try:
            await self._write(rows)
            await asyncio.to_thread(
                self._index.add, [row.text_id for row in rows], [row.vectors for row in rows]
            )
        except Exception as error:  # noqa: BLE001 - task boundary: whatever it was, other texts must go on
            self._not_embedded(done, error)
            return
        self._metrics.embedded(len(rows))
        self._pending = max(0, self._pending - len(rows))
        for row in rows:
            self._failures.pop(row.text_id, None)

    def _not_embedded(self, texts: list[PendingText], error: BaseException) -> None:
        """Note why there are no vectors: an outage, which costs no text anything, or the texts themselves."""
        if not isinstance(error, Exception):
            raise error
        if isinstance(error, RetryableError) and not isinstance(error, EmbeddingFailedError):
            self._outage = error
            return
        self._failed(texts, error)

    def _failed(self, batch: list[PendingText], error: Exception) -> None:
        self._metrics.embed_failed()
        if len(batch) > 1:
            self._failures.update({text.text_id: 0 for text in batch})
            return
        text_id = batch[0].text_id
        failures = self._failures.get(text_id, 0) + 1
        self._failures[text_id] = failures
        if failures >= MAX_FAILURES:
            del self._failures[text_id]
            self._set_aside.add(text_id)
            _LOGGER.error(
                "text %s failed %d times and stays without vectors until the next start: %s",
                text_id,
                failures,
                error,
            )

    def _tell(self, watched: int, error: Exception | None) -> None:
        """Answer the first ``watched`` of those who wait; one that went away is passed over."""
        for done in self._waiters[:watched]:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        del self._waiters[:watched]
