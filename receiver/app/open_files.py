"""How many files and connections the process may have open at a time."""

from __future__ import annotations

import resource


def raise_open_files() -> None:
    """Let the process open as many files as its user may: the usual limit is 1024, for programs that use select.

    Connections count. Where the limit is reached, new ones are refused and the database cannot open its files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # no such right here (macOS: "unlimited" is more than it allows)
            return
