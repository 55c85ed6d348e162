"""Where a hot store lies: in memory, in a file, in a data directory, or behind an address."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from receiver.access import Access
from receiver.client.credentials import Credentials
from receiver.client.remote import RemoteAccess
from receiver.config import Settings
from receiver.ingester.validation import ValidationError
from receiver.settings import load_settings

if TYPE_CHECKING:
    from receiver.app.embedded import EmbeddedReceiver

MEMORY = ":memory:"
_OF_A_RECEIVER = "telemetry.duckdb"
_FILES = (".duckdb", ".db", ".ddb")


class Place(Protocol):
    """**Protocol:** opens an access, and cleans up behind it."""

    async def open(self) -> Access:
        """Return the access."""
        ...

    def clean(self) -> None:
        """Take away what nobody needs after the access was closed; blocks."""
        ...


class RemotePlace:
    """A running receiver."""

    def __init__(self, endpoint: str, credentials: Credentials | None = None) -> None:
        """Keep the address of its query listener, and what to show there; None: what the environment says."""
        self._endpoint = endpoint
        self._credentials = credentials

    async def open(self) -> Access:
        """Return the access.

        Raises:
            NoAnswerError: Nothing listens there.
            ConfigError: A file of the credentials cannot be read.
        """
        access = await asyncio.to_thread(RemoteAccess, self._endpoint, self._credentials)
        await access.check()
        return access

    def clean(self) -> None:
        """Do nothing: nothing was made."""


class LocalPlace:
    """A receiver of this process on a data directory."""

    def __init__(self, settings: Settings, *, temporary: bool) -> None:
        """Keep the settings; with ``temporary`` the data directory goes with the access."""
        self._settings = settings
        self._temporary = temporary
        self._folder: str | None = None

    async def open(self) -> Access:
        """Return the access.

        Raises:
            StartError: The data directory cannot be used, or belongs to a running receiver.
            StoreUnavailableError: Another process holds the database.
        """
        receiver = await asyncio.to_thread(_embedded)
        settings = self._settings
        if self._temporary:
            self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="otlp-receiver-")
            settings = settings.model_copy(update={"data_dir": self._folder})
        try:
            return await receiver.open(settings)
        except BaseException:
            await asyncio.to_thread(self.clean)
            raise

    def clean(self) -> None:
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def names_a_place(path: Any) -> bool:
    """Return True for a path or an address."""
    return isinstance(path, str | os.PathLike) and bool(str(path))


def place_of(
    path: str | os.PathLike[str],
    settings: Settings | None,
    changes: dict[str, object],
    credentials: Credentials | None = None,
) -> Place:
    """Return where ``path`` says that a store lies.

    Args:
        path: ``:memory:`` (a temporary folder that goes at close), a ``.duckdb`` file, a data directory, or
            ``http(s)://host:port`` of a running receiver's query listener.
        settings: Of a receiver in this process; None: those that ``otlp-receiver serve`` would have here.
        changes: Of these settings, by their keys.
        credentials: What to show to a running receiver; None: what the environment says.

    Raises:
        ValidationError: It is no path.
        ConfigError: A setting is wrong.

    Threads: any; blocks for the disk.
    """
    if not names_a_place(path):
        raise ValidationError(
            f"hot_store_path: {path!r:.40} names no store",
            hint=f"{MEMORY}, a .duckdb file, a data directory, or http://host:port",
        )
    text = str(path)
    if text.startswith(("http://", "https://")):
        return RemotePlace(text, credentials)
    if settings is None:
        settings = load_settings(config_file=None, overrides={}, environ=os.environ)
    settings = _changed(settings, changes)
    if text == MEMORY:
        return LocalPlace(_stored_at(settings, "", ""), temporary=True)
    place = Path(text).expanduser()
    if place.is_file() or (place.suffix in _FILES and not place.is_dir()):
        # A receiver needs a folder besides the file; where it is one of a receiver's, its own.
        folder = place.with_name(f"{place.name}.d")
        if place.name == _OF_A_RECEIVER and place.with_name("spool.db").is_file():
            folder = place.parent
        return LocalPlace(_stored_at(settings, str(folder), str(place)), temporary=False)
    return LocalPlace(_stored_at(settings, str(place), ""), temporary=False)


def _embedded() -> type[EmbeddedReceiver]:
    from receiver.app.embedded import EmbeddedReceiver  # noqa: PLC0415 - takes half a second; not for a remote one

    return EmbeddedReceiver


def _stored_at(settings: Settings, data_dir: str, store: str) -> Settings:
    """Return the settings with another data directory (none: one that is made at open) and file."""
    update: dict[str, object] = {"store": settings.store.model_copy(update={"path": store})}
    return settings.model_copy(update={**update, "data_dir": data_dir or settings.data_dir})


def _changed(settings: Settings, changes: dict[str, object]) -> Settings:
    sections: dict[str, dict[str, object]] = {}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return settings.model_copy(
        update={
            section: getattr(settings, section).model_copy(update=values)
            for section, values in sections.items()
        }
    )
