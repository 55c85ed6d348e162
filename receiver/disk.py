"""What a folder's disk has to say: how much is free, and why nothing can be written."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

_PROBE_BYTES = 128 << 10
"""More than any file's slack: a disk without a free block refuses it."""
_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow any further (the process's limit, or the file system's)",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk fails (input/output error)",
    errno.EACCES: "there is no right to write the folder",
    errno.ENOENT: "the folder has gone",
}
_PASSING = (*_WORDS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)


def free_bytes(folder: Path) -> int:
    """Return what an unprivileged process may still write to the folder's disk. Blocks.

    Raises:
        OSError: The folder has gone, or the disk does not answer.
    """
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def sync_folder(folder: Path) -> None:
    """Return once the names of the folder's files outlive a power cut, as far as its file system can tell. Blocks.

    Raises:
        OSError: The folder cannot be opened, or the disk failed.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync no folders
            raise
    finally:
        os.close(handle)


def why_not_writable(folder: Path) -> str | None:
    """Return why no file can be written in the folder, in words for an operator; None if one can. Blocks."""
    probe = folder / f".disk-probe-{os.getpid()}"
    try:
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        return words_of(error)
    return None


def words_of(error: OSError) -> str:
    """Return what an error of the operating system means for an operator."""
    return _WORDS.get(error.errno or 0, error.strerror or str(error))


def cause_in(text: str) -> str | None:
    """Return the disk's trouble that another program's error names in the words of the C library; None: there is none."""
    return next(
        (_WORDS.get(number, name) for number in _PASSING if (name := os.strerror(number)) in text), None
    )
