"""What became of one attempt to export a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``status`` is the code's name for gRPC and the number for HTTP."""

    status: str
    accepted: bool
    retryable: bool = False
    retry_after_s: float | None = None
    """What the receiver asked for."""
    rejected: bool = False
    """It was accepted and says in ``partial_success`` that records of it were not, or warns."""


ACCEPTED = Answer("OK", accepted=True)


class Sender(Protocol):
    """A client of one receiver. Many calls may be under way at a time."""

    async def send(self, body: bytes) -> Answer:
        """Return the answer to a request; failures of the connection are answers too."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
