"""A settings file on the disk: read, changed without a moment in which it is half-written, and backed up once."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from receiver.setup.entry import Change
from receiver.setup.errors import NotMergeableError, SetupError
from receiver.setup.options import Options
from receiver.setup.target import Target

_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """What writing a configuration did."""

    changes: tuple[Change, ...]
    """Empty if the file held it already; then nothing was written."""
    backup: Path | None
    """The copy of the file as it was before the first change, if this call made it."""


def text_of(path: Path) -> str | None:
    """Return the text of a file with its own line ends, or None if it is not there.

    Raises:
        SetupError: It cannot be read, is no UTF-8, or is no file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SetupError(f"{path} is not a file")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise SetupError(f"{path} is too large to be settings")
        return data.decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise SetupError(f"{path} is not UTF-8 (byte {error.start})", hint="nothing was written") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from error


def write(path: Path, target: Target, options: Options) -> Written:
    """Put a configuration into a file; return when the file holds it.

    Everything else in the file stays. A symbolic link is followed, and stays. The folder is made if it is missing.
    The first change leaves a copy beside it, ``NAME.bak``, which later ones do not touch.

    Raises:
        SetupError: Nothing was written: the file cannot be read, understood, changed without loss
            (``NotMergeableError``) or written.
    """
    existing = text_of(path)
    try:
        merged = target.merged(existing, options)
    except SetupError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error
    if not merged.changes:
        return Written((), None)
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        backup = None if existing is None else _backed_up(real)
        _replace(real, merged.text)
    except OSError as error:
        raise SetupError(f"{error.filename or path} cannot be written: {error.strerror or error}") from error
    return Written(merged.changes, backup)


def _backed_up(real: Path) -> Path | None:
    """Copy the file beside itself unless a copy is there; return the copy if it was made."""
    copy = real.with_name(f"{real.name}.bak")
    try:
        with copy.open("xb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(real.stat().st_mode))
            file.write(real.read_bytes())
    except FileExistsError:
        return None
    return copy


def _replace(real: Path, text: str) -> None:
    """Write beside the file and rename over it, with its mode: a reader sees the old text or the new one."""
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
    except FileNotFoundError:
        mode = 0o600  # settings may come to hold secrets, and nobody else needs to read them
    handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(real)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


__all__ = ["NotMergeableError", "Written", "text_of", "write"]
