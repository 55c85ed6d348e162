"""Claude Code's own names: log events, spans of beta tracing, metrics.

Source: https://code.claude.com/docs/en/monitoring-usage. Its ``input_tokens`` are the API's, which leave out what
a cache was read for or written with, on events, spans and in the metric alike. ``gen_ai.response.id`` of its spans
is the request id. ``gen_ai.request.attempt`` events of a span name the client's id of every try.
"""

from __future__ import annotations

from receiver.questions import AgentRecord
from receiver.sessions.attributes import Attributes, first, number, text, truth, whole
from receiver.sessions.statements import (
    CallKind,
    CallStatement,
    Context,
    FaultStatement,
    PromptStatement,
    Statement,
)
from receiver.sessions.tokens import Tokens

TOKEN_METRIC = "claude_code.token.usage"  # noqa: S105 - the name of a metric
COST_METRIC = "claude_code.cost.usage"

_MS = 1_000_000


def read_event(record: AgentRecord, event: str, context: Context) -> Statement | None:
    """Return what a log event says; None where it is of no call and no prompt."""
    attributes = record.attributes
    if event == "user_prompt":
        return PromptStatement(
            context=context, time_ns=record.time_ns, end_ns=record.time_ns, text=text(attributes, "prompt")
        )
    if event == "api_request":
        return _model_call(record, context, failed=False)
    if event == "api_error":
        return FaultStatement(
            context=context,
            time_ns=record.time_ns,
            ids=_request_ids(record),
            model=text(attributes, "model"),
            error=text(attributes, "error", "status_code") or "the request failed",
            of_request=True,
        )
    if event == "tool_result":
        return _tool_call(record, context)
    return None


def read_span(record: AgentRecord, event: str, context: Context) -> Statement | None:
    """Return what a span of beta tracing says; interactions are turns and are read elsewhere."""
    if event == "llm_request":
        return _model_call(record, context, failed=_failed(record.attributes))
    if event in {"tool", "tool.execution"}:
        return _tool_call(record, context)
    return None


def metric_tokens(attributes: Attributes, count: int) -> Tokens:
    """Return a count of the token metric under its type."""
    kind = attributes.get("type")
    return Tokens(
        input=count if kind == "input" else 0,
        output=count if kind == "output" else 0,
        cache_read=count if kind == "cacheRead" else 0,
        cache_creation=count if kind == "cacheCreation" else 0,
    )


def _model_call(record: AgentRecord, context: Context, *, failed: bool | None) -> CallStatement:
    attributes = record.attributes
    counts = {
        name: whole(attributes, key)
        for name, key in (
            ("input", "input_tokens"),
            ("output", "output_tokens"),
            ("cache_read", "cache_read_tokens"),
            ("cache_creation", "cache_creation_tokens"),
        )
    }
    known = {name: count for name, count in counts.items() if count is not None}
    return CallStatement(
        context=context,
        kind=CallKind.MODEL,
        end_ns=record.end_ns,
        duration_ns=_duration(record),
        ids=_request_ids(record),
        id_kinds=frozenset({"request"} if _request_ids(record) else ()),
        name="chat",
        provider=text(attributes, "gen_ai.provider.name", "gen_ai.system"),
        model=text(attributes, "model", "gen_ai.request.model"),
        tokens=Tokens(**known) if known else None,
        cost_usd=_cost(attributes),
        first_token_ms=number(attributes, "ttft_ms"),
        failed=failed,
        error=text(attributes, "error") if failed else "",
        attempts=whole(attributes, "attempt") or 1,
        agent=_subagent(attributes),
    )


def _tool_call(record: AgentRecord, context: Context) -> CallStatement:
    attributes = record.attributes
    failed = _failed(attributes)
    tool_id = text(attributes, "tool_use_id", "gen_ai.tool.call.id")
    return CallStatement(
        context=context,
        kind=CallKind.TOOL,
        end_ns=record.end_ns,
        duration_ns=_duration(record),
        ids=(tool_id,) if tool_id else (),
        id_kinds=frozenset({"tool"} if tool_id else ()),
        name=text(attributes, "tool_name", "gen_ai.tool.name"),
        failed=failed,
        error=text(attributes, "error", "error_type") if failed else "",
        agent=_subagent(attributes),
    )


def _cost(attributes: Attributes) -> float | None:
    cost = number(attributes, "cost_usd")
    if cost is not None:
        return cost
    micros = number(attributes, "cost_usd_micros")
    return None if micros is None else micros / 1_000_000


def _request_ids(record: AgentRecord) -> tuple[str, ...]:
    attributes = record.attributes
    found = [text(attributes, name) for name in ("request_id", "client_request_id", "gen_ai.response.id")]
    found += [
        text(event.get("attributes") or {}, "client_request_id")
        for event in record.events
        if event.get("name") == "gen_ai.request.attempt"
    ]
    return tuple(dict.fromkeys(each for each in found if each))


def _failed(attributes: Attributes) -> bool | None:
    success = truth(attributes, "success")
    if success is not None:
        return not success
    return True if first(attributes, "error") is not None else None


def _subagent(attributes: Attributes) -> str:
    return text(attributes, "agent.name", "agent_id")


def _duration(record: AgentRecord) -> int | None:
    if record.end_ns > record.time_ns:
        return record.end_ns - record.time_ns
    stated = number(record.attributes, "duration_ms")
    return None if stated is None else round(stated * _MS)
