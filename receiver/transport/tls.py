"""Certificates of the listeners: PEM files in, TLS contexts out; changed files are read again while serving.

A handshake uses the newest files that fit together; a new set that does not is told and the old one stays.
A context is never changed: each set of files gets fresh ones, so that no session of an old authority is resumed.
"""

from __future__ import annotations

import logging
import re
import ssl
import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from receiver.config import TlsConfig
from receiver.errors import ConfigError
from receiver.transport.x509 import not_after

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
_FIRST_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s.+?\s-----END CERTIFICATE-----", re.DOTALL | re.ASCII
)
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""What mode 0640 does not have."""

_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """One set of files that fit together."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    expires_at: float
    """Unix time of the end of the listener's own certificate."""
    context: ssl.SSLContext
    """Asks no client for a certificate."""
    mutual_context: ssl.SSLContext | None
    """Demands a client's certificate; None where no authorities are configured."""


class TlsFiles:
    """The files of ``tls.*`` and what was last read of them.

    Threads: ``read`` and ``refresh`` block for the disk, in one thread at a time; everything else is for any thread.
    """

    def __init__(self, config: TlsConfig) -> None:
        """Keep which files; nothing is read yet."""
        self._config = config
        self._tried: _Signature = ()
        self._current: Certificates | None = None
        self.problem: str | None = None
        """Why the newest files are not in use; None while they are."""

    @property
    def current(self) -> Certificates:
        """Return the set in use; :meth:`read` has been called before."""
        assert self._current is not None, "read() comes first"  # noqa: S101 - a mistake of ours
        return self._current

    @property
    def expires_at(self) -> float | None:
        """Return when the listener's own certificate ends, in Unix time; None before :meth:`read`."""
        return None if self._current is None else self._current.expires_at

    def read(self) -> Certificates:
        """Return the files' set, and use it from here on.

        Raises:
            ConfigError: A file is missing, is not what it should be, or does not fit the others.
        """
        for _ in range(_ATTEMPTS):
            self._tried = self._signature()
            found = _read(self._config)
            if self._signature() == self._tried:  # a renewal between two files is seen by the next look
                self._current = found
                return found
        raise ConfigError("the files of tls.* change all the time", hint="put new ones in place by renaming")

    def refresh(self) -> None:
        """Use the files' newest set if they changed and fit together; else say so once, keep the old one, try again."""
        if self.problem is None and self._signature() == self._tried:
            return
        try:
            found = self.read()
        except ConfigError as error:
            if str(error) != self.problem:
                _log.error("the new certificate is not used, the old one stays: %s", error)
            self.problem = str(error)
            return
        self.problem = None
        _log.info("new connections get the new certificate, valid until %s", _day(found.expires_at))

    def warnings(self) -> list[str]:
        """Return what an operator should know of the files, a sentence each. Blocks for the disk."""
        found = []
        try:
            mode = stat.S_IMODE(Path(self._config.key_path).stat().st_mode)
        except OSError:
            mode = 0
        if mode & _TOO_OPEN:
            found.append(
                f"tls.key_path {self._config.key_path} has mode {mode:04o}: others can read or change the private"
                " key; chmod 600 it"
            )
        if self._current is not None and self._current.expires_at < time.time():
            found.append(f"the certificate in tls.cert_path has expired on {_day(self._current.expires_at)}")
        return found

    def _signature(self) -> _Signature:
        found = []
        for text in (self._config.cert_path, self._config.key_path, self._config.client_ca_path):
            try:
                status = Path(text).stat() if text else None
            except OSError:
                status = None
            found.append((status.st_mtime_ns, status.st_size, status.st_ino) if status else (0, 0, 0))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """What one listener needs of the files."""

    files: TlsFiles
    asks_clients: bool
    """Whether clients must show a certificate."""

    def context(self) -> ssl.SSLContext:
        """Return the context for the next handshake."""
        current = self.files.current
        if not self.asks_clients:
            return current.context
        assert current.mutual_context is not None  # noqa: S101 - whoever set asks_clients saw the authorities
        return current.mutual_context


def _read(config: TlsConfig) -> Certificates:
    chain = _content("tls.cert_path", config.cert_path)
    key = _content("tls.key_path", config.key_path)
    client_ca = _content("tls.client_ca_path", config.client_ca_path) if config.client_ca_path else None
    first = _FIRST_CERTIFICATE.search(chain.decode("latin-1"))
    if first is None:
        raise ConfigError(
            f"tls.cert_path {config.cert_path} holds no certificate", hint="it must be PEM, the leaf first"
        )
    plain = _context(config)
    mutual = None
    if client_ca is not None:
        mutual = _context(config)
        mutual.verify_mode = ssl.CERT_REQUIRED
        try:
            mutual.load_verify_locations(cadata=client_ca.decode("latin-1"))
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"tls.client_ca_path {config.client_ca_path} holds no certificate of an authority",
                hint="it must be PEM",
            ) from error
    try:
        expires_at = not_after(ssl.PEM_cert_to_DER_cert(first[0]))
    except ValueError as error:
        raise ConfigError(f"tls.cert_path {config.cert_path} holds a damaged certificate") from error
    return Certificates(chain, key, client_ca, expires_at, plain, mutual)


def _content(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{key} {path} cannot be read: {error.strerror}") from error


def _context(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    asked: list[bool] = []

    def no_passphrase() -> str:  # without it OpenSSL would ask on the terminal, and wait
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(config.cert_path, config.key_path, password=no_passphrase)
    except (ssl.SSLError, OSError, ValueError) as error:
        key = config.key_path
        if asked:
            raise ConfigError(
                f"tls.key_path {key} is protected by a passphrase",
                hint="write it without one: openssl pkey -in KEY -out NEW_KEY",
            ) from error
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the private key {key} is not the one of the certificate {config.cert_path}",
                hint="tls.cert_path must have the listener's own certificate first, its chain after it",
            ) from error
        raise ConfigError(
            f"tls.cert_path {config.cert_path} and tls.key_path {key} cannot be used: {error}",
            hint="both must be PEM",
        ) from error
    return context


def _day(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M UTC")
