"""Deletes what is too old or too much, off the ingest path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from receiver.config import RetentionConfig
from receiver.errors import ReceiverError
from receiver.loader.loader import Loader
from receiver.ports import Clock

_LOG = logging.getLogger(__name__)
_HOUR_NS = 3_600_000_000_000
_SHARE = 0.1  # of all records, in one step towards max_size_bytes
_STEPS = 12


class Retention:
    """Looks every ``interval_s`` and deletes in one transaction between two loads."""

    def __init__(
        self,
        loader: Loader,
        config: RetentionConfig,
        clock: Clock,
        forget_texts: Callable[[Collection[UUID]], Awaitable[None]],
    ) -> None:
        """Delete through ``loader``; texts that nothing refers to any more are told to ``forget_texts``."""
        self._loader = loader
        self._config = config
        self._clock = clock
        self._forget_texts = forget_texts

    async def run(self) -> None:
        """Look for ever; a failure is logged and the next look tries again."""
        if not self._config.max_age_hours and not self._config.max_size_bytes:
            return
        while True:
            await asyncio.sleep(self._config.interval_s)
            try:
                await self.look()
            except ReceiverError as error:
                _LOG.warning("retention could not delete: %s; it is tried again", error)

    async def look(self) -> int:
        """Delete what is over the limits now; return how many records went."""
        removed = 0
        if self._config.max_age_hours:
            removed += await self._retire(self._clock() - int(self._config.max_age_hours * _HOUR_NS))
        if self._config.max_size_bytes:
            for _ in range(_STEPS):
                if await self._loader.used_bytes() <= self._config.max_size_bytes:
                    break
                before = await self._loader.age_at(_SHARE)
                if before is None or not (gone := await self._retire(before + 1)):
                    break
                removed += gone
        return removed

    async def _retire(self, before_ns: int) -> int:
        retired = await self._loader.retire(max(before_ns, 0))
        count = sum(retired.records.values())
        if count:
            _LOG.info("retention deleted %d records", count)
            await self._forget_texts(retired.text_ids)
        return count
