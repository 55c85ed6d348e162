"""Whether the spool's disk does its work: what every commit tells, and a look where no commit does."""

from __future__ import annotations

import asyncio
import logging
import time

from receiver.errors import ReceiverError
from receiver.intake.group_worker import Committer
from receiver.ports import Spool
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.trouble import Trouble

_LOG = logging.getLogger("receiver.intake")
_PROBE_S = 1.0
"""A disk in trouble is tried so often when no request does it: who is not ready may get none."""


class DiskWatch:
    """The state of the spool's disk, as commits show it. Threads: the event loop's."""

    def __init__(self, spool: Spool, metrics: Metrics, *, patience_s: float) -> None:
        """Begin without trouble; a commit that takes longer than ``patience_s`` is trouble too."""
        self._spool = spool
        self._metrics = metrics
        self._patience_s = patience_s
        self._refusing = Trouble(_LOG, "the spool cannot be written", over="the spool can be written again")
        self._crawling = Trouble(
            _LOG, "the spool's disk is slow", over="the spool's disk is as fast as it must be"
        )
        self._in_trouble = asyncio.Event()

    def problem(self, commit_began: float | None) -> str | None:
        """Return why requests cannot be made durable, or not in the time that a client waits; None if they can."""
        if self._refusing.text is not None:
            return self._refusing.text
        if commit_began is not None:
            waited_s = time.monotonic() - commit_began
            if waited_s > self._patience_s:
                return f"the disk is slow: a commit has been waiting for it for {waited_s:.0f} s"
        return self._crawling.text and f"the disk is slow: {self._crawling.text}"

    def worked(self, seconds: float) -> None:
        """Take note of a commit."""
        self._refusing.ended()
        self._metrics.spool_writable.set(1)
        if seconds > self._patience_s:
            self._crawling.happened(f"a commit took {seconds:.1f} s")
            self._in_trouble.set()
        else:
            self._crawling.ended()
            self._in_trouble.clear()

    def failed(self, error: Exception) -> None:
        """Take note of a commit that failed."""
        self._refusing.happened(str(error), error=None if isinstance(error, ReceiverError) else error)
        self._metrics.spool_writable.set(0)
        self._in_trouble.set()

    async def run(self, committer: Committer) -> None:
        """While the disk is in trouble and nobody else finds out whether it still is: find out."""
        while True:
            await self._in_trouble.wait()
            await asyncio.sleep(_PROBE_S)
            if committer.began is not None or time.monotonic() - committer.ended < _PROBE_S:
                continue
            started = time.monotonic()
            try:
                await asyncio.to_thread(self._spool.verify_writable)
            except Exception as error:  # noqa: BLE001 - task boundary: as of a commit
                self.failed(error)
            else:
                self.worked(time.monotonic() - started)
