"""Power cuts without a plug: runs a program and keeps what a disk would hold at given moments.

In: a Python program and moments (numbers of its write and sync calls). Out: one folder per moment with the
files as they were last synced, every write that no sync followed dropped. See ``sync_shadow.c``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMPILER = shutil.which("cc")


def compile_shim(folder: Path) -> Path:
    """Return the compiled library; needs ``COMPILER``."""
    library = folder / "sync_shadow.so"
    source = Path(__file__).with_name("sync_shadow.c")
    subprocess.run(
        [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-pthread"], check=True
    )
    return library


def run_with_cuts(
    program: str, *, library: Path, folder: Path, moments: Sequence[int] = ()
) -> tuple[int, list[Path]]:
    """Return the number of write and sync calls and, per moment, the folder that a power cut would leave.

    Args:
        program: Python source; its working files are in its current directory, ``folder / "live"``; it tells
            what it was promised in a file ``answers``, which is kept although nobody syncs it.
        library: See :func:`compile_shim`.
        folder: Empty.
        moments: Numbers of calls, from 1, before which the power is cut.
    """
    live, shadow = folder / "live", folder / "shadow"
    live.mkdir()
    shadow.mkdir()
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "SYNC_FOLDER": str(live),
        "SYNC_SHADOW": str(shadow),
        "SYNC_MOMENTS": "".join(f",{moment}," for moment in moments),
        "PYTHONPATH": str(REPOSITORY),
    }
    subprocess.run([sys.executable, "-c", program], cwd=live, env=environment, check=True, timeout=90)
    calls = int((folder / "shadow.calls").read_text())
    return calls, [folder / f"shadow.{moment}" for moment in moments]
