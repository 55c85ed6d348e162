"""One process per spool: a lock beside the file that the kernel releases whichever way its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from receiver.errors import StartError


class FileLock:
    """Holds ``<path>.lock`` from its making until :meth:`release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock and write this process's id into it.

        Raises:
            StartError: Another holder has it; the message names its process.
            OSError: The lock's file cannot be opened.
        """
        lock = path.with_name(path.name + ".lock")
        self._fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StartError(
                f"{path.parent} belongs to a running receiver (pid {holder})",
                hint="stop that one first, or choose another folder with --data-dir",
            ) from None
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let the next process in; safe to call twice. The file stays: removing it would be a race."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
