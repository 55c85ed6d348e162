"""Puts a backup in the place of a data directory's store, and keeps everything that was there.

The spool that is there stays in use if the backup's store was loaded from it: it holds what was acknowledged since, as
far as no checkpoint covered it, and the loader goes on from the restored position. Otherwise the backup's own spool
takes its place, under an identity of its own. Everything is prepared beside the files in use; then the moves are
written down (:mod:`receiver.app.restore_plan`) and done.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from receiver.app.backup_manifest import SPOOL, STORE, Manifest, facts_of_file
from receiver.app.restore_plan import RestorePlan, RestoreReport, remove
from receiver.config import Settings
from receiver.errors import QueryError, ReceiverError, StartError
from receiver.signals import Signal
from receiver.spool.backup import SpoolFacts, later_imports, rename, settle, spool_facts
from receiver.spool.file_lock import FileLock
from receiver.store.backup import StoreFacts, copy_file, newest_schema, set_positions, store_facts

_STAGED = ".restoring"
_KEPT = ".kept"
_SPARE_BYTES = 64 << 20
_LOGS = ("", "-wal", "-shm")


def restore(settings: Settings, backup: Path, *, clock: Callable[[], int] = time.time_ns) -> RestoreReport:
    """Put the backup in the folder ``backup`` in place and return what that means. Blocks.

    A restore that was cut short is finished instead, whatever ``backup`` is.

    Raises:
        StartError: A receiver runs on the data directory, or it cannot be used.
        QueryError: The folder is no whole backup, this release cannot read it, or there is no room.
    """
    data_dir = settings.data_path.absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(settings.spool_path)
    except OSError as error:
        raise StartError(f"{data_dir} cannot be used: {error}") from error
    try:
        plan = RestorePlan.read(data_dir) or _Preparation(settings, backup, clock()).plan()
        plan.write(data_dir)
        return plan.carry_out(data_dir)
    except OSError as error:
        raise QueryError(
            f"the restore did not get through: {error}", hint="look at the disk and run it again"
        ) from error
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Present:
    """The spool that is there, where it can be read and is one that the backup's store was loaded from."""

    facts: SpoolFacts
    position: int


