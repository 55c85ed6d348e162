"""The doctor's look at the files of a data directory that no receiver runs on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from receiver.app.findings import Finding, ok, problem, warning
from receiver.config import Settings
from receiver.embed.model import resolve_model
from receiver.errors import EmbeddingUnavailableError, ReceiverError
from receiver.signals import Signal
from receiver.spool.backup import SpoolFacts, spool_facts
from receiver.spool.health import spool_health
from receiver.store.backup import newest_schema, read_everything, store_facts

_HEADER_BYTES = 4096
_NEARLY_FULL = 0.8
_SHOWN = 5


def spool(settings: Settings) -> Iterator[Finding]:
    """Yield what is found about the spool."""
    path = settings.spool_path
    if not path.is_file():
        yield ok("spool", f"{path} is not there yet; the first start makes it")
        return
    health = spool_health(path)
    if health.faults:
        yield problem(
            "spool",
            f"SQLite finds faults in {path}: {'; '.join(health.faults)}",
            "copy it away and try `sqlite3 spool.db .recover`; it holds acknowledged requests",
        )
    if health.damaged:
        shown = ", ".join(map(str, health.damaged[:_SHOWN]))
        yield problem(
            "spool",
            f"{len(health.damaged)} waiting requests are damaged: {shown}",
            "the next start sets them aside in quarantine and loads the others; look at the disk",
        )
    if not health.faults and not health.damaged:
        yield ok(
            "spool",
            f"sound, {health.checked_requests:,} requests in it, {health.free_share:.0%} of the file is free",
        )
    yield from quarantine(spool_facts(path, position=0).statistics.quarantined_requests)
    used = spool_facts(path, position=0).statistics.payload_bytes
    if used > settings.spool.max_bytes * _NEARLY_FULL:
        yield warning(
            "spool", f"{used >> 20:,} MiB of {settings.spool.max_bytes >> 20:,} are used", "let it be loaded"
        )


def quarantine(requests: int) -> Iterator[Finding]:
    """Yield a warning where requests are in quarantine."""
    if requests:
        yield warning(
            "quarantine",
            f"{requests:,} requests were accepted and could not be stored",
            "the log says why; otlp-receiver requeue tries them again",
        )


def store(settings: Settings, *, deep: bool) -> Iterator[Finding]:
    """Yield what is found about the database and how it fits the spool."""
    path = settings.store_path
    if not path.is_file():
        if settings.spool_path.is_file() and _stored_before(settings):
            yield problem(
                "store",
                f"{path} is gone, and its spool has given requests to it",
                "put it back, or restore a backup; else the next start begins an empty one",
            )
        else:
            yield ok("store", f"{path} is not there yet; the first start makes it")
        return
    facts = store_facts(path)
    newest = newest_schema()
    if facts.schema_version > newest:
        yield problem(
            "store",
            f"schema version {facts.schema_version}, this release knows up to {newest}",
            "use the release that wrote it, or a newer one",
        )
        return
    older = f"; the next start brings it to schema {newest}" if facts.schema_version < newest else ""
    rows = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in facts.rows.items())
    yield ok("store", f"opens, schema {facts.schema_version}, {rows}{older}")
    if deep:
        read_everything(path)
        yield ok("store", "every stored value could be read")
    if not settings.spool_path.is_file():
        yield warning(
            "store", "there is no spool beside it", "if spool.db is elsewhere, put it back before the start"
        )
        return
    identity = spool_facts(settings.spool_path, position=0).uuid
    position = facts.positions.get(identity, 0)
    spooled = spool_facts(settings.spool_path, position=position)
    highest = spooled.statistics.highest_sequence
    if position > highest:
        yield problem(
            "store",
            f"it is at position {position} of a spool that has only {highest}",
            "this is an older spool.db, or the end of its log was lost (spool.db-wal.damaged-* is a copy): put the"
            " right one back; if there is none, move all files spool.db* away, and the next start begins a new one."
            " What this one numbers was stored before, unless it was used with another store",
        )
        return
    yield ok("store", f"{spooled.waiting_requests:,} requests of the spool are not in it yet")
    yield from _totals(spooled, facts.stored, new=identity not in facts.positions)


def index(settings: Settings) -> Iterator[Finding]:
    """Yield what is found about the vector index."""
    path = settings.index_path
    if not settings.embed.enabled or not path.is_file():
        yield ok("index", "there is no file; it is made from the store when it is needed")
        return
    advice = "nothing is lost: the next start builds it from the store"
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline(_HEADER_BYTES))
        model, vectors = str(header["model"]), int(header["vectors"])
    except (ValueError, LookupError, TypeError):
        yield warning("index", f"{path} is not an index", advice)
        return
    try:
        wanted = resolve_model(settings.embed).identity
    except EmbeddingUnavailableError:
        wanted = model  # the model itself is another finding
    if model != wanted:
        yield warning("index", f"it holds vectors of {model}, the settings say {wanted}", advice)
        return
    embedded = (
        store_facts(settings.store_path).embeddings.get(model, 0) if settings.store_path.is_file() else 0
    )
    if vectors < embedded:
        yield warning("index", f"{vectors:,} vectors for {embedded:,} texts", advice)
        return
    yield ok("index", f"{vectors:,} vectors of {model} for {embedded:,} texts")


def _stored_before(settings: Settings) -> bool:
    try:
        facts = spool_facts(settings.spool_path, position=0)
    except ReceiverError:
        return False
    return facts.statistics.highest_sequence > facts.waiting_requests + facts.statistics.quarantined_requests


def _totals(spooled: SpoolFacts, stored: Mapping[Signal, int], *, new: bool) -> Iterator[Finding]:
    """Compare what the spool says was stored with what the store says."""
    if new:
        return
    left_behind = spooled.statistics.not_restored_records
    off = {
        signal.records: difference
        for signal, count in spooled.beyond().items()
        if (difference := count - left_behind[signal] - stored[signal])
    }
    if off:
        told = ", ".join(f"{abs(n):,} {name} too {'few' if n > 0 else 'many'}" for name, n in off.items())
        yield warning(
            "store",
            f"what was accepted is not what is accounted for: {told}",
            "normal after spool.db or the database was replaced by hand; else please report it",
        )
