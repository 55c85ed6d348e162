"""What a backup says about itself: ``manifest.json`` in its folder, written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from receiver.errors import QueryError

MANIFEST = "manifest.json"
STORE = "telemetry.duckdb"
SPOOL = "spool.db"
_FORMAT = 1
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup, and up to when it is complete."""

    moment: str
    """RFC 3339: everything that was acknowledged before is in the backup."""
    moment_unix_nano: str
    release: str
    schema_version: int
    spool: str
    """Identity of the spool that was copied."""
    position: int
    """Requests of that spool up to here are in the store's copy."""
    highest_sequence: int
    """Those up to here are in the spool's copy."""
    waiting_requests: int
    """In the spool's copy and not in the store's."""
    quarantined_requests: int
    records: Mapping[str, int]
    """Spans, log records and data points in the store's copy."""
    files: Mapping[str, FileFacts]

    def write(self, folder: Path) -> None:
        """Write it into the folder of the backup."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=2)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        (folder / MANIFEST).chmod(0o600)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest of the backup in ``folder``.

        Raises:
            QueryError: There is none, or it is not one.
        """
        path = folder / MANIFEST
        try:
            with path.open("rb") as file:
                found: dict[str, Any] = json.loads(file.read(_LARGEST))
            if found.pop("format") != _FORMAT:
                raise QueryError(f"{path} was written by a newer release", hint="restore with that one")
            files = {
                name: FileFacts(int(found["files"][name]["bytes"]), str(found["files"][name]["sha256"]))
                for name in (STORE, SPOOL)
            }
            manifest = cls(
                moment=str(found["moment"]),
                moment_unix_nano=str(int(found["moment_unix_nano"])),
                release=str(found["release"]),
                schema_version=int(found["schema_version"]),
                spool=str(UUID(found["spool"])),
                position=int(found["position"]),
                highest_sequence=int(found["highest_sequence"]),
                waiting_requests=int(found["waiting_requests"]),
                quarantined_requests=int(found["quarantined_requests"]),
                records={str(name): int(count) for name, count in found["records"].items()},
                files=files,
            )
        except OSError as error:
            raise QueryError(
                f"{folder} is not a backup: {path.name} cannot be read ({error.strerror})",
                hint="name the folder that otlp-receiver backup made",
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise QueryError(f"{path} is not the manifest of a backup: {error}") from error
        return manifest


def facts_of_file(path: Path) -> FileFacts:
    """Return size and digest of a file, read once. Blocks.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileFacts(file.tell(), digest)
