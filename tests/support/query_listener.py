"""The query listener's other side: a client that asks over real sockets, and what stands for the receiver."""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import dataclass, field
from typing import Any

from receiver.errors import RetryableError
from receiver.questions import PipelineFigures


@dataclass
class RunningServer:
    """Stands for the rest of the receiver: pipeline and health."""

    found_problems: list[str] = field(default_factory=list)
    flushed: list[bool] = field(default_factory=list)
    broken: RetryableError | None = None

    async def flush(self, *, embeddings: bool) -> None:
        """Remember it, or fail as told."""
        if self.broken:
            raise self.broken
        self.flushed.append(embeddings)

    async def requeue(self) -> int:
        """Put nothing back: there is no quarantine here."""
        return 0

    async def figures(self) -> PipelineFigures:
        """Return some."""
        return PipelineFigures(spool={"requests": 0}, quarantine={"requests": 0})

    def problems(self) -> list[str]:
        """Return what the test put there."""
        return self.found_problems


@dataclass(frozen=True)
class Answer:
    """What came back over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks over a real connection."""

    port: int

    async def ask(
        self, target: str, *, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Return the answer to one request; a body that is not bytes is sent as JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        return await asyncio.to_thread(self._ask, target, method, body, sent)

    def send(self, target: str, body: Any) -> http.client.HTTPConnection:
        """Send a request and return its connection without waiting for the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", target, json.dumps(body).encode(), {"content-type": "application/json"})
        return connection

    def _ask(self, target: str, method: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()