class _Preparation:
    """Checks everything and puts the copies beside their places; changes no file that is in use."""

    def __init__(self, settings: Settings, backup: Path, now_ns: int) -> None:
        self._settings = settings
        self._backup = backup
        self._store = settings.store_path.absolute()
        self._spool = settings.spool_path.absolute()
        self._staged_store = self._store.with_name(self._store.name + _STAGED)
        self._staged_spool = self._spool.with_name(self._spool.name + _STAGED)
        self._kept_spool = self._spool.with_name(self._spool.name + _KEPT)
        name = (
            f"before-restore-{datetime.fromtimestamp(now_ns / 1e9, UTC):%Y%m%dT%H%M%S}-{now_ns % 10**9:09d}"
        )
        self._aside = settings.data_path.absolute() / name
        self._aside_store = self._store.parent / name
        self._now_ns = now_ns

    def plan(self) -> RestorePlan:
        manifest = Manifest.read(self._backup)
        for leftover in (self._staged_store, self._staged_spool, self._kept_spool):
            remove(leftover)
        if manifest.schema_version > newest_schema():
            raise QueryError(
                f"the backup has schema version {manifest.schema_version}, this release knows up to"
                f" {newest_schema()}",
                hint=f"restore with release {manifest.release}, or a newer one",
            )
        self._check_room(manifest)
        try:
            stored = self._staged(manifest)
            present = self._present_spool(manifest, stored)
            if present is None:
                return self._plan_with_copied_spool(manifest, stored)
            return self._plan_with_present_spool(manifest, stored, present)
        except BaseException:
            for leftover in (self._staged_store, self._staged_spool, self._kept_spool):
                remove(leftover)
            raise

    def _staged(self, manifest: Manifest) -> StoreFacts:
        """Copy the backup's files beside their places; return what the store's copy holds."""
        for name, target in ((STORE, self._staged_store), (SPOOL, self._staged_spool)):
            copy_file(self._backup / name, target)
            if facts_of_file(target) != manifest.files[name]:
                raise QueryError(
                    f"{self._backup / name} is not the file that was backed up: its digest is another",
                    hint="take another backup",
                )
        return store_facts(self._staged_store)

    def _present_spool(self, manifest: Manifest, stored: StoreFacts) -> _Present | None:
        """Return the spool that is there if what it has above the position can be loaded; its log is in its file."""
        if not self._spool.is_file():
            return None
        try:
            settle(self._spool, self._now_ns)
            uuid = spool_facts(self._spool, position=0).uuid
            position = stored.positions.get(uuid)
            if position is None:
                return None
            facts = spool_facts(self._spool, position=position)
        except ReceiverError:  # it cannot be read: it is moved aside as it is
            return None
        known = manifest.highest_sequence if str(uuid) == manifest.spool else position
        return _Present(facts, position) if facts.statistics.highest_sequence >= known else None

    def _plan_with_present_spool(
        self, manifest: Manifest, stored: StoreFacts, present: _Present
    ) -> RestorePlan:
        facts, position = present.facts, present.position
        missing: Mapping[Signal, int] | None = None
        newly: Mapping[Signal, int] = {}
        importable = 0
        if str(facts.uuid) == manifest.spool:
            # Of the same spool the totals then and now are known, so that a store fed by earlier spools counts right.
            then = spool_facts(self._staged_spool, position=position)
            before = then.statistics.not_restored_records
            now, was = facts.beyond(), then.beyond()
            newly = {signal: max(now[signal] - was[signal], 0) for signal in Signal}
            missing = {signal: newly[signal] + before[signal] for signal in Signal}
            new_in_quarantine = facts.statistics.quarantined_requests > then.statistics.quarantined_requests
            if not facts.waiting_requests and not new_in_quarantine:  # else a unit could be stored twice
                importable = later_imports(self._spool, self._staged_spool)
        if not importable:
            remove(self._staged_spool)
        copy_file(self._spool, self._kept_spool)  # what is moved aside is a whole data directory
        last = (facts.first_waiting or facts.statistics.highest_sequence + 1) - 1
        if last > position:  # the loader begins behind what is missing, which the report says
            set_positions(self._staged_store, {facts.uuid: last})
        report = self._report(
            manifest,
            stored,
            facts,
            spool_kept=True,
            not_restored=newly,
            missing_requests=(position + 1, last) if last > position else None,
            importable_again=importable,
            set_aside_requests=0,
        )
        moves = [*self._moves_of_store(), (self._kept_spool, self._aside / self._spool.name)]
        return self._plan(moves, report, position, missing, self._staged_spool if importable else None)

    def _plan_with_copied_spool(self, manifest: Manifest, stored: StoreFacts) -> RestorePlan:
        set_aside: int | None = 0
        if self._spool.is_file():
            try:
                set_aside = spool_facts(self._spool, position=0).waiting_requests
            except ReceiverError:
                set_aside = None
        # Two spools of one identity would take each other's numbers for their own, should both ever meet this store.
        original, own = UUID(manifest.spool), uuid4()
        set_positions(self._staged_store, {own: manifest.position, original: manifest.highest_sequence})
        rename(self._staged_spool, own)
        facts = spool_facts(self._staged_spool, position=manifest.position)
        report = self._report(
            manifest,
            stored,
            facts,
            spool_kept=False,
            not_restored={},
            missing_requests=None,
            importable_again=0,
            set_aside_requests=set_aside,
        )
        moves = [
            *((path, self._aside / path.name) for path in _there(self._spool, _LOGS)),
            *self._moves_of_store(),
            (self._staged_spool, self._spool),
        ]
        return self._plan(moves, report, manifest.position)

    def _moves_of_store(self) -> list[tuple[Path, Path]]:
        """Return the moves of the store, its index and the note of its position aside, and of the staged store into its place."""
        caches = [*_there(self._settings.index_path.absolute(), ("",)), *_there(self._spool, (".position",))]
        return [
            *((path, self._aside / path.name) for path in caches),
            *((path, self._aside_store / path.name) for path in _there(self._store, (".wal", ""))),
            (self._staged_store, self._store),
        ]

    def _plan(
        self,
        moves: list[tuple[Path, Path]],
        report: RestoreReport,
        position: int,
        missing: Mapping[Signal, int] | None = None,
        earlier_spool: Path | None = None,
    ) -> RestorePlan:
        own = {str(self._aside), str(self._aside_store)}
        return RestorePlan(
            moves=[(str(source), str(target)) for source, target in moves],
            spool=str(self._spool),
            position=position,
            earlier_spool=None if earlier_spool is None else str(earlier_spool),
            not_restored=None
            if missing is None
            else {signal.value: count for signal, count in missing.items()},
            report=report,
            folders=sorted({target for _, to in moves if (target := str(to.parent)) in own}),
        )

    def _report(
        self,
        manifest: Manifest,
        stored: StoreFacts,
        spooled: SpoolFacts,
        *,
        spool_kept: bool,
        not_restored: Mapping[Signal, int],
        missing_requests: tuple[int, int] | None,
        importable_again: int,
        set_aside_requests: int | None,
    ) -> RestoreReport:
        return RestoreReport(
            moment=manifest.moment,
            aside=str(self._aside) if self._spool.exists() or self._store.exists() else None,
            aside_store=str(self._aside_store) if self._store.exists() else None,
            spool_kept=spool_kept,
            records=stored.rows,
            replayed_requests=spooled.waiting_requests,
            replayed_records=_by_noun(spooled.waiting_records),
            not_restored=_by_noun(not_restored),
            missing_requests=missing_requests,
            importable_again=importable_again,
            set_aside_requests=set_aside_requests,
        )

    def _check_room(self, manifest: Manifest) -> None:
        spool = self._spool.stat().st_size if self._spool.is_file() else 0
        wanted = manifest.files[STORE].bytes + manifest.files[SPOOL].bytes + spool + _SPARE_BYTES
        for folder in {self._store.parent, self._spool.parent}:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < wanted:
                raise QueryError(
                    f"{folder} has {free >> 20:,} MiB of free space and the restore may take {wanted >> 20:,} MiB:"
                    " what is there stays",
                    hint="make room on that disk",
                )


def _there(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [each for suffix in suffixes if (each := path.with_name(path.name + suffix)).exists()]


def _by_noun(values: Mapping[Signal, int]) -> dict[str, int]:
    return {signal.records: values.get(signal, 0) for signal in Signal}
