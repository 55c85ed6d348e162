"""A StoreWriter that stands before another one, for tests to change what one call does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from receiver.ports import LoadBatch, Retired, StoreWriter, TextVectors


class StoreWriterBeside:
    """Passes every call on to the writer behind it; subclasses change one."""

    def __init__(self, writer: StoreWriter) -> None:
        """Stand before ``writer``."""
        self._writer = writer

    def revive(self) -> bool:
        """Open it again if it has given up."""
        return self._writer.revive()

    def verify_writable(self) -> None:
        """Look at its disk."""
        self._writer.verify_writable()

    @property
    def is_crowded(self) -> bool:
        """Return whether a checkpoint must not wait."""
        return self._writer.is_crowded

    def position(self, spool: UUID) -> int:
        """Return the stored position."""
        return self._writer.position(spool)

    def load(self, batch: LoadBatch) -> None:
        """Load."""
        self._writer.load(batch)

    def checkpoint(self) -> Mapping[UUID, int]:
        """Complete a checkpoint."""
        return self._writer.checkpoint()

    def write_embeddings(self, rows: Sequence[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors."""
        self._writer.write_embeddings(rows, model=model, replace=replace)

    def retire(self, *, before_ns: int) -> Retired:
        """Delete."""
        return self._writer.retire(before_ns=before_ns)

    def age_at(self, share: float) -> int | None:
        """Return a time."""
        return self._writer.age_at(share)

    def used_bytes(self) -> int:
        """Return bytes."""
        return self._writer.used_bytes()
