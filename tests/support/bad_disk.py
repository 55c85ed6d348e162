"""A disk that fails when a test says so: under a process, by a preloaded library; see ``disk_faults.c``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COMPILER = shutil.which("cc")


class BadDisk:
    """Rules for the calls that a process makes on files in one folder; none at first."""

    def __init__(self, workplace: Path, folder: Path) -> None:
        """Compile the library; needs ``COMPILER``.

        Args:
            workplace: Gets the library and the rules.
            folder: The rules are about files in it.
        """
        self._library = workplace / "disk_faults.so"
        self._rules = workplace / "disk.rules"
        self._folder = folder
        source = Path(__file__).with_name("disk_faults.c")
        if not self._library.exists():
            subprocess.run(
                [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl", "-pthread"],
                check=True,
            )

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process must have in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "DISK_FOLDER": str(self._folder),
            "DISK_RULES": str(self._rules),
        }

    @contextmanager
    def rules(self, *lines: str) -> Iterator[None]:
        """Let the disk be bad inside the block: lines such as ``write * 28`` or ``sync .duckdb +5000``."""
        new = self._rules.with_name("disk.rules.new")
        new.write_text("\n".join(lines) + "\n")
        new.replace(self._rules)
        try:
            yield
        finally:
            self._rules.unlink()
