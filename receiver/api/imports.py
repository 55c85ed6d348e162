"""POST /api/v1/imports: units that are stored once, and requests of programs that know no OTLP port.

A unit is ``{"key": 32 hex digits or null, "signal": "traces", "payload": base64 of an Export…ServiceRequest}``.
With a key it is stored once for ever, without one it is an export like any other.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from receiver.access import Access
from receiver.api.routes import PREFIX
from receiver.api.wire import Receive, Reply, Scope, json_body, json_reply
from receiver.errors import InvalidFilterError
from receiver.ports import ImportUnit
from receiver.signals import Signal

PATH = f"{PREFIX}/imports"
LARGEST_BODY = 96 << 20
"""A request of 64 MiB in base64 and a little more."""
_BODIES = 2


class Imports:
    """Takes imports, two bodies at a time: what waits is in the sockets and not in memory."""

    def __init__(self, access: Access) -> None:
        """Hand in to ``access``."""
        self._access = access
        self._bodies = asyncio.Semaphore(_BODIES)

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """Return the answer to one request; see :func:`_reply`."""
        async with self._bodies:
            return await _reply(self._access, scope, receive)


async def _reply(access: Access, scope: Scope, receive: Receive) -> Reply:
    """Return which units are on disk now; those that were there before are false.

    Raises:
        InvalidFilterError: The body is not such an object; nothing was stored.
        ReceiverError: What the access raises.
    """
    body = await json_body(scope, receive, largest=LARGEST_BODY)
    keyed, plain = await asyncio.to_thread(_units, body)
    outcome = await access.import_units(list(keyed.values()))
    stored = [True] * (len(keyed) + len(plain))
    for place, was_stored in zip(keyed, outcome.stored, strict=True):
        stored[place] = was_stored
    rejected, messages = outcome.rejected, [outcome.message]
    for signal, payload in plain:
        exported = await access.export(signal, payload)
        rejected += exported.rejected
        messages.append(exported.message)
    message = "; ".join(dict.fromkeys(filter(None, messages)))
    return json_reply({"stored": stored, "rejected": rejected, "message": message})


def _units(body: Any) -> tuple[dict[int, ImportUnit], list[tuple[Signal, bytes]]]:
    """Return the units that have a key, by their place in the body, and the other requests."""
    units = body.get("units") if isinstance(body, dict) else None
    if not isinstance(units, list):
        raise InvalidFilterError("the body must be an object with a list units")
    keyed: dict[int, ImportUnit] = {}
    plain: list[tuple[Signal, bytes]] = []
    for place, unit in enumerate(units):
        try:
            signal, payload, key = _unit(unit)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise InvalidFilterError(
                f"units[{place}] is not a unit",
                hint='{"key": 32 hex digits or null, "signal": "traces", "payload": base64}',
            ) from error
        if key is None:
            plain.append((signal, payload))
        else:
            keyed[place] = ImportUnit(key, signal, payload)
    return keyed, plain


def _unit(unit: Mapping[str, Any]) -> tuple[Signal, bytes, bytes | None]:
    key = None if unit["key"] is None else bytes.fromhex(unit["key"])
    if key is not None and len(key) != 16:
        raise ValueError(unit["key"])
    return Signal(unit["signal"]), b64decode(unit["payload"], validate=True), key
