"""What became of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.sources.reading import SourceProblem


@dataclass
class FileReport:
    """What became of one file."""

    path: str
    format: str | None = None
    """One of ``receiver.sources.formats.PARSERS``; None where none was found."""
    bytes: int = 0
    units_stored: int = 0
    duplicates: int = 0
    """Units that were imported before, from this file or another one."""
    records: Counter[str] = field(default_factory=Counter)
    """New records by their noun: spans, log_records, metric_points."""
    sessions: Sequence[str] = ()
    problems: list[SourceProblem] = field(default_factory=list)
    more_problems: int = 0
    skipped: str = ""
    """Why a file that was found in a folder, and not named, was left out; that is no problem."""

    @property
    def ok(self) -> bool:
        """Return True if everything was read."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "path": self.path,
            "format": self.format,
            "bytes": self.bytes,
            "units_stored": self.units_stored,
            "duplicates": self.duplicates,
            "records": dict(self.records),
            "sessions": list(self.sessions),
            "problems": [{"line": each.line, "message": each.message} for each in self.problems],
            "more_problems": self.more_problems,
            "skipped": self.skipped or None,
        }


@dataclass
class IngestReport:
    """What became of all files of one call."""

    files: list[FileReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Return True if everything was read."""
        return all(file.ok for file in self.files)

    @property
    def units_stored(self) -> int:
        """Return how many units are new."""
        return sum(file.units_stored for file in self.files)

    @property
    def duplicates(self) -> int:
        """Return how many units were there before."""
        return sum(file.duplicates for file in self.files)

    @property
    def records(self) -> Mapping[str, int]:
        """Return how many records are new, by their noun."""
        return sum((file.records for file in self.files), Counter[str]())

    @property
    def sessions(self) -> list[str]:
        """Return the sessions of all files, each once."""
        return list(dict.fromkeys(each for file in self.files for each in file.sessions))

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "ok": self.ok,
            "files": [file.as_json() for file in self.files],
            "totals": {
                "files": len(self.files),
                "units_stored": self.units_stored,
                "duplicates": self.duplicates,
                "records": dict(self.records),
                "sessions": len(self.sessions),
            },
        }
