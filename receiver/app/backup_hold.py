"""Holds the store's file still while a program on this machine copies it; implements ``receiver.api.backups.Holds``.

The receiver writes no file for a caller: who makes a backup reads the files with its own rights, and all that a
caller of the API can do is to put checkpoints off. Meanwhile requests are accepted and stored as ever, and the spool
keeps them; so a hold ends by itself when nobody renews it, or when the spool has filled to a half.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from receiver.api.backups import HeldFiles
from receiver.config import Settings
from receiver.errors import NotFoundError, RetryableError
from receiver.loader.loader import Loader
from receiver.ports import Clock, Spool

_LOG = logging.getLogger(__name__)
_HOLD_S = 60.0
_SPOOL_SHARE = 0.5


class CheckpointHolds:
    """One hold at a time. Threads: the event loop's."""

    def __init__(self, settings: Settings, *, loader: Loader, spool: Spool, clock: Clock) -> None:
        """Hold nothing yet."""
        self._settings = settings
        self._loader = loader
        self._spool = spool
        self._clock = clock
        self._hold: str | None = None
        self._end: asyncio.TimerHandle | None = None
        self._closed = False

    async def begin(self) -> HeldFiles:
        """Store what was acknowledged before the call, complete a checkpoint, and hold the next ones back."""
        self._check_running()
        if self._hold is not None:
            raise RetryableError("another backup is being made", hint="it ends soon, or is given up")
        hold = self._hold = secrets.token_hex(16)
        moment_ns = self._clock()
        try:
            await self._loader.flush()
            await self._loader.checkpoints.hold()
            self._check_running()
        except BaseException:
            self._hold = None
            self._loader.checkpoints.release()
            raise
        self._extend()
        _LOG.info("checkpoints wait for a backup")
        return HeldFiles(
            hold=hold,
            seconds=_HOLD_S,
            moment_ns=moment_ns,
            store_path=str(self._settings.store_path.absolute()),
            spool_path=str(self._settings.spool_path.absolute()),
            spool=self._spool.uuid,
        )

    def renew(self, hold: str) -> None:
        """Go on holding; see the protocol."""
        self._check(hold)
        if self._loader.spool_bytes >= self._settings.spool.max_bytes * _SPOOL_SHARE:
            self._release("given up: the spool is half full")
            raise NotFoundError(
                "the hold has ended: the spool has filled to a half meanwhile",
                hint="back up when less comes in, to a faster disk, or with a larger spool.max_bytes",
            )
        self._extend()

    def end(self, hold: str) -> None:
        """Make checkpoints again; returning means that the hold lasted until now."""
        self._check(hold)
        self._release("done")

    def close(self) -> None:
        """End the hold, if there is one, and begin no other; its holder is told that it did not last."""
        self._closed = True
        if self._hold is not None:
            self._release("given up: the receiver stops")

    def _check_running(self) -> None:
        if self._closed:
            raise RetryableError("the receiver is stopping", hint="back up when it runs again")

    def _check(self, hold: str) -> None:
        if self._hold is None or not secrets.compare_digest(hold.encode(), self._hold.encode()):
            raise NotFoundError(
                "there is no such hold, or it has ended", hint="make the backup again from its beginning"
            )

    def _extend(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(
            _HOLD_S, self._release, f"given up: not renewed for {_HOLD_S:.0f} s"
        )

    def _release(self, why: str) -> None:
        self._hold = None
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._loader.checkpoints.release()
        _LOG.info("a backup's hold on checkpoints has ended: %s", why)
