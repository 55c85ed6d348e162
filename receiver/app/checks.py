"""Mistakes in the settings that only a stage can see, found before anything is opened or bound."""

from __future__ import annotations

from receiver.config import Settings
from receiver.errors import ConfigError
from receiver.transport.endpoint import parse_endpoint


def problems_of(settings: Settings) -> list[str]:
    """Return what would keep the receiver from starting, a sentence each; empty if nothing is wrong."""
    listen = settings.listen
    found: list[str] = []
    for key in ("grpc_endpoint", "http_endpoint", "query_endpoint"):
        text: str = getattr(listen, key)
        if not text:
            continue
        try:
            endpoint = parse_endpoint(text)
        except ConfigError as error:
            found.append(f"listen.{key}: {error}")
            continue
        if not endpoint.is_loopback and not listen.allow_remote:
            found.append(
                f"listen.{key} is {text}: other machines can reach it and there is no authentication;"
                " listen on localhost, or set listen.allow_remote: true"
            )
    return found
