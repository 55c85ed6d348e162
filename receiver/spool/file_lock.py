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


def lock_holder(path: Path) -> int | None:
    """Return the process that holds the lock of ``path``, or None; takes no lock and changes nothing.

    Where the system does not list its locks (/proc/locks), a process of the noted id that lives counts as the holder.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        inode, noted = lock.stat().st_ino, int(lock.read_text("ascii").strip() or 0)
    except (OSError, ValueError):
        return None
    try:
        listed = Path("/proc/locks").read_text("ascii")
    except OSError:
        return noted if _lives(noted) else None
    for line in listed.splitlines():
        words = line.split()
        if "FLOCK" in words and "->" not in words and any(w.endswith(f":{inode}") for w in words):
            return noted
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return pid > 0
