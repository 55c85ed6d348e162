"""A receiver on an event loop in a thread of its own, for code that has no loop: tests, SDK exporters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from receiver.app.access import LocalAccess
from receiver.app.embedded import open_store
from receiver.app.receiver import Receiver
from receiver.config import Settings
from receiver.errors import ShuttingDownError

T = TypeVar("T")
_STOP_S = 60.0


class ReceiverThread:
    """Owns a receiver, its loop and the thread; what listens is what ``settings.listen`` says.

    Threads: every method may be called from any thread but the receiver's own; each blocks.
    """

    def __init__(self, settings: Settings) -> None:
        """Start it and return once the listeners accept and the store is open.

        Raises:
            StartError: A port is taken, or the data directory cannot be used or belongs to a running receiver.
            StoreUnavailableError: Another process holds the database.
        """
        self.settings = settings
        self.addresses: Mapping[str, str] = {}
        """Of each listener by its name: ``OTLP/gRPC``, ``OTLP/HTTP``, ``query``."""
        self._stop: Callable[[], object] = lambda: None
        self.receiver: Receiver | None = None
        """While it runs; to be used on its own loop (:meth:`call`)."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._access: LocalAccess | None = None
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="otlp-receiver", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._thread.join()
            raise

    def call(
        self, question: Callable[[LocalAccess], Coroutine[Any, Any, T]], *, timeout_s: float = 60.0
    ) -> T:
        """Return what a coroutine on the receiver's loop returns; it is given the receiver's access.

        Raises:
            ShuttingDownError: The receiver is closed.
            TimeoutError: It took longer than ``timeout_s``; it is cancelled.
        """
        loop, access = self._loop, self._access
        if loop is None or access is None:
            raise ShuttingDownError("the receiver in this process is closed")
        asked = asyncio.run_coroutine_threadsafe(question(access), loop)
        try:
            return asked.result(timeout_s)
        except TimeoutError:
            asked.cancel()
            raise

    def close(self) -> None:
        """Store what was accepted and stop; a second call changes nothing."""
        loop, self._access = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stop)
            self._thread.join(_STOP_S)
            self._loop = None

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - the thread's boundary: the starting thread raises it
            if not self._started.done():
                self._started.set_exception(error)

    async def _run(self) -> None:
        stop = asyncio.Event()
        self._stop = stop.set
        receiver = await asyncio.to_thread(Receiver, self.settings)
        try:
            self.addresses = await receiver.start()
            await open_store(receiver)
            self._loop = asyncio.get_running_loop()
            self._access = receiver.answering.access
            self.receiver = receiver
            self._started.set_result(None)
            await stop.wait()
        finally:
            await receiver.stop()
