"""``otlp-receiver`` as a user runs it: a process, its exit code, and what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without receiver settings, in the zone of Kathmandu (+05:45)."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("OTLP_RECEIVER_")}
    return {
        **mine,
        "PYTHONPATH": str(REPOSITORY),
        "TZ": "Asia/Kathmandu",
        "NO_COLOR": "",
        **(environment or {}),
    }


def otlp_receiver(
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    sent: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Return how one command ended.

    Args:
        arguments: Command and options.
        folder: The working directory.
        environment: Added to a clean one.
        sent: To its standard input.
    """
    return subprocess.run(
        [sys.executable, "-m", "receiver", *map(str, arguments)],
        cwd=folder,
        env=clean_environment(environment),
        input=sent,
        stdin=subprocess.DEVNULL if sent is None else None,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
