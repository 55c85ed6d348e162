"""When the store completes a checkpoint, and that the spool forgets what it covers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from receiver.config import StoreConfig
from receiver.errors import BusyError, RetryableError
from receiver.loader.spool_room import SpoolRoom
from receiver.loader.store_thread import StoreThread
from receiver.loader.transactions import Transactions
from receiver.ports import Spool, StoreWriter
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.trouble import Trouble

_LOG = logging.getLogger(__name__)
_LONGEST_PUT_OFF_S = 60.0  # between two checkpoints that fail: each may cost a store that is opened again


class Checkpoints:
    """Knows when the next one is due, and completes it. Threads: the event loop's; work in the store's thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        room: SpoolRoom,
        transactions: Transactions,
        thread: StoreThread,
        settings: StoreConfig,
        metrics: Metrics,
        wake: Callable[[], None],
    ) -> None:
        """Begin with none due.

        Args:
            spool: Forgets what is covered.
            room: Is measured then.
            transactions: Know the store's writer.
            thread: Where the writer works.
            settings: Intervals.
            metrics: Count checkpoints.
            wake: Called when one is due earlier than :attr:`due_in_s` said.
        """
        self._spool = spool
        self._room = room
        self._transactions = transactions
        self._thread = thread
        self._settings = settings
        self._metrics = metrics
        self._wake = wake
        self._payload_bytes = 0
        self._due: float | None = None
        self._not_before = 0.0
        self._held = False
        self._forgetting: asyncio.Task[None] | None = None
        self._saving = Trouble(
            _LOG, "the store cannot complete a checkpoint", over="the store completes checkpoints again"
        )
        self._removing = Trouble(
            _LOG, "the spool cannot remove what is stored", over="the spool removes what is stored again"
        )

    @property
    def troubles(self) -> tuple[Trouble, Trouble]:
        """Return what keeps checkpoints from being completed, and the spool from forgetting."""
        return self._saving, self._removing

    @property
    def is_failing(self) -> bool:
        """Return True while the last checkpoint failed."""
        return self._saving.text is not None

    @property
    def due_in_s(self) -> float | None:
        """Return the seconds until the next one is due, 0 if it is; None while there is nothing to cover."""
        return None if self._due is None else max(self._due - time.monotonic(), 0)

    @property
    def is_due(self) -> bool:
        """Return True if one should be completed now: it is time, or much was loaded, or the disk is crowded."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if self._transactions.crowded or self._payload_bytes >= self._settings.checkpoint_bytes:
            return True
        return self._due is not None and now >= self._due

    def loaded(self, payload_bytes: int) -> None:
        """Count what the next one has to cover."""
        self._payload_bytes += payload_bytes
        if self._due is None:
            self._due = time.monotonic() + self._settings.checkpoint_interval_s

    def try_again(self) -> None:
        """Put none off any more: the disk may be another one now."""
        self._not_before = 0.0

    def store_recovered(self) -> None:
        """Let one come soon if the store works again after its failures."""
        if self._not_before == 0.0 and self._due is not None:
            self._due = time.monotonic()

    async def complete(self, *, even_if_held: bool = False) -> None:
        """Complete a checkpoint; what it covers leaves the spool in a task of its own.

        While checkpoints are held back it is put off, and so it is after a failure.
        """
        if self._transactions.writer is None:
            return
        try:
            if not self._held or even_if_held:
                await self._complete(self._transactions.writer)
                return
        except BusyError as error:
            _LOG.debug("%s", error)
        except RetryableError as error:
            self._saving.happened(str(error))
        interval = self._settings.checkpoint_interval_s
        if self._saving.text:
            interval = min(interval * 2 ** min(self._saving.failures, 16), max(_LONGEST_PUT_OFF_S, interval))
        self._due = self._not_before = time.monotonic() + interval

    async def hold(self) -> None:
        """Complete a checkpoint and let none follow it until :meth:`release`.

        Between two checkpoints DuckDB writes only to blocks that the last one does not refer to, so the file without
        its log stays what it is now, whatever is loaded meanwhile.
        Source: duckdb/storage/storage_info.hpp, and tests/integration/test_backup.py.

        Raises:
            RetryableError: The store is not open, or the checkpoint did not complete; nothing is held.
        """
        self._held = True  # a checkpoint that has begun is in the thread before ours, and none comes after it
        try:
            await self._complete(self._transactions.opened())
        except BaseException:
            self.release()
            raise
        await self.forgotten()

    def release(self) -> None:
        """Let checkpoints be made again; the one that was put off comes soon."""
        self._held = False
        self._not_before = 0.0
        if self._due is not None:
            self._due = time.monotonic()
            self._wake()

    async def forgotten(self) -> None:
        """Return when the spool has forgotten what the checkpoint before covers."""
        if self._forgetting is not None:
            await asyncio.shield(
                self._forgetting
            )  # who waits for it may be cancelled, and others wait for it too

    async def _complete(self, writer: StoreWriter) -> None:
        started = time.perf_counter()
        covered = await self._thread.try_run(writer.checkpoint)
        self._metrics.checkpointed(time.perf_counter() - started)
        self._saving.ended()
        self._due = None
        self._payload_bytes = 0
        await self.forgotten()
        position = covered.get(self._spool.uuid, 0)
        self._forgetting = asyncio.get_running_loop().create_task(
            self._forget(position), name="forget loaded"
        )

    async def _forget(self, position: int) -> None:
        """Remove what is stored from the spool: hundreds of MB take a second, and loading goes on meanwhile."""
        try:
            await asyncio.to_thread(self._spool.remove_through, position)
            await asyncio.to_thread(self._spool.maintain)
        except RetryableError as error:
            self._removing.happened(str(error))
            if self._due is None:  # the next one removes it
                self._due = time.monotonic() + self._settings.checkpoint_interval_s
                self._wake()
        else:
            self._removing.ended()
        self._room.measure()
