"""Questions about agents' sessions: records from the store in, the view of ``receiver.sessions`` out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from receiver.errors import InvalidFilterError, NotFoundError
from receiver.questions import AgentRecord, SessionFilters, StoreReader
from receiver.sessions.prices import PriceTable, packaged_prices

MOST_RECORDS = 100_000
"""Records of a session that are read unless more is asked for; they are held in memory while it is put together."""
_LEAST_PREFIX = 6
_MOST_IDS = 10_000
_SHOWN_IDS = 5


class AgentSessions:
    """Answers questions about sessions. Threads: one event loop; sessions are put together in worker threads."""

    def __init__(self, reader: StoreReader, prices: PriceTable | None) -> None:
        """Keep what answers are made of.

        Args:
            reader: Of the store.
            prices: For calls whose cost nobody reported; None: the packaged table, read with the first question.
        """
        self._reader = reader
        self._prices = prices

    async def sessions(self, filters: SessionFilters, limit: int) -> dict[str, Any]:
        """Return ``sessions``, one row each, the one with the newest record first, and ``truncated``.

        A row is truncated where its session has more than ``MOST_RECORDS`` records; then its sums are too small.
        """
        ids = await self._reader.session_ids(filters, limit)
        found = await self._reader.session_records(ids, MOST_RECORDS)
        rows = []
        for session_id in ids:
            own = found
            if found.truncated and len(ids) > 1:
                own = await self._reader.session_records([session_id], MOST_RECORDS)
            records = own.records.get(session_id, ())
            if records:  # none: it was deleted a moment ago
                row = await asyncio.to_thread(self._summary, session_id, records)
                rows.append({**row, "truncated": own.truncated})
        return {"sessions": rows, "truncated": any(row["truncated"] for row in rows)}

    async def session(self, session_id: str, limit: int = MOST_RECORDS) -> dict[str, Any]:
        """Return one session with its turns and calls.

        Args:
            session_id: Its id, or at least 6 characters that only its id begins with.
            limit: Most records that are read, the earliest; ``truncated`` says whether there are more.

        Raises:
            NotFoundError: There is no such session.
            InvalidFilterError: Several ids begin so.
        """
        found = await self._reader.session_records([session_id], limit)
        if not found.records.get(session_id):
            session_id = await self._completed(session_id)
            found = await self._reader.session_records([session_id], limit)
        records = found.records.get(session_id)
        if not records:
            raise _not_found(session_id)
        tree = await asyncio.to_thread(self._tree, session_id, records)
        return {**tree, "truncated": found.truncated}

    def _tree(self, session_id: str, records: Sequence[AgentRecord]) -> dict[str, Any]:
        from receiver.sessions.session import session_tree  # noqa: PLC0415 - not before the first question

        return session_tree(session_id, records, self._prices or packaged_prices())

    def _summary(self, session_id: str, records: Sequence[AgentRecord]) -> dict[str, Any]:
        from receiver.sessions.session import session_summary  # noqa: PLC0415 - see _tree

        return session_summary(self._tree(session_id, records))

    async def _completed(self, prefix: str) -> str:
        if len(prefix) < _LEAST_PREFIX:
            raise _not_found(prefix)
        ids = await self._reader.session_ids(SessionFilters(), _MOST_IDS)
        matching = [each for each in ids if each.startswith(prefix)]
        if not matching:
            raise _not_found(prefix)
        if len(matching) > 1:
            shown = ", ".join(sorted(matching)[:_SHOWN_IDS])
            raise InvalidFilterError(
                f"{len(matching)} sessions begin with {prefix!r}", hint=f"write more of the id: {shown}"
            )
        return matching[0]


def _not_found(session_id: str) -> NotFoundError:
    return NotFoundError(
        f"no session {session_id!r} is stored",
        hint=f"list sessions; an id may be cut to its first {_LEAST_PREFIX} characters or more",
    )
