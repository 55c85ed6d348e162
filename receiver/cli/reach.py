"""Where a command stores and asks: the running receiver, or else the data directory, opened in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from receiver.access import RecordAccess
from receiver.cli.source import DEFAULT_ENDPOINT
from receiver.client.remote import RemoteAccess
from receiver.client.server import NoAnswerError
from receiver.errors import StartError

if TYPE_CHECKING:
    from receiver.config import Settings


@asynccontextmanager
async def reach(endpoint: str | None = None, data_dir: str | None = None) -> AsyncIterator[RecordAccess]:
    """Hold a receiver for the length of the block.

    A data directory without an endpoint is opened here; should its receiver run, that one is asked. Otherwise
    the receiver at the endpoint is asked, and where none answers and none was named, the configured data
    directory is opened if it is there.

    Raises:
        NoAnswerError: Nobody answers, and there is no data directory.
        StartError: The data directory cannot be used.
        StoreUnavailableError: Another process holds the database.
        ConfigError: A setting is wrong.
    """
    access = await _reached(endpoint, data_dir)
    try:
        yield access
    finally:
        await access.close()


async def _reached(endpoint: str | None, data_dir: str | None) -> RecordAccess:
    remote = await asyncio.to_thread(RemoteAccess, endpoint or DEFAULT_ENDPOINT)
    if endpoint is None and data_dir is not None:
        try:
            return await _opened(await asyncio.to_thread(_settings, data_dir))
        except StartError as held:  # its receiver runs
            try:
                await remote.check()
            except NoAnswerError:
                raise held from None
            return remote
    try:
        await remote.check()
    except NoAnswerError:
        settings = await asyncio.to_thread(_settings, data_dir)
        is_there = await asyncio.to_thread(settings.spool_path.is_file)
        if (endpoint is not None and data_dir is None) or not is_there:
            raise
        return await _opened(settings)
    return remote


def _settings(data_dir: str | None) -> Settings:
    from receiver.settings import load_settings  # noqa: PLC0415 - most calls do not need it

    return load_settings(
        config_file=None, overrides={"data_dir": data_dir, "log.level": "error"}, environ=os.environ
    )


async def _opened(settings: Settings) -> RecordAccess:
    from receiver.app.data_directory import keep_files_private  # noqa: PLC0415 - see below
    from receiver.app.embedded import EmbeddedReceiver  # noqa: PLC0415 - brings every stage with it

    keep_files_private()
    return await EmbeddedReceiver.open(settings)
