"""A receiver takes over from the one that runs, and no client is refused: both sides of it. Linux.

The new one asks with two signals. SIGUSR1: share your ports. It binds beside the old one, which is all it can do
then, and has every new connection come to its own sockets, where they wait. SIGUSR2: let go. The old one answers
what it has, closes its listeners, then the spool, and last the database. The new one has the spool as soon as its
lock is free, accepts what waits, and opens the database when it can. docs/adr/0013 has the measurements.

Whom to signal is told by the spool's lock: the process that holds this very file open. A signal is only sent to a
process that handles it; anything else would end it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from receiver.app.bound_ports import BoundPorts
from receiver.app.data_directory import prepare_data_directory
from receiver.config import Settings
from receiver.errors import StartError
from receiver.transport.shared_ports import can_share, share, stop_sharing

SHARE, LET_GO = signal.SIGUSR1, signal.SIGUSR2
PATIENCE_S = 30.0
"""How long the old receiver may take for each of the two answers, and how long it shares its ports for nothing."""
_READY_S = 2.0
_LOOK_S = 0.002

_LOG = logging.getLogger(__name__)


class TakeOver:
    """The side of the new receiver; a context manager, because only one process at a time can do this."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is done yet."""
        self._settings = settings
        self._spool_lock = settings.spool_path.with_name(settings.spool_path.name + ".lock")
        self._mine = -1

    def __enter__(self) -> Self:
        """Be the one that takes over.

        Raises:
            StartError: Another process is at it, the data directory cannot be used, or this is not Linux.
        """
        if not can_share():
            raise StartError(
                f"--take-over does not work on {sys.platform}", hint="stop the running receiver, then start"
            )
        data = self._settings.data_path
        prepare_data_directory(data)
        self._mine = os.open(_taker_lock(self._settings), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._mine)
            raise StartError(
                f"another process is taking over {data} already", hint="wait for its end, then look again"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others take over."""
        os.close(self._mine)

    async def ports(self) -> BoundPorts | None:
        """Return when the spool can be opened: our ports, or None if no receiver runs.

        Raises:
            StartError: The running receiver cannot be asked, or did not do what it was asked for in time. Before
                it was asked to let go it works on as if nothing had been.
            ConfigError: As :meth:`BoundPorts.beside`.
        """
        if not _is_locked(self._spool_lock):
            return None
        old = await self._old()
        try:
            bound = await self._beside(old)
            try:
                _send(old, LET_GO)
                await self._wait_for_the_spool()
            except BaseException:
                bound.close()
                raise
        finally:
            os.close(old)
        return bound

    async def _old(self) -> int:
        """Return a handle of the process that holds the spool and can be asked."""
        deadline = time.monotonic() + _READY_S
        while True:
            pid = _pid_in(self._spool_lock)
            with suppress(OSError):
                handle = os.pidfd_open(pid)
                if _has_open(pid, self._spool_lock) and _handles(pid, SHARE, LET_GO):
                    return handle
                os.close(handle)
            if time.monotonic() > deadline:
                raise StartError(
                    f"the receiver on {self._settings.data_path} (pid {pid}) cannot be taken over from: it is no"
                    " otlp-receiver serve of this user and machine, or of an older release",
                    hint="stop it (SIGTERM), then start without --take-over",
                )
            await asyncio.sleep(_LOOK_S)

    async def _beside(self, old: int) -> BoundPorts:
        deadline = time.monotonic() + PATIENCE_S
        _send(old, SHARE)
        while True:
            try:
                return await BoundPorts.beside(self._settings)
            except StartError as error:
                if not _is_locked(self._spool_lock):
                    raise StartError(
                        "the running receiver has ended meanwhile", hint="start again"
                    ) from error
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{error.message}, and the running receiver did not share it within {PATIENCE_S:.0f} s;"
                        " it works on",
                        hint="look into its log; it may listen elsewhere than this one is told to",
                    ) from error
            await asyncio.sleep(_LOOK_S)

    async def _wait_for_the_spool(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while _is_locked(self._spool_lock):
            if time.monotonic() > deadline:
                raise StartError(
                    f"the running receiver did not let go of {self._spool_lock.parent} within {PATIENCE_S:.0f} s",
                    hint="look into its log; if it has stopped answering, end it and start again",
                )
            await asyncio.sleep(_LOOK_S)


class HandOver:
    """The side of the old receiver, from its start to its end. Threads: one event loop's."""

    def __init__(self, settings: Settings, ports: Collection[int], let_go: Callable[[], None]) -> None:
        """Handle both signals from here on.

        Args:
            settings: Of this receiver.
            ports: Those of its listeners.
            let_go: Called once another receiver listens on them and waits for the spool.
        """
        self._settings = settings
        self._ports = frozenset(ports)
        self._let_go = let_go
        self._loop = asyncio.get_running_loop()
        self._until: asyncio.TimerHandle | None = None
        if can_share():
            stop_sharing(self._ports)  # with the one that was taken over from
            self._loop.add_signal_handler(SHARE, self._share)
            self._loop.add_signal_handler(LET_GO, self._asked)

    def close(self) -> None:
        """Forget the timer."""
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _share(self) -> None:
        self.close()
        share(self._ports)
        self._until = self._loop.call_later(PATIENCE_S, stop_sharing, self._ports)

    def _asked(self) -> None:
        if _is_locked(_taker_lock(self._settings)):
            self.close()
            self._let_go()
        else:  # it gave up before this process came to read the signal
            _LOG.warning("asked to hand over, and no process is there to take over; this one works on")


def _taker_lock(settings: Settings) -> Path:
    return settings.data_path / "take-over.lock"


def _is_locked(path: Path) -> bool:
    """Return True if a living process holds the lock."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _pid_in(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return 0


def _send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended: its locks are free
        signal.pidfd_send_signal(process, number)


def _has_open(pid: int, path: Path) -> bool:
    """Return True if the process has this very file open: a number of another container has not."""
    wanted = path.stat()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if os.path.samestat(handle.stat(), wanted):
                return True
    return False


def _handles(pid: int, *numbers: signal.Signals) -> bool:
    """Return True if the process handles all these signals."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("SigCgt:"):
            caught = int(line.split()[1], 16)
            return all(caught >> (number - 1) & 1 for number in numbers)
    return False
