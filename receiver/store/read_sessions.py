"""Agents' sessions: which there are, and the records of some of them.

A record belongs to the session that it names itself; else to the first one, by time, that is named in its trace; else
to the one that its resource names (in VS Code that is a window with many sessions); else, in a trace with records of
an agent, to the trace, whose id is the session's. Browsers name sessions too: only those with a record or a metric of
an agent count. Narrow columns decide, and only the records that are handed out are read whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

import duckdb

from receiver.questions import AgentRecord, SessionFilters, SessionRecords
from receiver.store.read_agent_records import read_records
from receiver.store.read_filters import LOG_TIME, Conditions

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_AGENT_METRICS = " OR ".join(
    f"starts_with(name, '{prefix}')"
    for prefix in ("claude_code.", "qwen-code.", "gemini_cli.", "codex.", "opencode.", "gen_ai.")
)
# A resource may stand there twice after a crash; its copies are equal.
_OWNERS = """owners AS MATERIALIZED (
  SELECT resource_id, any_value(service_name) AS service, any_value(
    CASE WHEN contains(attributes, '"session.id"') OR contains(attributes, '"gen_ai.conversation.id"') THEN TRY(
      list_filter(json_extract(attributes, ['/session.id', '/gen_ai.conversation.id']),
        lambda value: starts_with(value::VARCHAR, '"') AND value::VARCHAR <> '""')[1] ->> '$') END) AS session
  FROM resources GROUP BY resource_id)"""
_METRICS = f"""agent_metrics AS MATERIALIZED (
  SELECT metric_id, any_value(resource_id) AS resource_id, any_value({_AGENT_METRICS}) AS is_gen_ai
  FROM metrics GROUP BY metric_id)"""


def _both(columns: str, where: str) -> str:
    """Return the rows ``r`` of spans and log records for which ``where`` holds; {time} is a record's time."""
    return " UNION ALL ".join(
        f"SELECT '{table}' AS source, {columns.format(time=time)} FROM {table} r WHERE {where}"
        for table, time in (("spans", "r.start_time_unix_nano"), ("logs", LOG_TIME))
    )


_CANDIDATES = _both(
    "r.rowid AS row, r.trace_id, r.session_id, r.is_gen_ai, {time} AS time, r.resource_id",
    "r.session_id IN (FROM wanted) OR r.trace_id IN (FROM traces)",
)
# Stands after "wanted" (session ids) and "traces" (trace ids) that hold all that can matter for the question.
_PLACED = f"""
rows AS MATERIALIZED (
  SELECT r.*, o.service, r.session_id IS NOT NULL AND r.session_id IS DISTINCT FROM o.session AS own
  FROM ({_CANDIDATES}) r LEFT JOIN owners o USING (resource_id)),
firsts AS (
  SELECT trace_id, arg_min(session_id, time) FILTER (own) AS named,
    arg_min(session_id, time) FILTER (session_id IS NOT NULL) AS of_resource,
    CASE WHEN bool_or(is_gen_ai) THEN replace(trace_id::VARCHAR, '-', '') END AS itself
  FROM rows WHERE trace_id IS NOT NULL GROUP BY trace_id),
points AS (
  SELECT 'metric_points' AS source, r.rowid AS row, r.session_id AS session, r.time_unix_nano AS time, m.is_gen_ai,
    m.resource_id
  FROM metric_points r JOIN agent_metrics m USING (metric_id) WHERE r.session_id IN (FROM wanted)),
placed AS MATERIALIZED (
  SELECT source, row, time, is_gen_ai, service, CASE WHEN own THEN session_id
    ELSE coalesce(named, session_id, of_resource, itself) END AS session
  FROM rows LEFT JOIN firsts USING (trace_id)
  UNION ALL
  SELECT source, row, time, is_gen_ai, service, points.session FROM points LEFT JOIN owners USING (resource_id))"""


_OF_AGENTS = f"""WITH {_OWNERS}, {_METRICS},
agents AS MATERIALIZED ({_both("r.trace_id, r.session_id", "r.is_gen_ai")}),
agent_traces AS MATERIALIZED (SELECT DISTINCT trace_id FROM agents WHERE trace_id IS NOT NULL),
in_agent_traces AS ({_both("r.session_id", "r.trace_id IN (FROM agent_traces)")}),
wanted AS MATERIALIZED (
  SELECT session_id FROM agents WHERE session_id IS NOT NULL
  UNION SELECT session_id FROM in_agent_traces WHERE session_id IS NOT NULL
  UNION SELECT r.session_id FROM metric_points r JOIN agent_metrics m USING (metric_id)
    WHERE m.is_gen_ai AND r.session_id IS NOT NULL),
in_sessions AS ({_both("r.trace_id", "r.session_id IN (FROM wanted)")}),
traces AS MATERIALIZED (
  FROM agent_traces UNION SELECT trace_id FROM in_sessions WHERE trace_id IS NOT NULL),
{_PLACED}"""
_OF_SESSIONS = f"""WITH {_OWNERS}, {_METRICS},
wanted AS MATERIALIZED (SELECT unnest(?::VARCHAR[]) AS session_id),
in_sessions AS ({_both("r.trace_id", "r.session_id IN (FROM wanted)")}),
traces AS MATERIALIZED (
  SELECT unnest(?::UUID[]) AS trace_id UNION SELECT trace_id FROM in_sessions WHERE trace_id IS NOT NULL),
{_PLACED}"""


def session_ids(cursor: duckdb.DuckDBPyConnection, filters: SessionFilters, limit: int) -> list[str]:
    """Return the agents' sessions that pass, the one with the newest record first."""
    asked = Conditions()
    if filters.service is not None:
        asked.add("bool_or(service = ?)", filters.service)
    if filters.since_ns is not None:
        asked.add("max(time) >= ?::UBIGINT", filters.since_ns)
    if filters.until_ns is not None:
        asked.add("min(time) < ?::UBIGINT", filters.until_ns)
    rows = cursor.execute(
        f"{_OF_AGENTS} SELECT session FROM placed WHERE session IS NOT NULL GROUP BY session"
        f" HAVING bool_or(is_gen_ai) AND {asked.sql} ORDER BY max(time) DESC, session LIMIT ?",
        [*asked.values, limit],
    ).fetchall()
    return [session for (session,) in rows]


def session_records(
    cursor: duckdb.DuckDBPyConnection, session_ids: Sequence[str], limit: int
) -> SessionRecords:
    """Return the earliest ``limit`` records of these sessions, by session, each earliest first."""
    wanted = list(dict.fromkeys(session_ids))
    places = cursor.execute(
        f"{_OF_SESSIONS}, agents AS (SELECT session FROM placed GROUP BY session HAVING bool_or(is_gen_ai))"
        " SELECT session, source, row FROM placed"
        " WHERE session IN (FROM wanted) AND session IN (FROM agents) ORDER BY time, source DESC, row LIMIT ?",
        [wanted, [UUID(each) for each in wanted if _TRACE_ID.fullmatch(each)], limit + 1],
    ).fetchall()
    truncated = len(places) > limit
    del places[limit:]
    rows: dict[str, list[int]] = {}
    for _, source, row in places:
        rows.setdefault(source, []).append(row)
    found = read_records(cursor, rows)
    records: dict[str, list[AgentRecord]] = {}
    for session, source, row in places:
        records.setdefault(session, []).append(found[source, row])
    return SessionRecords(records=records, truncated=truncated)
