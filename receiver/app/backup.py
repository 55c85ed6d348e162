"""Makes a backup: the store's and the spool's file of one moment, checked, under their name only when whole.

With a running receiver the files are copied under a hold on its checkpoints (:mod:`receiver.api.backups`), by this
process and with its rights. Without one the receiver's work is finished first, and the files are copied under the data
directory's lock. The two copies belong together: what the spool's has above the store's position is loaded when a
restored receiver starts, so nothing is missing and nothing comes twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from receiver import __version__
from receiver.app.backup_manifest import MANIFEST, SPOOL, STORE, Manifest, facts_of_file
from receiver.app.embedded import EmbeddedReceiver
from receiver.client.server import Server
from receiver.config import Settings
from receiver.errors import NotFoundError, QueryError, ReceiverError, RetryableError
from receiver.spool.backup import copy_spool, settle, spool_facts
from receiver.spool.file_lock import FileLock
from receiver.store.backup import copy_store, store_facts
from receiver.times import rfc3339

_RENEW_SHARE = 0.25
_SPARE_BYTES = 64 << 20
_PARTIAL = ".partial"


def back_up_running(server: Server, target: Path, *, expected: Settings | None = None) -> Manifest:
    """Make a backup of a receiver that runs on this machine; requests are accepted and stored meanwhile. Blocks.

    Args:
        server: Its query listener.
        target: The folder to be made; it must not exist, or be empty.
        expected: The receiver must be the one of this data directory.

    Raises:
        NoAnswerError: Nobody answers there.
        QueryError: The files cannot be read, or the copy not be written.
        RetryableError: Not now: the receiver cannot store, or stopped meanwhile.
    """
    _check_target(target)
    held: dict[str, Any] = json.loads(server.post("/backups", {}))
    store, spool = Path(held["store_path"]), Path(held["spool_path"])
    path = f"/backups/{held['hold']}"
    renewed = time.monotonic()

    def keep_holding() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > float(held["seconds"]) * _RENEW_SHARE:
            server.post(path, {"done": False})
            renewed = time.monotonic()

    finished = False

    def done() -> None:
        nonlocal finished
        finished = True
        server.post(path, {"done": True})  # refused if the hold did not last: the copy is worth nothing then

    try:
        if expected is not None and spool != expected.spool_path.absolute():
            raise QueryError(
                f"the receiver at {server.endpoint} is not the one of {expected.data_path}",
                hint="--endpoint names the right one",
            )
        if not store.is_file() or not spool.is_file():
            raise QueryError(
                f"{store} is not on this machine, or may not be read by this user",
                hint="run the command where the receiver runs and as its user, in its container for instance",
            )
        moment_ns = int(held["moment_unix_nano"])
        return _made(store, spool, target, moment_ns=moment_ns, keep_holding=keep_holding, done=done)
    finally:
        if not finished:
            _give_up(server, path)


def back_up_stopped(settings: Settings, target: Path) -> Manifest:
    """Make a backup of a data directory that no receiver runs on; what waits in its spool is stored first. Blocks.

    Raises:
        NotFoundError: There is no database.
        StartError: A receiver runs there, or the directory cannot be used.
        StoreUnavailableError: Another process holds the database.
        QueryError: The copy cannot be written.
    """
    if not settings.store_path.is_file():
        raise NotFoundError(f"there is no database at {settings.store_path}", hint="name another --data-dir")
    _check_target(target)
    moment_ns = time.time_ns()
    asyncio.run(_store_all(settings))
    with closing(_Locked(settings.spool_path)):
        wal = settings.store_path.with_name(settings.store_path.name + ".wal")
        if wal.exists():
            raise RetryableError(f"{wal} is there: the database was not closed in order", hint="try again")
        settle(settings.spool_path, moment_ns)
        return _made(settings.store_path, settings.spool_path, target, moment_ns=moment_ns)


class _Locked:
    """Keeps receivers out of a data directory until it is closed."""

    def __init__(self, spool_path: Path) -> None:
        self._lock = FileLock(spool_path)

    def close(self) -> None:
        self._lock.release()


async def _store_all(settings: Settings) -> None:
    """Open the data directory, store what waits in its spool, complete a checkpoint, close it."""
    quiet = settings.model_copy(
        update={"embed": settings.embed.model_copy(update={"enabled": False})}
    )  # vectors are made by the next receiver
    receiver = await EmbeddedReceiver.open(quiet)
    try:
        await receiver.flush()
    finally:
        await receiver.close()


def _made(
    store: Path,
    spool: Path,
    target: Path,
    *,
    moment_ns: int,
    keep_holding: Callable[[], None] = lambda: None,
    done: Callable[[], None] = lambda: None,
) -> Manifest:
    """Copy both files into a folder beside ``target``, check them, and give the folder its name."""
    partial = target.with_name(f"{target.name}{_PARTIAL}-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(store, spool, target.parent)
        partial.mkdir(mode=0o700)
        try:
            copy_store(store, partial / STORE, observer=keep_holding)
            copy_spool(spool, partial / SPOOL, observer=keep_holding)
            done()
            manifest = _manifest(partial, moment_ns)
            manifest.write(partial)
            for name in (STORE, SPOOL, MANIFEST, "."):
                sync(partial / name)
            partial.rename(target)  # takes the place of an empty folder, never of another
            sync(target.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise QueryError(
            f"the backup {target} could not be made: {error}",
            hint="look at the space and the permissions of its disk",
        ) from error
    return manifest


def _manifest(folder: Path, moment_ns: int) -> Manifest:
    """Return what the copies hold, read from the copies themselves.

    Raises:
        QueryError: They do not belong together, or one is not whole.
    """
    stored = store_facts(folder / STORE)
    at_all = spool_facts(folder / SPOOL, position=0)
    position = stored.positions.get(at_all.uuid, 0)
    spooled = spool_facts(folder / SPOOL, position=position)
    if position > spooled.statistics.highest_sequence:
        raise QueryError("the store's copy is ahead of the spool's", hint="please report it")
    return Manifest(
        moment=rfc3339(moment_ns) or str(moment_ns),
        moment_unix_nano=str(moment_ns),
        release=__version__,
        schema_version=stored.schema_version,
        spool=str(spooled.uuid),
        position=position,
        highest_sequence=spooled.statistics.highest_sequence,
        waiting_requests=spooled.waiting_requests,
        quarantined_requests=spooled.statistics.quarantined_requests,
        records=stored.rows,
        files={name: facts_of_file(folder / name) for name in (STORE, SPOOL)},
    )


def _check_target(target: Path) -> None:
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise QueryError(f"{target} cannot be looked into: {error.strerror}") from error
    if taken:
        raise QueryError(f"{target} is there already", hint="name a folder that does not exist")


def _check_room(store: Path, spool: Path, folder: Path) -> None:
    wanted = store.stat().st_size + spool.stat().st_size + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise QueryError(
            f"{folder} has {free >> 20:,} MiB of free space and the backup may take {wanted >> 20:,} MiB",
            hint="make room, or name a folder on another disk",
        )


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _give_up(server: Server, path: str) -> None:
    """End a hold that is not needed any more; where it cannot be ended it ends by itself."""
    try:
        server.post(path, {"done": True})
    except ReceiverError:
        return
