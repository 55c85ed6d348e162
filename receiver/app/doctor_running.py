"""The doctor's questions to a receiver that runs; its files are left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from receiver.app.doctor_files import quarantine
from receiver.app.findings import Finding, ok, problem, warning
from receiver.client.server import NoAnswerError, Server
from receiver.config import Settings
from receiver.errors import ReceiverError

_NEARLY_FULL = 0.8
_READY = 200
_BEFORE = ("stored", "duplicates", "in_spool", "quarantined", "not_restored")


def asked(settings: Settings, server: Server, pid: int) -> Iterator[Finding]:
    """Yield what the receiver says about itself."""
    try:
        status, body = server.request("GET", "/readyz")
        said: Any = json.loads(body)
        found = [str(each) for each in said["problems"]]
    except NoAnswerError:
        yield warning(
            "receiver",
            f"pid {pid} runs, and nothing answers at {server.endpoint}",
            "--endpoint names its query listener; without one, stop it to have its files looked at",
        )
        return
    except (ReceiverError, ValueError, LookupError, TypeError) as error:
        yield problem("receiver", f"what answers at {server.endpoint} is no receiver, or is ill: {error}")
        return
    for text in found:
        yield problem("receiver", text, "docs/operations.md says what helps")
    if status == _READY and not found:
        yield ok("receiver", f"ready at {server.endpoint}")
    stats: dict[str, Any] = json.loads(server.ask("stats", {}))
    yield from _spool(settings, stats)
    records = stats["records"]
    yield ok("store", ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in records.items()))
    yield from _conserved(stats)
    embedding = stats["embedding"]
    if settings.embed.enabled and embedding["available"]:
        yield ok("index", f"{embedding['indexed']:,} vectors, {embedding['pending']:,} texts wait for theirs")


def _spool(settings: Settings, stats: dict[str, Any]) -> Iterator[Finding]:
    spool = stats["spool"]
    text = f"{spool['requests']:,} requests in it, {spool['not_loaded_requests']:,} not stored yet"
    if spool["bytes"] > settings.spool.max_bytes * _NEARLY_FULL:
        yield warning("spool", f"nearly full: {text}", "clients are refused when it is full; see /readyz")
    else:
        yield ok("spool", text)
    yield from quarantine(stats["quarantine"]["requests"])


def _conserved(stats: dict[str, Any]) -> Iterator[Finding]:
    totals = stats["conservation"]
    if stats["spool"]["not_loaded_requests"]:
        return  # the parts are read one after the other: only at rest they agree to the record
    for name, accepted in totals["accepted"].items():
        found = sum(totals.get(state, {}).get(name, 0) for state in _BEFORE)
        if accepted != found:
            yield warning(
                "store",
                f"{accepted:,} {name} were accepted and {found:,} are accounted for",
                "normal while requests come in, and after files were replaced by hand; else please report it",
            )
