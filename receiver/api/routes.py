"""Every question that can be asked over HTTP: its path, its parameters, and the call of the service it becomes.

The table drives routing, validation and the OpenAPI description. :func:`ask` needs no HTTP: the command line
uses it to ask a file directly and gets what the server would have answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.api import parameters as p
from receiver.api.parameters import Parameter, Values
from receiver.errors import InvalidFilterError
from receiver.query.service import QueryService
from receiver.questions import SessionFilters

PREFIX = "/api/v1"
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One question."""

    name: str
    method: str
    path: str
    """Below ``PREFIX``; one ``{name}`` may stand as a segment of its own."""
    summary: str
    answer: Callable[[QueryService, Values], Awaitable[Answer]]
    parameters: Sequence[Parameter] = ()
    in_path: Parameter | None = None
    body: Sequence[Parameter] = ()
    """Members of the JSON object that is sent."""
    returns: Mapping[str, str] = field(default_factory=dict)
    """Members of the answer and what they are."""


async def ask(
    route: Route, service: QueryService, given: Mapping[str, Sequence[str]], *, now_ns: int
) -> Answer:
    """Return the answer to a question whose parameters are texts.

    Raises:
        InvalidFilterError: A parameter is unknown or wrong.
        ReceiverError: What the service raises.
    """
    declared = [*route.parameters, *route.body, *([route.in_path] if route.in_path else [])]
    return await route.answer(service, p.parsed(declared, given, now_ns=now_ns))


def texts_of_body(route: Route, body: Any) -> dict[str, list[str]]:
    """Return the members of a JSON body as the texts of parameters.

    Raises:
        InvalidFilterError: It is no object, or a member is neither a text nor a number.
    """
    if not isinstance(body, dict):
        raise InvalidFilterError(
            "the body must be a JSON object", hint=f"with: {', '.join(each.name for each in route.body)}"
        )
    found: dict[str, list[str]] = {}
    for name, value in body.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidFilterError(f"{name} must be a text or a whole number")
        found[name] = [str(value)]
    return found


async def _search(service: QueryService, values: Values) -> Answer:
    found = await service.search(
        values["q"], values.filters, limit=values["limit"], threshold=values["threshold"]
    )
    return {
        "results": found.results,
        "mode": found.mode,
        "threshold": found.threshold,
        "pending": found.pending,
        "note": found.note,
    }


async def _traces(service: QueryService, values: Values) -> Answer:
    return {"traces": await service.list_traces(values.filters, limit=values["limit"])}


async def _trace(service: QueryService, values: Values) -> Answer:
    return await service.trace(values["trace_id"], limit=values["limit"])


async def _outline(service: QueryService, values: Values) -> Answer:
    return await service.outline(values["trace_id"], limit=values["limit"])


async def _compare(service: QueryService, values: Values) -> Answer:
    return await service.compare(values["a"], values["b"], limit=values["limit"])


async def _investigate(service: QueryService, values: Values) -> Answer:
    return await service.investigate(
        values["service"],
        since_ns=values["since"],
        until_ns=values["until"],
        baseline_since_ns=values["baseline_since"],
        baseline_until_ns=values["baseline_until"],
        limit=values["limit"],
    )


async def _services(service: QueryService, _values: Values) -> Answer:
    return {"services": await service.list_services()}


async def _logs(service: QueryService, values: Values) -> Answer:
    return {"logs": await service.logs(values.filters, limit=values["limit"])}


async def _metrics(service: QueryService, values: Values) -> Answer:
    return {"metrics": await service.metric_names(values.filters, limit=values["limit"])}


async def _metric(service: QueryService, values: Values) -> Answer:
    filters = p.Values({**values.of, "name": None}).filters
    return await service.metric_points(
        values["name"], filters, step_s=values["step"], aggregation=values["aggregation"]
    )


async def _sessions(service: QueryService, values: Values) -> Answer:
    filters = SessionFilters(values["service"], values["since"], values["until"])
    return await service.sessions(filters, limit=values["limit"])


async def _session(service: QueryService, values: Values) -> Answer:
    return await service.session(values["session_id"], limit=values["limit"])


async def _stats(service: QueryService, _values: Values) -> Answer:
    return await service.stats()


