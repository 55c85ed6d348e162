"""Mistakes in the settings that only a stage can see, found before anything is opened or bound."""

from __future__ import annotations

from receiver.app.data_directory import loose_mode
from receiver.app.protection import Protection, open_to_others
from receiver.app.redaction import redaction_problems
from receiver.config import Settings
from receiver.errors import ConfigError
from receiver.transport.endpoint import parse_endpoint


def problems_of(settings: Settings) -> list[str]:
    """Return what would keep the receiver from starting, a sentence each; empty if nothing is wrong.

    Reads the files of certificates and tokens.
    """
    found: list[str] = []
    for key in ("grpc_endpoint", "http_endpoint", "query_endpoint"):
        text: str = getattr(settings.listen, key)
        if not text:
            continue
        try:
            parse_endpoint(text)
        except ConfigError as error:
            found.append(f"listen.{key}: {error}")
    if not found:
        found += open_to_others(settings)
    return found + Protection(settings).problems() + redaction_problems(settings)


def warnings_of(settings: Settings) -> list[str]:
    """Return what an operator should know about settings without problems, a sentence each."""
    protection = Protection(settings)
    protection.problems()
    return [*protection.warnings(), *loose_mode(settings.data_path)]
