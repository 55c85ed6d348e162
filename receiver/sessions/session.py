"""A session put together: its turns, their calls, and the sums of all, as plain values that JSON can say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from receiver.questions import AgentRecord
from receiver.sessions.agents import AGENTS, PROVIDERS, agent_of
from receiver.sessions.calls import Call, calls_of
from receiver.sessions.cost import (
    Cost,
    ModelUsage,
    cost_json,
    cost_of_all,
    cost_of_call,
    usage_by_model,
)
from receiver.sessions.faults import own_faults
from receiver.sessions.prices import PriceTable
from receiver.sessions.reading import read
from receiver.sessions.repeats import without_repeats
from receiver.sessions.statements import CallKind, CallStatement, FaultStatement, PromptStatement
from receiver.sessions.tokens import total_of
from receiver.sessions.turns import Turn, turns_of
from receiver.sessions.usage_metrics import metric_usage
from receiver.signals import Signal
from receiver.times import duration_ms, rfc3339

Json = dict[str, Any]

_SHORT = 120
_LONGEST = 4000
"""Characters of a prompt or an error in an answer; the records hold all of it."""


def session_tree(session_id: str, records: Iterable[AgentRecord], prices: PriceTable) -> Json:
    """Return a session with its turns and their calls.

    Args:
        session_id: Its id.
        records: Everything that is stored about it, in any order; repeated ones count once.
        prices: For calls whose cost nobody reported.

    Threads: any; takes seconds for 100,000 records, so never call it on the event loop.
    """
    distinct = without_repeats(records)
    agent = _agent(distinct)
    statements = read(distinct)
    calls = calls_of(each for each in statements if isinstance(each, CallStatement))
    for call in calls:
        if call.kind is CallKind.MODEL and not call.provider:
            call.provider = PROVIDERS.get(agent, "")
    faults = own_faults(calls, [each for each in statements if isinstance(each, FaultStatement)])
    turns = turns_of(calls, [each for each in statements if isinstance(each, PromptStatement)], faults)
    models = usage_by_model(calls, metric_usage(distinct), prices)
    return {
        "session_id": session_id,
        "agent": agent,
        "services": sorted({each.service for each in distinct if each.service}),
        **_times(*_span_of(distinct)),
        "turn_count": len(turns),
        **_counts(calls, faults),
        "tokens": total_of(each.tokens for each in models).as_json(),
        **cost_json(cost_of_all(each.cost for each in models)),
        "unpriced_models": [each.model for each in models if each.cost.unpriced.total],
        "models": [_model_json(each) for each in models],
        "unattributed": _unattributed(models),
        "first_prompt": _first_prompt(turns),
        "turns": [_turn_json(number, turn, prices) for number, turn in enumerate(turns, start=1)],
    }


def session_summary(tree: Json) -> Json:
    """Return a session without its turns: one row of a list."""
    row = {name: value for name, value in tree.items() if name not in {"turns", "unattributed"}}
    row["models"] = [each["model"] for each in tree["models"] if each["model"]]
    return row


def _agent(records: Sequence[AgentRecord]) -> str:
    met = {agent_of(each) for each in records}
    return next((agent for agent in AGENTS if agent in met), "")


def _span_of(records: Sequence[AgentRecord]) -> tuple[int, int]:
    """Return start and end of the session; data points tell it only where there is nothing else."""
    lasting = [each for each in records if each.signal is not Signal.METRICS] or records
    starts = [each.time_ns for each in lasting if each.time_ns > 0]
    return min(starts, default=0), max((each.end_ns for each in lasting), default=0)


def _first_prompt(turns: Sequence[Turn]) -> str:
    prompt = next((each.prompt for each in turns if each.prompt), "")
    return _cut(" ".join(prompt[: 4 * _SHORT].split()), _SHORT)


def _unattributed(models: Sequence[ModelUsage]) -> Json | None:
    """Return what metrics count beyond the calls; None where they count nothing more."""
    beyond = [each for each in models if each.beyond_tokens.total or each.beyond_usd]
    if not beyond:
        return None
    return {
        "tokens": total_of(each.beyond_tokens for each in beyond).as_json(),
        "cost_usd": round(sum(each.beyond_usd for each in beyond), 9),
        "models": [
            {"model": each.model, "tokens": each.beyond_tokens.as_json(), "cost_usd": each.beyond_usd}
            for each in beyond
        ],
    }


def _model_json(usage: ModelUsage) -> Json:
    return {
        "model": usage.model,
        "provider": usage.provider,
        "model_calls": usage.calls,
        "tokens": usage.tokens.as_json(),
        **cost_json(usage.cost),
    }


def _turn_json(number: int, turn: Turn, prices: PriceTable) -> Json:
    costs = [cost_of_call(call, prices) for call in turn.calls]
    return {
        "turn": number,
        "turn_id": turn.id,
        "prompt": _cut(turn.prompt, _LONGEST),
        **_times(turn.start_ns, turn.end_ns),
        **_counts(turn.calls, turn.faults),
        "tokens": total_of(call.tokens for call in turn.calls if call.tokens).as_json(),
        **cost_json(cost_of_all(costs)),
        "trace_ids": list(turn.trace_ids),
        "faults": [_fault_json(each) for each in turn.faults],
        "calls": [_call_json(call, cost) for call, cost in zip(turn.calls, costs, strict=True)],
    }


def _call_json(call: Call, cost: Cost) -> Json:
    common = {
        "type": call.kind.value,
        "name": call.name,
        **_times(call.start_ns, call.end_ns),
        "duration_ms": None if call.duration_ns is None else call.duration_ns / 1_000_000,
        "status": "error" if call.failed else "ok",
        "errors": call.errors,
        "error": _cut(call.error, _LONGEST),
        "faults": [_fault_json(each) for each in call.faults],
        "agent": call.agent,
        "id": call.id,
        "trace_id": call.trace_ids[0] if call.trace_ids else None,
        "span_id": call.span_id or None,
        "sources": [each.name.lower() for each in call.origins],
    }
    if call.kind is CallKind.TOOL:
        return common
    return {
        **common,
        "provider": call.provider,
        "model": call.model,
        "time_to_first_token_ms": call.first_token_ms,
        "tokens": call.tokens.as_json() if call.tokens else None,
        **cost_json(cost),
    }


def _fault_json(fault: FaultStatement) -> Json:
    return {"time": rfc3339(fault.time_ns), "error": _cut(fault.error, _LONGEST), "model": fault.model}


def _counts(calls: Sequence[Call], faults: Sequence[FaultStatement]) -> Json:
    return {
        "model_calls": sum(call.kind is CallKind.MODEL for call in calls),
        "tool_calls": sum(call.kind is CallKind.TOOL for call in calls),
        "errors": len(faults) + sum(call.errors for call in calls),
    }


def _times(start_ns: int, end_ns: int) -> Json:
    return {
        "time": rfc3339(start_ns),
        "time_unix_nano": str(start_ns),
        "end_time": rfc3339(end_ns),
        "duration_ms": duration_ms(start_ns, end_ns),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
