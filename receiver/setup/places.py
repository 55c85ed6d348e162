"""Where programs keep their settings on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The folders from which paths of settings begin."""

    home: Path
    project: Path
    """The working directory."""
    environ: Mapping[str, str]
    platform: str
    """As ``sys.platform`` has it."""

    def folder(self, variable: str, default: str) -> Path:
        """Return the folder that a variable names, or a folder of the home directory."""
        named = self.environ.get(variable)
        return Path(named) if named else self.home / default

    @property
    def vs_code(self) -> Path:
        """Return the folder of VS Code's user settings.

        Source: https://code.visualstudio.com/docs/configure/settings#_user-settingsjson-location
        """
        if self.platform == "win32":
            return self.folder("APPDATA", "AppData/Roaming") / "Code" / "User"
        if self.platform == "darwin":
            return self.home / "Library/Application Support/Code/User"
        return self.folder("XDG_CONFIG_HOME", ".config") / "Code" / "User"
