"""A receiver as Python sees it, in this process or behind an address: one contract for agents, files and code.

``receiver.app.access`` implements it on a receiver of this process, ``receiver.client`` over HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from receiver.ports import ImportOutcome, ImportUnit, Outcome
from receiver.questions import RecordTable
from receiver.signals import Signal

Given = Mapping[str, Sequence[str]]
"""A question's parameters as texts, as they would stand in a query string (docs/api.md)."""


class Access(Protocol):
    """**Protocol:** asks a receiver and gives it records. Threads: one event loop; nothing blocks it."""

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Return the answer to a question of ``receiver.api.routes``, as the HTTP API would give it.

        Raises:
            NotFoundError: What was asked for by its id is not stored.
            QueryError: The question cannot be answered as it was asked.
            RetryableError: Not now.
        """
        ...

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Return once the records of an ``Export…ServiceRequest`` (protobuf) are on disk and synced.

        Raises:
            RetryableError: Nothing was acknowledged; the same bytes may be sent again.
            PermanentError: The request as a whole is bad.
        """
        ...

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once the units are on disk, each once; see :class:`receiver.ports.Importer`."""
        ...

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found (by meaning too, if asked for).

        Raises:
            RetryableError: It cannot be stored, or embedded, now.
        """
        ...

    async def close(self) -> None:
        """Let go of the receiver; a second call changes nothing."""
        ...


class RecordAccess(Access, Protocol):
    """**Protocol:** gives whole tables away besides."""

    def record_stream(
        self, table: RecordTable, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the stored records of a table as one Arrow IPC stream; see :class:`receiver.questions.StoreReader`.

        Raises:
            RetryableError: Not now; what was yielded before is not the whole.
        """
        ...
