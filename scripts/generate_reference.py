"""Write config/{receiver,prices}.yaml, docs/configuration.md and docs/cli.md; ``--check`` says if they are current.

They are what the settings classes and the commands say of themselves (receiver/cli/reference.py), and the packaged
price table, which users edit in config/prices.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from receiver.cli.main import cli
from receiver.cli.reference import commands_markdown, configuration_markdown, configuration_yaml
from receiver.sessions.prices import packaged_text

ROOT = Path(__file__).resolve().parent.parent


def references() -> dict[str, str]:
    """Return what each generated file must hold, by its path."""
    return {
        "config/receiver.yaml": configuration_yaml(),
        "config/prices.yaml": packaged_text(),
        "docs/configuration.md": configuration_markdown(),
        "docs/cli.md": commands_markdown(cli),
    }


def main() -> int:
    """Write the files, or compare them."""
    files = {ROOT / name: text for name, text in references().items()}
    stale = [file for file, text in files.items() if not file.exists() or file.read_text() != text]
    if "--check" in sys.argv[1:]:
        for file in stale:
            print(f"{file.relative_to(ROOT)} is not what the declarations say; run: make reference")
        return 1 if stale else 0
    for file in stale:
        file.parent.mkdir(exist_ok=True)
        file.write_text(files[file])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
