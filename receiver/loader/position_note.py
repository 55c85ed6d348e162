"""A note beside the spool of how far the store has come: it tells a store that went back from one that is behind.

The store's own position is the truth; after its log was cut, or an older copy was put in its place, it is lower
than it once was, and only a second place can know that. The note follows each transaction and is not synced: it
survives the end of the process, and after a power cut it is never ahead of what the store had committed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from uuid import UUID

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 64


class PositionNote:
    """One small file. Threads: one at a time; every method blocks for microseconds."""

    def __init__(self, path: Path) -> None:
        """Note in this file, which is made with the first note."""
        self._path = path
        self._fd = -1

    def read(self, spool: UUID) -> int:
        """Return the last position that was noted for the spool; 0 where there is no note of it."""
        try:
            with self._path.open("rb") as file:
                name, position, end = file.read(_MOST_BYTES).decode("ascii").split(" ")
            return int(position) if (name, end) == (str(spool), "\n") else 0
        except (OSError, ValueError):
            return 0

    def write(self, spool: UUID, position: int) -> None:
        """Note a position; a disk that refuses it costs no more than a line of the log at a later start."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            os.pwrite(self._fd, f"{spool} {position:019d} \n".encode("ascii"), 0)
        except OSError as error:
            _LOG.debug("%s cannot be written: %s", self._path, error)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
