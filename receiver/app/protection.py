"""What stands between the listeners and who connects: certificates and tokens, read at start and again on change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from receiver.config import ListenerName, Settings
from receiver.errors import ConfigError
from receiver.transport.endpoint import parse_endpoint
from receiver.transport.tls import ListenerTls, TlsFiles
from receiver.transport.token_check import KnownTokens, Verify
from receiver.transport.tokens import Purpose, TokenFile

_LOG = logging.getLogger(__name__)
_TOKENS_S = 1.0
"""Seconds between two looks at the file of tokens: the longest that a revoked one still works, about."""
_PURPOSES: Mapping[ListenerName, Purpose] = {
    "grpc": Purpose.INGEST,
    "http": Purpose.INGEST,
    "query": Purpose.QUERY,
}


class Protection:
    """The certificates and tokens of one receiver. Threads: one event loop; files are read in worker threads."""

    def __init__(self, settings: Settings) -> None:
        """Keep which files; nothing is read yet."""
        self._settings = settings
        on = [each for each in _PURPOSES if getattr(settings.listen, f"{each}_endpoint")]
        self._wanted = sorted({_PURPOSES[each] for each in on if is_wanted(settings, _PURPOSES[each])})
        self._files = TlsFiles(settings.tls) if any(map(settings.tls.speaks, on)) else None
        self._known = KnownTokens(TokenFile(settings.tokens_path)) if self._wanted else None

    def tls(self, listener: ListenerName) -> ListenerTls | None:
        """Return what a listener needs for TLS; None where it speaks none. Usable once the files are read."""
        if self._files is None or not self._settings.tls.speaks(listener):
            return None
        return ListenerTls(self._files, self._settings.tls.asks_clients(listener))

    def verifier(self, listener: ListenerName, name: str) -> Verify | None:
        """Return the check of a listener's requests; None where no token is wanted."""
        purpose = _PURPOSES[listener]
        if self._known is None or purpose not in self._wanted:
            return None
        return self._known.verifier(purpose, name)

    def problems(self) -> list[str]:
        """Read all files; return what is wrong, a sentence each. Blocks for the disk."""
        found = []
        try:
            if self._files is not None:
                self._files.read()
        except ConfigError as error:
            found.append(str(error))
        try:
            tokens = self._known.read() if self._known is not None else ()
        except ConfigError as error:
            return [*found, str(error)]
        missing = (
            purpose for purpose in self._wanted if all(purpose not in each.purposes for each in tokens)
        )
        return found + [
            f"auth.{purpose} is on and {self._settings.tokens_path} has no token for {purpose};"
            f" make one: otlp-receiver token create NAME --for {purpose}"
            for purpose in missing
        ]

    def warnings(self) -> list[str]:
        """Return what an operator should know, a sentence each; after :meth:`problems`. Blocks for the disk."""
        found = self._files.warnings() if self._files is not None else []
        settings = self._settings
        if settings.listen.query_endpoint and settings.auth.ingest and not self._asks("query"):
            found.append(
                "auth.ingest is on, and the query listener asks for nothing: whoever connects there imports telemetry"
                " without a token, and reads all of it; set auth.query: true"
            )
        for listener, purpose in _PURPOSES.items():
            text: str = getattr(settings.listen, f"{listener}_endpoint")
            remote = bool(text) and not parse_endpoint(text).is_loopback
            if remote and is_wanted(settings, purpose) and not settings.tls.speaks(listener):
                found.append(
                    f"listen.{listener}_endpoint is {text} without TLS: tokens and telemetry cross the network in"
                    " clear; set tls.cert_path and tls.key_path, or let a proxy on this machine end TLS"
                )
        return found

    def _asks(self, listener: ListenerName) -> bool:
        return is_wanted(self._settings, _PURPOSES[listener]) or self._settings.tls.asks_clients(listener)

    async def read(self) -> None:
        """Read all files and say in the log what an operator should know.

        Raises:
            ConfigError: Something is wrong with them.
        """
        problems = await asyncio.to_thread(self.problems)
        if problems:
            raise ConfigError("; ".join(problems))
        for warning in await asyncio.to_thread(self.warnings):
            _LOG.warning("%s", warning)

    async def watch(self) -> None:
        """Look for changed files for ever; returns at once where there are none."""
        interval_s = self._settings.tls.reload_interval_s
        files_at = time.monotonic() + interval_s
        while self._files is not None or self._known is not None:
            await asyncio.sleep(_TOKENS_S if self._files is None else min(_TOKENS_S, interval_s))
            try:
                if self._known is not None:
                    await asyncio.to_thread(self._known.refresh)
                if self._files is not None and time.monotonic() >= files_at:
                    files_at = time.monotonic() + interval_s
                    await asyncio.to_thread(self._files.refresh)
            except Exception:  # noqa: BLE001 - the task's boundary: without it a revoked token would work for ever
                _LOG.exception("certificates and tokens could not be read again")

    def gauges(self) -> Mapping[str, float]:
        """Return the gauges of the certificate; none without TLS."""
        if self._files is None or self._files.expires_at is None:
            return {}
        return {
            "otlp_receiver_certificate_expiry_timestamp_seconds": self._files.expires_at,
            "otlp_receiver_certificate_reload_failed": float(self._files.problem is not None),
        }


def is_wanted(settings: Settings, purpose: Purpose) -> bool:
    """Return True if requests need a token for this."""
    return settings.auth.ingest if purpose is Purpose.INGEST else settings.auth.query


def open_to_others(settings: Settings) -> list[str]:
    """Return the listeners that other machines can reach and that ask for nothing, a sentence each.

    Raises:
        ConfigError: An endpoint cannot be read.
    """
    found = []
    for listener, purpose in _PURPOSES.items():
        text: str = getattr(settings.listen, f"{listener}_endpoint")
        if not text or parse_endpoint(text).is_loopback or settings.listen.allow_remote:
            continue
        if not is_wanted(settings, purpose) and not settings.tls.asks_clients(listener):
            found.append(
                f"listen.{listener}_endpoint is {text}: other machines can reach it and it asks for neither a token"
                f" nor a client's certificate; listen on localhost, set auth.{purpose}: true or tls.client_ca_path,"
                " or accept it with listen.allow_remote: true"
            )
    return found
