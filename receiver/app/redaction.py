"""The redaction rules of a receiver, with the secret that its hashes need.

What searches by rules brings Arrow with it, and is loaded where there is a rule: a start does not wait for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.config import Settings
from receiver.errors import StartError
from receiver.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from receiver.decode.redact import Redactor

_KEY_BYTES = 32
_LEAST_BYTES = 16


def redaction_problems(settings: Settings) -> list[str]:
    """Return what is wrong with the rules, a sentence each that names the rule."""
    if not settings.redact.rules:
        return []
    from receiver.decode.redact_rules import rule_problems  # noqa: PLC0415 - see above

    return list(rule_problems(settings.redact.rules))


def redactor_of(settings: Settings, metrics: Metrics) -> Redactor | None:
    """Return what redacts requests; None without rules. The data directory is there.

    Raises:
        ConfigError: A pattern cannot be used.
        StartError: The secret of the action ``hash`` cannot be read or made.
    """
    if not settings.redact.rules:
        return None
    from receiver.decode.redact import Redactor  # noqa: PLC0415 - see above
    from receiver.decode.redact_rules import compile_rules  # noqa: PLC0415 - see above

    rules = compile_rules(settings.redact.rules)
    hashes = any(rule.action == "hash" for rule in rules)
    key = hash_key(settings.redact_key_path) if hashes else b""
    return Redactor(rules, hash_key=key, counted=metrics.redacted)


def hash_key(path: Path) -> bytes:
    """Return the secret in a file; a new one, private to the user, is made where there is no file.

    The file is there whole or not at all, and two receivers that make it at once use the same one.

    Raises:
        StartError: It cannot be read or made, or holds less than 16 bytes.
    """
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise StartError(
            f"the secret of redacted hashes, {path}, cannot be read or made: {error.strerror}",
            hint="redact.hash_key_path names another file",
        ) from error
    if len(key) < _LEAST_BYTES:
        raise StartError(
            f"the secret of redacted hashes, {path}, holds {len(key)} bytes, and at least {_LEAST_BYTES} are asked for",
            hint="remove the file, and a new one is made; values then hash differently than before",
        )
    return key


def _make(path: Path) -> None:
    """Write a secret to a file of its own and give that its name, unless another one has it by now."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
