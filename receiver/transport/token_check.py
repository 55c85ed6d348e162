"""Whether a request's bearer token is one of the file's: header values in, nothing or a refusal out.

Source of the header: RFC 6750.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Sequence

from receiver.errors import ConfigError, UnauthenticatedError
from receiver.transport.tokens import Purpose, Token, TokenFile, digest_of

_log = logging.getLogger(__name__)

Verify = Callable[[Sequence[str], str], None]
"""Takes a request's ``Authorization`` values and who sent it; returns if it may pass, else raises."""


class KnownTokens:
    """The tokens of a file, as last read.

    Threads: ``refresh`` blocks for the disk, in one thread at a time; ``verify`` is for any thread and blocks nothing.
    """

    def __init__(self, file: TokenFile) -> None:
        """Know none yet."""
        self._file = file
        self._tried: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._problem: str | None = None

    def read(self) -> Sequence[Token]:
        """Return the file's tokens and go by them from here on.

        Raises:
            ConfigError: The file cannot be read; those known before stay.
        """
        self._tried = self._signature()
        self._tokens = tuple(self._file.read())
        return self._tokens

    def refresh(self) -> None:
        """Read the file again if it changed.

        One that cannot be read is told once and tried again, because a token may have been revoked in it; what was
        known stays meanwhile.
        """
        if self._problem is None and self._signature() == self._tried:
            return
        try:
            known = len(self.read())
        except ConfigError as error:
            if str(error) != self._problem:
                _log.error("the tokens as they were stay in use: %s", error)
            self._problem = str(error)
            return
        self._problem = None
        _log.info("the tokens were read again: there are %d", known)

    def verify(self, authorization: Sequence[str], purpose: Purpose) -> None:
        """Return if the values of a request's ``Authorization`` header are one token that is for this.

        Every token is compared, in constant time: how long it takes tells nothing about which are known.

        Raises:
            UnauthenticatedError: They are not; the message does not repeat what was sent.
        """
        if not authorization:
            raise UnauthenticatedError(
                "this receiver wants a bearer token and the request has none",
                hint=f"send Authorization: Bearer TOKEN; otlp-receiver token create NAME --for {purpose} makes one",
            )
        scheme, _, text = authorization[0].strip().partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer":
            raise UnauthenticatedError(
                "the Authorization header is not one bearer token", hint="send Authorization: Bearer TOKEN"
            )
        given = digest_of(text.strip())
        held: frozenset[Purpose] | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, given):
                held = token.purposes
        if held is None:
            raise UnauthenticatedError(
                "the bearer token is not known here",
                hint="was it revoked, or made for another data directory?",
            )
        if purpose not in held:
            raise UnauthenticatedError(
                f"the bearer token was not made for {purpose}",
                hint=f"otlp-receiver token create NAME --for {purpose} makes one",
            )

    def verifier(self, purpose: Purpose, listener: str) -> Verify:
        """Return the check of one listener; it writes what it refuses into the log, without the token."""

        def verify(authorization: Sequence[str], peer: str) -> None:
            try:
                self.verify(authorization, purpose)
            except UnauthenticatedError as error:
                _log.warning("%s refused a request of %s: %s", listener, peer, error.message)
                raise

        return verify

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
