"""A whole receiver inside another program: the same spool, store, texts and search, and no listener."""

from __future__ import annotations

import asyncio

from receiver.app.access import LocalAccess
from receiver.app.receiver import Receiver
from receiver.config import Settings
from receiver.errors import StartError, StoreUnavailableError


class EmbeddedReceiver(LocalAccess):
    """An access that owns its receiver. Threads: the event loop it was opened in."""

    def __init__(self, receiver: Receiver) -> None:
        """Use :meth:`open`."""
        super().__init__(receiver.answering.service, receiver.intake, receiver.answering.importer)
        self._receiver = receiver
        self._closed = False

    @classmethod
    async def open(cls, settings: Settings) -> EmbeddedReceiver:
        """Return a receiver on the data directory of ``settings``, its store open, nothing listening.

        Raises:
            StartError: The data directory cannot be used, belongs to a running receiver, or its files to a newer
                release.
            StoreUnavailableError: Another process holds the database (after ``store.open_retry_s``).

        Cancellation: what was opened is closed again.
        """
        receiver = await asyncio.to_thread(Receiver, settings.without_listeners())
        try:
            await receiver.start()
            await open_store(receiver)
        except BaseException:
            await receiver.stop()
            raise
        return cls(receiver)

    @property
    def receiver(self) -> Receiver:
        """Return the receiver itself."""
        return self._receiver

    async def close(self) -> None:
        """Store what was accepted and close; a second call changes nothing."""
        if not self._closed:
            self._closed = True
            await self._receiver.stop()


async def open_store(receiver: Receiver) -> None:
    """Return once a started receiver has its store open and its vector index filled.

    Raises:
        StartError: It cannot be opened.
        StoreUnavailableError: Not within ``store.open_retry_s``; another process holds it.
    """
    answering = receiver.answering
    waiting = asyncio.ensure_future(answering.store.opened.wait())
    opening = answering.opening
    try:
        await asyncio.wait(
            {waiting, opening},
            timeout=receiver.settings.store.open_retry_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if waiting.done() or answering.store.opened.is_set():
            await asyncio.wait({opening})  # its last part brings the vector index in
            return
        if opening.done():  # it ended without opening: the reason is among the failures
            raise StartError("; ".join(answering.running.failures) or "the store could not be opened")
        raise StoreUnavailableError(receiver.loader.problem or "the store could not be opened in time")
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
