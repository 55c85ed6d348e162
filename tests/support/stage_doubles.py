"""Doubles of the ports around the intake: a spool and a decoder that stop where a test wants them to."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from receiver.ports import CommittedGroup, DecodedGroup, Decoder, ExportRequest, Spool, SpoolEntry
from receiver.signals import Signal


class GatedSpool:
    """Passes appends on to a real spool once the gate is open; fails those it is told to fail."""

    def __init__(self, spool: Spool) -> None:
        """Start with an open gate."""
        self._spool = spool
        self.uuid = spool.uuid
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failures: list[Exception] = []

    def append(
        self, entries: Sequence[SpoolEntry], *, duplicates: Mapping[Signal, int] | None = None
    ) -> list[int]:
        """Append, or raise, once the gate is open."""
        self.entered.set()
        assert self.gate.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        return self._spool.append(entries, duplicates=duplicates)

    def __getattr__(self, name: str) -> object:
        """Return what the real spool has."""
        return getattr(self._spool, name)


class GatedDecoder:
    """Passes requests on to a real decoder once the gate is open; fails when it is told to."""

    def __init__(self, decoder: Decoder) -> None:
        """Start with an open gate."""
        self._decoder = decoder
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failures: list[Exception] = []

    def decode(self, requests: Sequence[ExportRequest]) -> DecodedGroup:
        """Decode, or raise, once the gate is open."""
        self.entered.set()
        assert self.gate.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        return self._decoder.decode(requests)


class LoadingDouble:
    """Keeps what was committed."""

    def __init__(self) -> None:
        """Start empty."""
        self.groups: list[CommittedGroup] = []
        self.has_room = True

    def offer(self, group: CommittedGroup) -> None:
        """Keep it."""
        self.groups.append(group)

    async def pace(self) -> None:
        """Return at once."""

    async def wait_for_room(self) -> None:
        """Return at once."""
