"""POST /api/v1/backups: holds the store's file still for a program on the same machine that copies it.

``POST /api/v1/backups`` begins a hold and says which files may be copied; ``POST /api/v1/backups/{hold}`` with
``{"done": false}`` keeps it up, with ``{"done": true}`` ends it. Either is 404 when the hold has ended by itself: the
copy is worth nothing then. No file is written for a caller, and none is read to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from receiver.api.routes import PREFIX
from receiver.api.wire import Receive, Reply, Scope, json_body, json_reply
from receiver.errors import InvalidFilterError

PATH = f"{PREFIX}/backups"


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """What a hold lets be copied."""

    hold: str
    """Names the hold; nobody else knows it."""
    seconds: float
    """How long it lasts unless it is renewed."""
    moment_ns: int
    """Everything that was acknowledged before this Unix time is in the store's file."""
    store_path: str
    spool_path: str
    spool: UUID


class Holds(Protocol):
    """**Protocol:** keeps checkpoints back for one backup at a time. Threads: the event loop's."""

    async def begin(self) -> HeldFiles:
        """Store what was acknowledged before the call, complete a checkpoint, and hold the next ones back.

        Raises:
            RetryableError: Not now: the store is not open, or another backup is being made.
        """
        ...

    def renew(self, hold: str) -> None:
        """Go on holding.

        Raises:
            NotFoundError: It has ended already.
        """
        ...

    def end(self, hold: str) -> None:
        """Make checkpoints again; returning means that the hold lasted until now.

        Raises:
            NotFoundError: It has ended already.
        """
        ...


class Backups:
    """Answers what is posted to the path and below it."""

    def __init__(self, holds: Holds) -> None:
        """Ask ``holds``."""
        self._holds = holds

    async def reply(self, scope: Scope, receive: Receive, path: str) -> Reply:
        """Return the answer to one request.

        Raises:
            InvalidFilterError: The body is not such an object.
            NotFoundError: The hold has ended.
            RetryableError: Not now.
        """
        body = await json_body(scope, receive)
        hold = path.removeprefix(PATH).removeprefix("/")
        if not hold:
            return json_reply(_as_json(await self._holds.begin()))
        done = body.get("done") if isinstance(body, dict) else None
        if not isinstance(done, bool):
            raise InvalidFilterError("the body must be an object with done, true or false")
        if done:
            self._holds.end(hold)
        else:
            self._holds.renew(hold)
        return json_reply({"held": not done})


def _as_json(files: HeldFiles) -> dict[str, Any]:
    return {
        "hold": files.hold,
        "seconds": files.seconds,
        "moment_unix_nano": str(files.moment_ns),
        "store_path": files.store_path,
        "spool_path": files.spool_path,
        "spool": str(files.spool),
    }
