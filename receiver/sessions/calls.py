"""Calls from statements: several records that describe one call become one, each field from the best of them.

Records are of one call where they share an id (request, response, tool use) or a span. A record without an id, which
some agents' events are, is of the call of another record that tells the same: same kind, same model or tool, same
tokens, and an end within seconds. Two records of the same name are never joined so: they are two calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from receiver.sessions.models import canonical
from receiver.sessions.statements import CallKind, CallStatement, FaultStatement, Origin
from receiver.sessions.tokens import Tokens
from receiver.sessions.union import Union
from receiver.times import NS

_NEAR_NS = 5 * NS
"""Ends of two records of one call, where the tokens say that they may be the same."""
_VERY_NEAR_NS = 2 * NS
"""The same, where only times and names say so."""
_LOOKED_AT = 64
"""Neighbours in time that are compared: keeps sessions bounded whose calls all end at once."""


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
        names = [(statement.kind, each) for each in statement.ids]
        names += [("span", each) for each in statement.parts]
        for name in names:
            union.join(number, first.setdefault(name, number))
    _join_twins(ordered, union)
    calls = [_call([ordered[number] for number in group]) for group in union.groups().values()]
    return sorted(calls, key=lambda each: (each.start_ns, each.end_ns, each.id))


def own_faults(calls: Sequence[Call], faults: Iterable[FaultStatement]) -> list[FaultStatement]:
    """Give failed tries to the calls that they are tries of; return the faults that no call owns.

    A try belongs to the call with one of its ids, or else to one of the same model that took several tries and was
    under way at that time.
    """
    by_id = {each: call for call in calls if call.kind is CallKind.MODEL for each in call.ids}
    retried = [call for call in calls if call.kind is CallKind.MODEL and (call.attempts > 1 or call.failed)]
    left: list[FaultStatement] = []
    for fault in _distinct(faults):
        owner = next((by_id[each] for each in fault.ids if each in by_id), None)
        if owner is None and fault.of_request:
            owner = next((call for call in retried if _is_try_of(fault, call)), None)
        if owner is None:
            left.append(fault)
        else:
            owner.faults.append(fault)
    return left


def _is_try_of(fault: FaultStatement, call: Call) -> bool:
    same = not fault.model or not call.model or canonical(fault.model) == canonical(call.model)
    return same and call.start_ns - NS <= fault.time_ns <= call.end_ns + NS


def _distinct(faults: Iterable[FaultStatement]) -> list[FaultStatement]:
    """Return faults without those that another record, of another name, tells too."""
    found: list[FaultStatement] = []
    recent: dict[str, FaultStatement] = {}
    by_id: set[tuple[str, ...]] = set()
    for fault in sorted(faults, key=lambda each: (each.time_ns, each.context.origin)):
        twin = recent.get(fault.error)
        if twin and twin.context.record != fault.context.record and fault.time_ns - twin.time_ns <= NS:
            continue
        if fault.ids and fault.ids in by_id:
            continue
        by_id.add(fault.ids)
        recent[fault.error] = fault
        found.append(fault)
    return found


def _join_twins(ordered: Sequence[CallStatement], union: Union) -> None:
    records: dict[int, set[tuple[Origin, str]]] = {}
    with_id: dict[int, bool] = {}
    for root, group in union.groups().items():
        records[root] = {(ordered[n].context.origin, ordered[n].context.record) for n in group}
        with_id[root] = any(ordered[n].ids for n in group)
    ends = [each.end_ns for each in ordered]
    for number in range(len(ordered)):
        root = union.find(number)
        if with_id[root]:
            continue
        twin = _nearest_twin(number, ordered, ends, union, records)
        if twin is not None:
            other = union.find(twin)
            joined = union.join(root, other)
            records[joined] = records[root] | records[other]
            with_id[joined] = with_id[root] or with_id[other]


def _nearest_twin(
    number: int,
    ordered: Sequence[CallStatement],
    ends: Sequence[int],
    union: Union,
    records: dict[int, set[tuple[Origin, str]]],
) -> int | None:
    mine, root = ordered[number], union.find(number)
    begin = max(bisect_left(ends, mine.end_ns - _NEAR_NS), number - _LOOKED_AT)
    best: tuple[int, int] | None = None
    for other in range(begin, min(len(ordered), number + _LOOKED_AT)):
        distance = abs(ends[other] - mine.end_ns)
        if ends[other] > mine.end_ns + _NEAR_NS:
            break
        others = union.find(other)
        if others == root or records[root] & records[others]:
            continue
        if _tell_the_same(mine, ordered[other], distance) and (best is None or distance < best[0]):
            best = (distance, other)
    return best and best[1]


def _tell_the_same(one: CallStatement, other: CallStatement, distance: int) -> bool:
    if one.kind is not other.kind:
        return False
    if one.kind is CallKind.TOOL:
        return distance <= _VERY_NEAR_NS and bool(one.name) and one.name == other.name
    if one.model and other.model and canonical(one.model) != canonical(other.model):
        return False
    if one.tokens is None or other.tokens is None:
        return distance <= _VERY_NEAR_NS
    # the record of one may leave out what came from a cache: all input, and the output, still agree
    return _sent(one.tokens) == _sent(other.tokens) and one.tokens.output == other.tokens.output


def _sent(tokens: Tokens) -> int:
    return tokens.input + tokens.cache_read + tokens.cache_creation


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
