"""Questions about one system: by the attribute that ingested traces have, and by the names of services.

A system is the resource attribute ``system_id``; a resource without one, which somebody sent live, is of the system
that its service's name tells. What the API filters by is one of both, so such a question may become several.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from receiver.access import Access
from receiver.ingester.validation import checked_text
from receiver.questions import Filters
from receiver.sources.trace_dicts.units import SYSTEM_ID, system_of

Rows = list[dict[str, Any]]
_MOST_SERVICES = 10
_LIVE = (
    "SELECT DISTINCT service_name FROM resources WHERE service_name IS NOT NULL"
    f" AND json_extract(attributes, '$.{SYSTEM_ID}') IS NULL"
)


async def search_of(access: Access, given: dict[str, list[str]], system_id: str | None) -> Rows:
    """Return what the question ``search`` finds of a system (None: of all), most similar first, each trace once."""
    questions = await _each(access, given, system_id)
    return _best([(await access.ask("search", each))["results"] for each in questions])


async def traces_of(access: Access, given: dict[str, list[str]], system_id: str | None) -> Rows:
    """Return what the question ``traces`` lists of a system (None: of all), each trace once."""
    questions = await _each(access, given, system_id)
    rows = [(await access.ask("traces", each))["traces"] for each in questions]
    return list({row["trace_id"]: row for part in rows for row in part}.values())


async def found_of(
    access: Access, search: Callable[[Filters], Awaitable[Rows]], system_id: str | None
) -> Rows:
    """Return what ``search`` finds with the filters of a system (None: of all), each trace once."""
    if system_id is None:
        return await search(Filters())
    asked = [Filters(attributes={SYSTEM_ID: checked_text("system_id", system_id)})]
    asked += [Filters(service=name) for name in await _live_services(access, system_id)]
    return _best([await search(each) for each in asked])


async def _each(
    access: Access, given: dict[str, list[str]], system_id: str | None
) -> list[dict[str, list[str]]]:
    if system_id is None:
        return [given]
    attribute = f"{SYSTEM_ID}={json.dumps(checked_text('system_id', system_id))}"
    marked = {**given, "attribute": [*given.get("attribute", []), attribute]}
    live = await _live_services(access, system_id)
    return [marked, *({**given, "service": [name]} for name in live)]


async def _live_services(access: Access, system_id: str) -> list[str]:
    rows = (await access.ask("sql", {"query": [_LIVE]}))["rows"]
    return sorted(name for (name,) in rows if system_of(name) == system_id)[:_MOST_SERVICES]


def _best(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    best: dict[str, dict[str, Any]] = {}
    for row in sorted((row for part in parts for row in part), key=lambda row: -row["similarity"]):
        best.setdefault(row["trace_id"], row)
    return list(best.values())
