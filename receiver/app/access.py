"""A receiver of this process as an ``Access``: what the listeners, agents and Python code share."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from receiver.access import Given
from receiver.api.routes import ROUTES, ask
from receiver.errors import QueryError
from receiver.ports import ExportRequest, Importer, ImportOutcome, ImportUnit, Intake, Outcome, Transport
from receiver.query.service import QueryService
from receiver.questions import RecordTable
from receiver.signals import Signal

_WAIT_S = 60.0
_ROUTES = {route.name: route for route in ROUTES}


class LocalAccess:
    """Implements ``receiver.access.Access``. Threads: the event loop of the receiver."""

    def __init__(self, service: QueryService, intake: Intake, importer: Importer) -> None:
        """Ask ``service``, hand in to ``intake`` and ``importer``; own none of them."""
        self.service = service
        self._intake = intake
        self._importer = importer

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Return the answer to a question, as the HTTP API would give it."""
        route = _ROUTES.get(question)
        if route is None:
            raise QueryError(f"there is no question {question!r}", hint=f"known are: {', '.join(_ROUTES)}")
        return await ask(route, self.service, given or {}, now_ns=time.time_ns())

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Return once the records are on disk and synced."""
        await self._intake.budget.reserve(len(body), wait_s=_WAIT_S)
        return await self._intake.accept(
            ExportRequest(signal, body, transport=Transport.IMPORT), wait_s=_WAIT_S
        )

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once the units are on disk, each once."""
        return await self._importer.import_units(units)

    def record_stream(
        self, table: RecordTable, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the stored records of a table as one Arrow IPC stream."""
        return self.service.record_stream(table, since_ns, until_ns)

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found."""
        await self.service.flush(embeddings=embeddings)

    async def close(self) -> None:
        """Do nothing: the receiver belongs to somebody else."""
