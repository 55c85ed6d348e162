"""A request between its arrival and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from receiver.errors import ReceiverError
from receiver.ports import ExportRequest, Outcome, SpoolEntry, Verdict


class WaitingRequest:
    """One request that was taken up, and everybody who waits for its answer: its client and their retries."""

    __slots__ = ("answers", "import_keys", "key", "request", "verdict")

    def __init__(self, request: ExportRequest, key: bytes, import_keys: Sequence[bytes]) -> None:
        """Begin without a verdict, and with nobody who waits."""
        self.request = request
        self.key = key
        self.import_keys = import_keys
        self.verdict: Verdict | None = None
        self.answers: list[asyncio.Future[Outcome | ReceiverError]] = []
        """Errors come as results: of an exception that nobody is left to look at asyncio would complain."""

    def answer(self, outcome: Outcome | ReceiverError) -> None:
        """Tell those who still wait. Threads: the event loop's."""
        for answer in self.answers:
            if not answer.done():
                answer.set_result(outcome)

    def entry(self) -> SpoolEntry:
        """Return what goes to disk; there is a verdict."""
        verdict = self.verdict
        assert verdict is not None  # noqa: S101 - only requests with a verdict are committed
        return SpoolEntry(
            signal=self.request.signal,
            payload=verdict.payload,
            records=verdict.records,
            outcome=verdict.outcome,
            key=self.key if verdict.identifiable else None,
            import_keys=self.import_keys,
        )
