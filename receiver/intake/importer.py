"""Units that must be stored once, for ever: implements ``receiver.ports.Importer`` on the intake and the spool.

Units become export requests of their signal, joined as protobuf allows (repeated fields of concatenated
messages are concatenated: https://protobuf.dev/programming-guides/encoding/#last-one-wins). Their keys are
committed together with them, so that neither a crash nor a second reading stores a unit twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from receiver.config import Settings
from receiver.ports import ExportRequest, ImportOutcome, ImportUnit, Intake, Outcome, Spool, Transport
from receiver.signals import Signal
from receiver.units import in_parts

_REQUEST_BYTES = 1 << 20
_WAIT_S = 60.0
_IN_FLIGHT = 4


class UnitImporter:
    """Imports units. Threads: the event loop's; calls take turns, so that equal units meet in one order."""

    def __init__(self, intake: Intake, spool: Spool, settings: Settings) -> None:
        """Hand in to ``intake``; ask ``spool`` which keys are known."""
        self._intake = intake
        self._spool = spool
        self._largest = min(_REQUEST_BYTES, settings.limits.request_bytes)
        self._turn = asyncio.Lock()

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once every unit is on disk, each once; see the port."""
        async with self._turn:
            known = await asyncio.to_thread(self._spool.imported, [unit.key for unit in units])
            stored: list[bool] = []
            new: dict[Signal, list[ImportUnit]] = defaultdict(list)
            for unit in units:
                stored.append(unit.key not in known)
                if stored[-1]:
                    known.add(unit.key)
                    new[unit.signal].append(unit)
            requests = [
                (signal, part)
                for signal, members in new.items()
                for part in in_parts(members, most_bytes=self._largest)
            ]
            gate = asyncio.Semaphore(_IN_FLIGHT)
            accepting = [asyncio.ensure_future(self._accept(gate, signal, part)) for signal, part in requests]
            try:
                outcomes = await asyncio.gather(*accepting)
            finally:  # the turn ends when nothing of it is under way any more
                await asyncio.gather(*accepting, return_exceptions=True)
            messages = dict.fromkeys(outcome.message for outcome in outcomes if outcome.message)
            return ImportOutcome(stored, sum(outcome.rejected for outcome in outcomes), "; ".join(messages))

    async def _accept(self, gate: asyncio.Semaphore, signal: Signal, units: list[ImportUnit]) -> Outcome:
        async with gate:
            body = b"".join(unit.payload for unit in units)
            await self._intake.budget.reserve(len(body), wait_s=_WAIT_S)
            return await self._intake.accept(
                ExportRequest(signal, body, transport=Transport.IMPORT),
                wait_s=_WAIT_S,
                import_keys=[unit.key for unit in units],
            )
