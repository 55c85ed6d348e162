"""Which files are meant by paths, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

USUAL_PLACES = (
    "~/.claude/projects",
    "~/.qwen/projects",
    "~/.gemini/tmp",
    "~/.codex/sessions",
)
"""Where agents keep their sessions unless they are told otherwise."""
_ENDINGS = (
    *(f"{kind}{packed}" for kind in (".jsonl", ".json", ".log") for packed in ("", ".gz", ".zst")),
    ".parquet",
)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read."""

    path: Path
    named: bool
    """False: found in a folder; it may well be something else."""


def files_of(paths: Sequence[str | os.PathLike[str]]) -> list[FoundFile]:
    """Return the files that are meant, each once: files, folders with all below them, patterns, ``~``.

    What is not there is returned like a file, so that whoever opens it says so. Blocks on the disk.
    """
    found: dict[Path, bool] = {}
    for given in paths:
        path = _expanded(Path(os.fspath(given)))
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long or must not be looked at
            for inside in _below(path):
                found.setdefault(inside, False)
        elif not os.path.exists(path) and glob.has_magic(str(path)):  # noqa: PTH110 - see above
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may begin at /
            if not matches:
                found[path] = True
            for match in matches:
                if os.path.isdir(match):  # noqa: PTH112 - plain strings from glob
                    for inside in _below(Path(match)):
                        found.setdefault(inside, False)
                else:
                    found[Path(match)] = True
        else:
            found[path] = True
    return [FoundFile(path, named) for path, named in found.items()]


def _expanded(path: Path) -> Path:
    """Return the path with its home folder; as it is where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(_ENDINGS):
                yield Path(here, name)
