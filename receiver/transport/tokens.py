"""The file of bearer tokens: names and hashes in, a new token out once.

A token is 256 random bits, so its SHA-256 tells nothing about it and no guess can be tried against it: the slow
hashes of passwords would only make each request slow. The file holds one line a token: name, what it is for,
hash, when it was made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from receiver.errors import ConfigError

PREFIX = "otlpr_"
"""Begins every token, so that a scanner for leaked secrets can tell what it found."""
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MODE = 0o600


class Purpose(StrEnum):
    """What a token lets its holder do."""

    INGEST = "ingest"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the file; the token itself is nowhere but with its holder."""

    name: str
    purposes: frozenset[Purpose]
    digest: str = field(repr=False)
    created: str

    def line(self) -> str:
        """Return it as it stands in the file."""
        return f"{self.name} {','.join(sorted(self.purposes))} {self.digest} {self.created}\n"


class TokenFile:
    """The file. Threads: any; every method blocks for the disk."""

    def __init__(self, path: Path) -> None:
        """Keep where it is; it need not be there."""
        self.path = path

    def read(self) -> list[Token]:
        """Return the tokens; none where there is no file.

        Raises:
            ConfigError: The file cannot be read, or a line is not a token's; the message has its number only.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"the tokens in {self.path} cannot be read: {reason}") from error
        lines = enumerate(text.splitlines(), 1)
        found = [self._parsed(line, at) for at, line in lines if line.strip() and not line.startswith("#")]
        if len({token.name for token in found}) != len(found):
            raise ConfigError(f"a name stands twice in {self.path}", hint="take one of the lines out")
        return found

    def create(self, name: str, purposes: frozenset[Purpose]) -> str:
        """Return a new token; its hash is on disk.

        Raises:
            ConfigError: The name is taken or not a name, nothing says what it is for, or the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is not a name", hint="letters, digits, dots, hyphens, underscores; at most 64"
            )
        if not purposes:
            raise ConfigError("a token is made for something", hint="--for ingest, --for query, or both")
        text = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._changing() as known:
            if any(token.name == name for token in known):
                raise ConfigError(
                    f"there is a token {name} already", hint="revoke it first, or take another name"
                )
            known.append(Token(name, purposes, digest_of(text), created))
        return text

    def revoke(self, name: str) -> None:
        """Take a token out of the file.

        Raises:
            ConfigError: There is none of this name, or the file cannot be written.
        """
        with self._changing() as known:
            kept = [token for token in known if token.name != name]
            if len(kept) == len(known):
                raise ConfigError(f"there is no token {name!r}", hint="otlp-receiver token list")
            known[:] = kept

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """Give the tokens to change, alone; what is in the list at the end is on disk afterwards."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, _MODE)
            try:
                self._give_to_owner(lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
                known = self.read()
                yield known
                self._write(known)
            finally:
                os.close(lock)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}") from error

    def _write(self, tokens: list[Token]) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "w") as file:
            self._give_to_owner(file.fileno())
            file.writelines(token.line() for token in tokens)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path)

    def _give_to_owner(self, handle: int) -> None:
        """Let the file's owner, or the folder's, have what root makes: a receiver that cannot read it obeys no revocation."""
        if os.geteuid() == 0:
            before = (self.path if self.path.exists() else self.path.parent).stat()
            os.fchown(handle, before.st_uid, before.st_gid)

    def _parsed(self, line: str, number: int) -> Token:
        words = line.split()
        try:
            name, purposes, digest, created = words
            known = frozenset(Purpose(each) for each in purposes.split(","))
        except ValueError:
            known, name, digest, created = frozenset(), "", "", ""
        if not known or not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
            raise ConfigError(
                f"line {number} of {self.path} is not a token",
                hint="otlp-receiver token writes this file: name, purposes, SHA-256 in hex, time",
            )
        return Token(name, known, digest, created)


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, in hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
