"""The moves of a restore, written down before the first one: a restore that was cut short is finished, never guessed.

While the plan is there no receiver starts on the data directory. Each move is done at most once, however often the
plan is carried out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from receiver.app.backup import sync
from receiver.app.data_directory import RESTORE_PLAN
from receiver.errors import StartError
from receiver.signals import Signal
from receiver.spool.backup import set_back


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did, and what it could not bring back."""

    moment: str
    """The backup is complete up to here."""
    aside: str | None
    """The folder that what was there before lies in; None where there was nothing."""
    aside_store: str | None
    """The folder of the store that was there before, where it is another one; None where there was no store."""
    spool_kept: bool
    """True: the spool that was there goes on being used. False: the backup's took its place."""
    records: Mapping[str, int]
    """In the restored store."""
    replayed_requests: int
    """In the spool and not in the store: they are stored at the next start."""
    replayed_records: Mapping[str, int]
    not_restored: Mapping[str, int]
    """Stored after the backup and no longer in the spool: only the store that was moved aside has them."""
    missing_requests: tuple[int, int] | None
    """The first and the last number that the spool no longer has."""
    importable_again: int
    """Units that were imported after the backup and are forgotten, so that importing them again stores them."""
    set_aside_requests: int | None
    """Requests in a spool that was moved aside; None where its file could not be read."""
    finished_earlier: bool = False
    """True: this was a restore that had been cut short."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What has to be done once everything is prepared."""

    moves: list[tuple[str, str]]
    spool: str
    position: int
    """The restored store's for that spool."""
    not_restored: Mapping[str, int] | None
    """Per signal, to be noted in the spool that stays; None: there is nothing to note."""
    earlier_spool: str | None
    """The copy of the backup's spool, where imports since then are to be forgotten."""
    report: RestoreReport
    folders: list[str] = field(default_factory=list)
    """To be made first."""

    def write(self, data_dir: Path) -> None:
        """Put it on disk, whole or not at all."""
        path = data_dir / RESTORE_PLAN
        scratch = path.with_name(f"{path.name}.new")
        scratch.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        scratch.chmod(0o600)
        sync(scratch)
        scratch.replace(path)
        sync(data_dir)

    @classmethod
    def read(cls, data_dir: Path) -> RestorePlan | None:
        """Return the plan that was not finished, if there is one.

        Raises:
            StartError: It cannot be read.
        """
        path = data_dir / RESTORE_PLAN
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found["moves"] = [(str(source), str(target)) for source, target in found["moves"]]
            gap = found["report"]["missing_requests"]
            found["report"]["missing_requests"] = None if gap is None else (int(gap[0]), int(gap[1]))
            return cls(**{**found, "report": RestoreReport(**{**found["report"], "finished_earlier": True})})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StartError(
                f"{path} cannot be read: {error}", hint="it says which files go where"
            ) from error

    def carry_out(self, data_dir: Path) -> RestoreReport:
        """Do what is not done yet and remove the plan.

        Raises:
            OSError: A file cannot be moved; the plan stays.
            SpoolUnavailableError: The spool cannot be written; the plan stays.
        """
        for folder in map(Path, self.folders):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync(folder.parent)
        for source, target in ((Path(source), Path(target)) for source, target in self.moves):
            if source.exists() and not target.exists():
                source.rename(target)
                sync(target.parent)
                sync(source.parent)
        if self.not_restored is not None:
            set_back(
                Path(self.spool),
                position=self.position,
                not_restored={Signal(name): count for name, count in self.not_restored.items()},
                earlier=None if self.earlier_spool is None else Path(self.earlier_spool),
            )
        (data_dir / RESTORE_PLAN).unlink()
        sync(data_dir)
        if self.earlier_spool is not None:
            remove(Path(self.earlier_spool))
        return self.report


def remove(path: Path) -> None:
    """Remove what a restore that was cut short before its plan has left."""
    path.unlink(missing_ok=True)
    for suffix in ("-wal", "-shm", ".wal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
