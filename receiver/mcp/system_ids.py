"""Which system a trace comes from, and what else the documented tools tell of a trace, asked in SQL.

A system is the resource attribute ``system_id``; a resource without one is of the system that its service's name
tells (``receiver.sources.trace_dicts.units.system_of``): what was sent live and what was ingested are found alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from receiver.mcp.answers import Answers
from receiver.sources.trace_dicts.units import SYSTEM_ID, TRACE_ID, UNKNOWN, system_of
from receiver.times import rfc3339

ORIGINAL_ID = TRACE_ID

_OF_ATTRIBUTE = f"nullif(json_extract_string(r.attributes, '$.{SYSTEM_ID}'), '')"
SYSTEM = (
    f"coalesce({_OF_ATTRIBUTE}, CASE WHEN r.service_name ILIKE '%claude%' THEN 'claude'"
    f" WHEN r.service_name ILIKE '%qwen%' THEN 'qwen' ELSE r.service_name END, '{UNKNOWN}')"
)
"""SQL for the system of a resource ``r``."""

BY_START = (
    "s.start_time_unix_nano, s.parent_span_id IS NOT NULL,"
    " greatest(s.start_time_unix_nano, s.end_time_unix_nano) DESC, s.span_id"
)
"""SQL for the order of spans ``s``: by time, and parents first where they start together."""

_NAMES_SHOWN = 100
_MOST_SERVICES = 10
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """What the documented results tell of a trace."""

    system_id: str
    """Of its first span."""
    systems: tuple[str, ...]
    conversation_id: str
    """The trace id as it was given."""
    content: str
    """Names of its spans, earliest first, a hundred at most; what is left out is said."""
    timestamp: str | None
    span_count: int


async def facts_of(answers: Answers, trace_ids: Sequence[str]) -> dict[str, TraceFacts]:
    """Return the facts of those traces that have spans, by their ids in hex."""
    wanted = sorted({each for each in trace_ids if each and _TRACE_ID.fullmatch(each)})
    if not wanted:
        return {}
    ids = ", ".join(f"'{each}'::UUID" for each in wanted)
    found = await answers.ask(
        "sql",
        query="SELECT replace(trace_id::VARCHAR, '-', ''), count(*), min(start_time_unix_nano)::VARCHAR,"
        f" list(name ORDER BY {BY_START})[1:{_NAMES_SHOWN}],"
        f" arg_min({SYSTEM}, start_time_unix_nano), list(DISTINCT {SYSTEM}),"
        f" max(json_extract_string(s.attributes, '$.\"{ORIGINAL_ID}\"'))"
        f" FROM spans AS s JOIN resources AS r USING (resource_id) WHERE trace_id IN ({ids}) GROUP BY 1",
        limit=len(wanted),
    )
    return {
        trace_id: TraceFacts(
            system_id=system,
            systems=tuple(systems),
            conversation_id=original or trace_id,
            content=_content(names, count),
            timestamp=rfc3339(int(start)),
            span_count=count,
        )
        for trace_id, count, start, names, system, systems, original in found["rows"]
    }


def _content(names: Sequence[str], count: int) -> str:
    """Return the names of spans as one text; of how many more there are, the number."""
    shown = [name for name in names if name]
    if count > len(names):
        shown.append(f"… and {count - len(names)} more spans")
    return " | ".join(shown) or "Empty trace"


async def services_of(answers: Answers, system_id: str) -> list[str]:
    """Return the services whose name tells this system, those with most spans first, ten at most."""
    services = (await answers.ask("services"))["services"]
    of_system = [each for each in services if system_of(each["service"]) == system_id]
    of_system.sort(key=lambda each: -each["spans"])
    return [each["service"] for each in of_system[:_MOST_SERVICES]]


def is_of(system_id: str, facts: TraceFacts | None) -> bool:
    """Return whether a found record is of the system; one without a trace was found by it already."""
    return facts is None or system_id in facts.systems
