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
