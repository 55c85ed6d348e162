"""A file system of a few megabytes, and a file that fills it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = 1 << 16


class NoMountError(Exception):
    """This user may not mount."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs of this size on the folder, which is made; unmount it at the end.

    Raises:
        NoMountError: This user may not; the message says why.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoMountError("there is no mount command") from None
    if mounted.returncode:
        raise NoMountError(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def filled(folder: Path, *, leave: int = 0) -> Iterator[None]:
    """Keep a file in the folder that takes all of its disk but ``leave`` bytes, and its last bytes when it is 0."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                disk = os.statvfs(folder)
                free = disk.f_bavail * disk.f_frsize - leave
                if free <= 0 and leave:
                    break
                file.write(bytes(min(max(free, 1), _PIECE)))
        yield
    finally:
        ballast.unlink(missing_ok=True)
