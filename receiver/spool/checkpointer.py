"""Checkpoints of the spool's write-ahead log, outside every commit, on a connection of their own."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from receiver.spool.failures import disk_errors_named
from receiver.spool.spool_reader import SpoolReader
from receiver.spool.spool_schema import WAL_BYTES, connect
from receiver.spool.spool_writer import SpoolWriter

_REST_BYTES = 4 << 20
_PASSES = 4


class Checkpointer:
    """Copies the log into the file. Threads: any; one at a time, the others wait."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        self.turn = Lock()
        """Held while the log is copied; whoever takes a reader's or the writer's turn as well takes this one first."""
        self._folder = path.parent
        self._connection = connect(path)

    def run(self, reader: SpoolReader, writer: SpoolWriter) -> None:
        """Bring what the log holds into the file; appends go on meanwhile.

        Under steady appends such a checkpoint never reaches the log's end, and only a log that was copied to
        its end is written from the start again. So a log above ``WAL_BYTES`` is copied in passes, each over what
        was appended during the one before, and the small rest with the writer held back.

        Raises:
            SpoolUnavailableError: The file cannot be written.
        """
        with self.turn:
            copied = self._pass()
            if copied * writer.page_bytes <= WAL_BYTES:
                return
            for _ in range(_PASSES):
                before, copied = copied, self._pass()
                if (copied - before) * writer.page_bytes <= _REST_BYTES:
                    break
            with reader.held_back(), writer.turn:
                self._pass()

    def _pass(self) -> int:
        """Copy the log as far as no reader needs it; return the log's length in frames."""
        with disk_errors_named("checkpoint", self._folder):
            _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(frames)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._connection.close()
