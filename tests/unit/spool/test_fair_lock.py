"""Who waits goes first."""

from __future__ import annotations

from threading import Thread

from receiver.spool.fair_lock import FairLock


def test_a_waiting_thread_goes_before_one_that_takes_the_lock_again() -> None:
    """A thread that releases and takes again at once finds that the other one had its turn."""
    lock = FairLock()
    turns: list[int] = []

    def take(turn: int) -> None:
        with lock:
            turns.append(turn)

    for turn in range(200):
        with lock:
            waiter = Thread(target=take, args=(turn,))
            waiter.start()
            while not lock._doorway.locked():
                pass
        with lock:
            assert turns[-1:] == [turn]
        waiter.join()
