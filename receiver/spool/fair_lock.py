"""A lock that lets a waiting thread go before one that has just held it."""

from __future__ import annotations

from threading import Lock


class FairLock:
    """Mutual exclusion in turns: a loop of short commits cannot keep an append out between two of them.

    A plain lock that is released and taken again at once usually stays with the same thread, because the one
    that waits has to wake up first. Here who waits stands in the only doorway, and all others wait behind.
    Threads: any; not reentrant.
    """

    def __init__(self) -> None:
        """Start free."""
        self._doorway = Lock()
        self._held = Lock()

    def __enter__(self) -> None:
        with self._doorway:
            self._held.acquire()

    def __exit__(self, *_: object) -> None:
        self._held.release()
