"""The folder that a receiver owns: made, checked for writing, private."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from receiver.disk import sync_folder
from receiver.errors import StartError

RESTORE_PLAN = "restore.plan"
"""In the folder while a restore moves its files."""

_LOG = logging.getLogger(__name__)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_files_private() -> None:
    """Take every right of group and others from each file that this process makes from here on."""
    os.umask(os.umask(_OTHERS) | _OTHERS)


def loose_mode(path: Path) -> list[str]:
    """Return a sentence if others may enter the folder; it is theirs to decide, so nothing is changed."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return []
    if not mode & _OTHERS:
        return []
    return [f"the data directory {path} has mode {mode:04o}: other users can enter it; chmod 700 it"]


def prepare_data_directory(path: Path) -> None:
    """Make the folder if it is not there, and know that files can be written in it.

    Raises:
        StartError: It cannot be made or written, or a restore is not finished; the message says which and what to do.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in made:
            sync_folder(folder.parent)  # what is acknowledged in it is not lost with its name
    except OSError as error:
        raise StartError(
            f"the data directory {path} cannot be made: {error.strerror}",
            hint="give another one with --data-dir, or change the permissions of its parent",
        ) from error
    if (path / RESTORE_PLAN).exists():
        raise StartError(
            f"a restore into {path} is being made, or was cut short",
            hint="run otlp-receiver restore again, with the same --data-dir: it finishes that one first",
        )
    for warning in loose_mode(path):
        _LOG.warning("%s", warning)
    probe = path / f".write-probe-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"the data directory {path} is not writable: {error.strerror}",
            hint="give another one with --data-dir, or change its owner or permissions",
        ) from error
