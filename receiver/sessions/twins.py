"""Records without an id in common that tell the same call.

Some agents' events have no id of the call, and a file may know the response where an event knows the request. Such
records are of one call where they tell the same: same kind, same model or tool, same tokens, and an end within seconds.
Two records of the same name never are, and neither are two that have an id of the same kind: they are two calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from receiver.sessions.models import canonical
from receiver.sessions.statements import CallKind, CallStatement
from receiver.sessions.tokens import Tokens
from receiver.sessions.union import Union
from receiver.times import NS

_NEAR_NS = 5 * NS
"""Between the ends of two records of one call, where the tokens say that they may be the same."""
_VERY_NEAR_NS = 2 * NS
"""The same, where only times and names say so."""
_LOOKED_AT = 64
"""Neighbours in time that are compared: keeps sessions bounded whose calls all end at once."""


def join_twins(ordered: Sequence[CallStatement], union: Union) -> None:
    """Join those of the statements that are twins.

    Args:
        ordered: By their end.
        union: Of their numbers; those with common ids are joined already.
    """
    told: dict[int, set[object]] = {}
    for root, group in union.groups().items():
        told[root] = {(ordered[n].context.origin, ordered[n].context.record) for n in group}
        for number in group:
            told[root] |= ordered[number].id_kinds
    ends = [each.end_ns for each in ordered]
    for number in range(len(ordered)):
        twin = _nearest_twin(number, ordered, ends, union, told)
        if twin is not None:
            root, other = union.find(number), union.find(twin)
            told[union.join(root, other)] = told[root] | told[other]


def _nearest_twin(
    number: int,
    ordered: Sequence[CallStatement],
    ends: Sequence[int],
    union: Union,
    told: Mapping[int, set[object]],
) -> int | None:
    mine, root = ordered[number], union.find(number)
    begin = max(bisect_left(ends, mine.end_ns - _NEAR_NS), number - _LOOKED_AT)
    best: tuple[int, int] | None = None
    for other in range(begin, min(len(ordered), number + _LOOKED_AT)):
        if ends[other] > mine.end_ns + _NEAR_NS:
            break
        others = union.find(other)
        if others == root or told[root] & told[others]:
            continue
        distance = abs(ends[other] - mine.end_ns)
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
