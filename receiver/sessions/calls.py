"""Calls from statements: several records that describe one call become one, each field from the best of them.

Records are of one call where they share an id (request, response, tool use) or a span, or where they are twins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from receiver.sessions.statements import CallKind, CallStatement, FaultStatement, Origin
from receiver.sessions.tokens import Tokens
from receiver.sessions.twins import join_twins
from receiver.sessions.union import Union


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a model or a tool."""

    kind: CallKind
    name: str
    provider: str
    model: str
    start_ns: int
    end_ns: int
    duration_ns: int | None
    tokens: Tokens | None
    cost_usd: float | None
    """As it was reported."""
    first_token_ms: float | None
    failed: bool
    error: str
    attempts: int
    agent: str
    prompt: str
    id: str
    turn_ids: tuple[str, ...]
    trace_ids: tuple[str, ...]
    span_id: str
    origins: tuple[Origin, ...]
    faults: list[FaultStatement] = field(default_factory=list)
    """Tries that failed, as events tell them."""
    ids: frozenset[str] = frozenset()

    @property
    def errors(self) -> int:
        """Return how many tries failed; a tool has one."""
        if self.kind is CallKind.TOOL:
            return int(self.failed)
        return max(len(self.faults), self.attempts - 1 + int(self.failed))


def calls_of(statements: Iterable[CallStatement]) -> list[Call]:
    """Return the calls that these statements describe, earliest first."""
    ordered = sorted(statements, key=lambda each: (each.end_ns, each.context.origin, each.context.record))
    union = Union(len(ordered))
    first: dict[tuple[str, str], int] = {}
    for number, statement in enumerate(ordered):
        names = [(statement.kind.value, each) for each in statement.ids]
        names += [("span", each) for each in statement.parts]
        for name in names:
            union.join(number, first.setdefault(name, number))
    join_twins(ordered, union)
    calls = [_call([ordered[number] for number in group]) for group in union.groups().values()]
    return sorted(calls, key=lambda each: (each.start_ns, each.end_ns, each.id))


def _call(group: Sequence[CallStatement]) -> Call:
    best = sorted(
        group, key=lambda each: (each.context.origin, -(each.tokens.total if each.tokens else 0), each.end_ns)
    )
    timed = next((each for each in best if each.duration_ns is not None), best[0])
    failed = next((each.failed for each in best if each.failed is not None), False)
    return Call(
        kind=best[0].kind,
        name=_first(each.name for each in best),
        provider=_first(each.provider for each in best),
        model=_first(each.model for each in best),
        start_ns=timed.start_ns,
        end_ns=timed.end_ns,
        duration_ns=timed.duration_ns,
        tokens=next((each.tokens for each in best if each.tokens is not None), None),
        cost_usd=next((each.cost_usd for each in best if each.cost_usd is not None), None),
        first_token_ms=next((each.first_token_ms for each in best if each.first_token_ms is not None), None),
        failed=failed,
        error=_first(each.error for each in best) if failed else "",
        attempts=max(each.attempts for each in best),
        agent=_first(each.agent for each in best),
        prompt=_first(each.prompt for each in best),
        id=_first(each.ids[0] for each in best if each.ids),
        turn_ids=tuple(dict.fromkeys(each for one in best for each in one.context.turn_ids)),
        trace_ids=tuple(dict.fromkeys(each.context.trace_id for each in best if each.context.trace_id)),
        span_id=_first(each.context.span_id for each in best),
        origins=tuple(sorted({each.context.origin for each in best})),
        ids=frozenset(each for one in best for each in one.ids),
    )


def _first(values: Iterable[str]) -> str:
    return next((each for each in values if each), "")
