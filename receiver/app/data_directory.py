"""The folder that a receiver owns: made, checked for writing, private."""

from __future__ import annotations

import os
from pathlib import Path

from receiver.errors import StartError


def prepare_data_directory(path: Path) -> None:
    """Make the folder if it is not there, and know that files can be written in it.

    Raises:
        StartError: It cannot be made or written; the message says which and what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError(
            f"the data directory {path} cannot be made: {error.strerror}",
            hint="give another one with --data-dir, or change the permissions of its parent",
        ) from error
    probe = path / f".write-probe-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"the data directory {path} is not writable: {error.strerror}",
            hint="give another one with --data-dir, or change its owner or permissions",
        ) from error