async def _sql(service: QueryService, values: Values) -> Answer:
    found = await service.sql(values["query"], limit=values["limit"])
    return {"columns": found.columns, "rows": found.rows, "truncated": found.truncated}


async def _requeue(service: QueryService, _values: Values) -> Answer:
    return {"requeued": await service.requeue()}


async def _flush(service: QueryService, values: Values) -> Answer:
    await service.flush(embeddings=values["embeddings"])
    return {"flushed": True, "embeddings": values["embeddings"]}


_METRIC_NAME = p.Parameter("name", "Name of a metric.", lambda t, _: t, {"type": "string"}, required=True)
_SQL = p.Parameter(
    "query", "One SELECT, or an EXPLAIN of one.", lambda t, _: t, {"type": "string"}, required=True
)

ROUTES: tuple[Route, ...] = (
    Route(
        "search",
        "GET",
        "/search",
        "Find spans and log records by meaning, the best one of each trace.",
        _search,
        (p.QUESTION, p.limit(10), p.THRESHOLD, p.SIGNAL, p.MIN_DURATION, *p.RECORD_FILTERS),
        returns={
            "results": "Records with similarity, matches (records of the trace that fit) and why.",
            "mode": "meaning, or text where there are no vectors.",
            "threshold": "The least similarity that was asked for.",
            "pending": "Texts that have no vector yet.",
            "note": "What to know about this answer, or null.",
        },
    ),
    Route(
        "traces",
        "GET",
        "/traces",
        "List the traces that have a span that passes the filters, newest first.",
        _traces,
        (p.limit(20), p.MIN_DURATION, *p.RECORD_FILTERS, p.TEXT),
        returns={"traces": "Root's name and service, time, duration, counts of spans and errors."},
    ),
    Route(
        "trace",
        "GET",
        "/traces/{trace_id}",
        "Get one trace: its spans as a tree, with events, links and log records.",
        _trace,
        (p.limit(10_000, 100_000),),
        p.TRACE_ID,
        returns={
            "roots": "Spans with children; long chains go on at further roots (continued).",
            "logs": "Log records of no span of the trace.",
            "resources": "By resource_id.",
            "scopes": "By scope_id.",
        },
    ),
    Route(
        "outline",
        "GET",
        "/traces/{trace_id}/outline",
        "Get what matters of a trace: critical path, first failures, slowest spans, totals.",
        _outline,
        (p.limit(10, 100),),
        p.TRACE_ID,
        returns={
            "critical_path": "Whose own work the duration of the trace is, by span and by operation.",
            "errors": "First failing spans, with message, exception and log records.",
            "error_logs": "Log records at error level of no failed span.",
            "slowest_spans": "By own time, in which no child ran.",
            "services": "Spans, errors, total and own time of each service.",
            "operations": "The same of each service and span name.",
            "repeated": "Spans of one name many times under one parent.",
            "models": "Calls and tokens of each model.",
            "broken": "What is wrong with the shape of the trace.",
            "cut": "How many entries more a list has.",
        },
    ),
    Route(
        "compare",
        "GET",
        "/compare",
        "Compare two traces: structure, durations, errors, attributes of their roots.",
        _compare,
        (p.TRACE_A, p.TRACE_B, p.limit(10, 100)),
        returns={
            "summary": "What differs, in sentences.",
            "same_root": "Whether both begin with the same operation.",
            "only_in_a": "Ways from the root that only a has; only_in_b likewise.",
            "only_in_b": "See only_in_a.",
            "slower": "Ways on which b took longer; faster likewise.",
            "faster": "See slower.",
            "counts": "Ways with other numbers of spans.",
            "errors_only_in_a": "Ways that failed in a only; errors_only_in_b likewise.",
            "errors_only_in_b": "See errors_only_in_a.",
            "attributes": "Attributes of the roots and their resources with other values.",
            "cut": "How many entries more a list has.",
        },
    ),
    Route(
        "investigate",
        "GET",
        "/investigate",
        "Find what changed, what failed and where, in a window of time against its baseline.",
        _investigate,
        (
            p.SERVICE,
            p.WINDOW_SINCE,
            p.WINDOW_UNTIL,
            p.BASELINE_SINCE,
            p.BASELINE_UNTIL,
            p.limit(5, 100),
        ),
        returns={
            "summary": "What was found, in sentences.",
            "latency": "Operations that became slower, or faster.",
            "error_rates": "Operations that fail more, or less, often.",
            "new_operations": "Operations of the window alone.",
            "vanished_operations": "Operations of the baseline alone.",
            "errors": "Failed spans of the window by exception and message, new ones first.",
            "origins": "Where the failed traces failed first.",
            "new_error_logs": "Messages at error level of the window alone.",
            "deployments": "Resource attributes with values that only the window has.",
            "models": "Calls, errors and tokens of each model in both.",
            "rule": "Which changes count.",
            "cut": "How many entries more a section has.",
        },
    ),
    Route(
        "services",
        "GET",
        "/services",
        "List the services with exact counts.",
        _services,
        returns={"services": "Name, spans, log_records, metric_points, first and last time."},
    ),
    Route(
        "logs",
        "GET",
        "/logs",
        "List log records, newest first.",
        _logs,
        (p.limit(50), *p.RECORD_FILTERS, p.MIN_SEVERITY, p.TRACE_ID, p.TEXT),
        returns={"logs": "Log records."},
    ),
    Route(
        "metrics",
        "GET",
        "/metrics",
        "List the metrics.",
        _metrics,
        (p.limit(1000), p.SERVICE, p.NAME, p.TEXT),
        returns={"metrics": "Name, type, unit, temporality, services, number of points."},
    ),
    Route(
        "metric",
        "GET",
        "/metrics/{name}",
        "Get the series of one metric in stretches of time.",
        _metric,
        (p.SERVICE, p.SINCE, p.UNTIL, p.ATTRIBUTE, p.STEP, p.AGGREGATION),
        _METRIC_NAME,
        returns={"series": "Service, attributes and points of each series."},
    ),
    Route(
        "sessions",
        "GET",
        "/sessions",
        "List the sessions of agents with their turns, calls, tokens and cost counted.",
        _sessions,
        (p.limit(20, 200), p.SERVICE, p.SINCE, p.UNTIL),
        returns={
            "sessions": "One row each, the one with the newest record first.",
            "truncated": "Whether a session has more records than were read.",
        },
    ),
    Route(
        "session",
        "GET",
        "/sessions/{session_id}",
        "Get one session of an agent: turns, their model and tool calls, tokens and cost.",
        _session,
        (p.limit(100_000, 1_000_000),),
        p.SESSION_ID,
        returns={
            "agent": "claude_code, qwen_code, gemini_cli, codex, copilot, openinference, openllmetry or genai.",
            "turns": "From a prompt to the next, with calls.",
            "tokens": "input, output, cache_read, cache_creation, reasoning, total.",
            "cost_usd": "In USD, or null where nothing of it is known.",
            "cost_source": "reported, estimated, mixed or unknown.",
            "models": "Calls, tokens and cost of each model.",
            "unattributed": "What metrics count beyond the calls, or null.",
            "truncated": "Whether it has more records than were read.",
        },
    ),
    Route(
        "stats",
        "GET",
        "/stats",
        "Get exact counts, the backlog and the sizes on disk.",
        _stats,
        returns={
            "records": "spans, log_records, metric_points.",
            "services": "The same per service.",
            "embedding": "pending, embedded, indexed.",
            "spool": "Acknowledged and not yet stored.",
            "quarantine": "Acknowledged and not storable.",
            "database": "bytes, used_bytes.",
        },
    ),
    Route(
        "sql",
        "POST",
        "/sql",
        "Ask in SQL, read-only.",
        _sql,
        body=(_SQL, p.limit(1000, 100_000)),
        returns={"columns": "Names.", "rows": "Lists of values.", "truncated": "Whether a limit cut it."},
    ),
    Route(
        "flush",
        "POST",
        "/flush",
        "Return when everything acknowledged before is stored.",
        _flush,
        (p.EMBEDDINGS,),
        returns={"flushed": "true"},
    ),
    Route(
        "requeue",
        "POST",
        "/requeue",
        "Put every quarantined request back into the queue, to be loaded again.",
        _requeue,
        returns={"requeued": "how many"},
    ),
)
