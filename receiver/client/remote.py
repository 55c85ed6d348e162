"""A receiver behind an address as an ``Access``: HTTP in threads, so that no event loop waits."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from receiver.access import Given
from receiver.client.credentials import Credentials
from receiver.client.server import NoAnswerError, Server
from receiver.errors import EmbeddingOffError, RetryableError
from receiver.ports import ImportOutcome, ImportUnit, Outcome
from receiver.questions import RecordTable
from receiver.signals import Signal
from receiver.times import NS
from receiver.units import in_parts

_EXPORTS = "/api/v1/exports/"
_ARROW = "application/vnd.apache.arrow.stream"
_REQUEST_BYTES = 8 << 20
_PATIENCE_S = 30.0
_LONGEST_PAUSE_S = 2.0
T = TypeVar("T")


class RemoteAccess:
    """Implements ``receiver.access.Access``. Threads: one event loop."""

    def __init__(self, endpoint: str, credentials: Credentials | None = None) -> None:
        """Keep where to ask. Blocks for the disk where there are credentials in files.

        Args:
            endpoint: Of the query listener: ``http://host:port`` or ``https://host:port``.
            credentials: What to show there; None: what the environment says.

        Raises:
            QueryError: The endpoint cannot be read.
            ConfigError: A file of the credentials cannot be read.
        """
        self._server = Server(endpoint, credentials)

    async def check(self) -> None:
        """Return if a receiver answers there.

        Raises:
            NoAnswerError: Nothing listens.
        """
        await asyncio.to_thread(self._server.request, "GET", "/healthz")

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Return the answer to a question."""
        answer: dict[str, Any] = await asyncio.to_thread(
            lambda: json.loads(self._server.ask(question, given or {}))
        )
        return answer

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Return once the records are on disk and synced."""
        answer = await asyncio.to_thread(self._posted, [_unit(signal, body, None)])
        return Outcome(answer["rejected"], answer["message"])

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once the units are on disk, each once."""
        stored: list[bool] = []
        rejected = 0
        messages: dict[str, None] = {}
        for part in in_parts(units, most_bytes=_REQUEST_BYTES):
            answer = await asyncio.to_thread(
                self._posted, [_unit(unit.signal, unit.payload, unit.key) for unit in part]
            )
            stored += answer["stored"]
            rejected += answer["rejected"]
            messages.setdefault(answer["message"])
        return ImportOutcome(stored, rejected, "; ".join(filter(None, messages)))

    async def record_stream(
        self, table: RecordTable, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the stored records of a table as one Arrow IPC stream."""
        given = {"since": since_ns, "until": until_ns}
        query = urlencode({name: _seconds(moment) for name, moment in given.items() if moment is not None})
        chunks = self._server.chunks(f"{_EXPORTS}{table}{'?' if query else ''}{query}", _ARROW)
        try:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield chunk
        finally:
            await asyncio.to_thread(chunks.close)

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found."""
        given = {"embeddings": ["1" if embeddings else "0"]}
        await asyncio.to_thread(_patiently, lambda: self._server.ask("flush", given))

    async def close(self) -> None:
        """Do nothing: every call is a connection of its own."""

    def _posted(self, units: list[dict[str, str | None]]) -> dict[str, Any]:
        body = {"units": units}
        answer: dict[str, Any] = json.loads(_patiently(lambda: self._server.post("/imports", body)))
        return answer


def _seconds(moment_ns: int) -> str:
    return f"{moment_ns // NS}.{moment_ns % NS:09d}"


def _patiently(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, trying again while the receiver says that it cannot now.

    It says so while its store opens after a start, and while its disk does not keep up. Threads: blocks.
    """
    deadline = time.monotonic() + _PATIENCE_S
    pause_s = 0.1
    while True:
        try:
            return call()
        except (NoAnswerError, EmbeddingOffError):
            raise  # neither changes by itself
        except RetryableError:
            if time.monotonic() + pause_s > deadline:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _unit(signal: Signal, payload: bytes, key: bytes | None) -> dict[str, str | None]:
    return {
        "key": None if key is None else key.hex(),
        "signal": signal.value,
        "payload": b64encode(payload).decode(),
    }
