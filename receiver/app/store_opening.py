"""The store from its first try to its end: opened in the background, given to the loader, asked through cursors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

import duckdb

from receiver.config import Settings
from receiver.errors import RetryableError, StoreUnavailableError
from receiver.loader.loader import Loader
from receiver.store.commits import Commits
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.row_moves import RowMoves
from receiver.store.sql_sandbox import lock_down

_LOG = logging.getLogger(__name__)
_OPEN_AGAIN_S = 0.25


class StoreOpening:
    """Owns the store. Threads: one event loop's; :meth:`cursor` from any."""

    def __init__(self, settings: Settings, loader: Loader, moves: RowMoves, commits: Commits) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: Where the store is, and its limits.
            loader: Gets the store.
            moves: Told by the writer which rows it moves.
            commits: Told by the writer when anything changes.
        """
        self._settings = settings
        self._loader = loader
        self._moves = moves
        self._commits = commits
        self._store: DuckDbStore | None = None
        self.opened = asyncio.Event()
        """Set once the store can be asked and written."""

    async def open(self) -> None:
        """Return when the store is open and the loader has it; tried again for ever while another process holds it.

        Raises:
            ReceiverError: It cannot be opened at all.
        """
        deadline = time.monotonic() + self._settings.store.open_retry_s
        while True:
            try:
                self._store = await asyncio.to_thread(self._opened)
                await self._loader.start(DuckDbWriter(self._store, self._moves, self._commits))
                break
            except RetryableError as error:  # the spool's, too
                self._loader.problem = str(error)
                if time.monotonic() > deadline:
                    _LOG.error("%s; requests are accepted and wait in the spool", error)
                    deadline = float("inf")
                store, self._store = self._store, None
                if store is not None:
                    with contextlib.suppress(StoreUnavailableError):  # a question holds it, not for ever
                        await asyncio.to_thread(store.close)
                await asyncio.sleep(_OPEN_AGAIN_S)
        self.opened.set()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of the open store.

        Raises:
            StoreUnavailableError: It is not open.
        """
        if self._store is None:
            raise StoreUnavailableError(
                self._loader.problem or "the store is not open yet", hint="ask again in a moment; see /readyz"
            )
        return self._store.cursor()

    async def close(self) -> None:
        """Close the store, where it was opened."""
        try:
            if self._store is not None:
                await asyncio.to_thread(self._store.close)
        except StoreUnavailableError as error:  # all is stored; DuckDB lets go of the file with the process
            _LOG.warning("%s", error)

    def _opened(self) -> DuckDbStore:
        temp_directory = self._settings.data_path / "tmp"
        return DuckDbStore.open(
            self._settings.store_path,
            self._settings.store,
            temp_directory=temp_directory,
            prepare=lambda connection: _prepare(connection, temp_directory),
        )


def _prepare(connection: duckdb.DuckDBPyConnection, temp_directory: Path) -> None:
    # The loader has made a checkpoint; another one at the close would keep the ports closed for longer.
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    lock_down(connection, temp_directory=temp_directory)
