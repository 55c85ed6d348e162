"""Two traces side by side: what only one of them did, what took longer, and what failed in one only.

Spans are aligned by their way from the root: service and name of each span on it. Spans with the same way are
counted and added up. Pure: the records of two traces in, figures out. Exchanging the traces exchanges the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.ports import Rows
from receiver.query.comparison_words import summary
from receiver.query.outline_failures import exception_of
from receiver.query.outline_spans import Forest, Place, cut, forest_of, in_order, milliseconds, moment, way_to
from receiver.questions import TraceRecords

LEAST_RATIO = 1.1
LEAST_DIFFERENCE_NS = 1_000_000
"""A way is slower or faster if its sums differ by this much and in this ratio."""
_MISSING = object()


@dataclass(slots=True)
class Side:
    """The spans of one trace that have one way."""

    count: int = 0
    total_ns: int = 0
    own_ns: int = 0
    errors: int = 0
    below: int = 0
    """Spans on longer ways that go through this one."""
    first: Place | None = None
    failed: Place | None = None


@dataclass(slots=True)
class Way:
    """One way from the root, in both traces."""

    above: Way | None
    depth: int
    operation: tuple[str, str]
    a: Side = field(default_factory=Side)
    b: Side = field(default_factory=Side)

    def sides(self, number: int) -> tuple[Side, Side]:
        """Return the side of one trace and the other's; 0 is a."""
        return (self.b, self.a) if number else (self.a, self.b)


def comparison_of(a: TraceRecords, b: TraceRecords, *, limit: int) -> dict[str, Any]:
    """Return what differs between two traces, and sentences that say it.

    Args:
        a: The one that is compared with, such as a fast trace.
        b: The one that is asked about; differences are ``b`` less ``a``.
        limit: Most entries of each list; ``cut`` says how many more there were.
    """
    forests = forest_of(a.spans), forest_of(b.spans)
    ways: dict[tuple[int, str, str], Way] = {}
    for number, forest in enumerate(forests):
        _gather(ways, forest, number)
    both = [way for way in ways.values() if way.a.count and way.b.count]
    changed = sorted((way for way in both if _differs(way)), key=_most_changed)
    lists: dict[str, Sequence[Any]] = {
        "slower": [way for way in changed if way.b.total_ns > way.a.total_ns],
        "faster": [way for way in changed if way.b.total_ns < way.a.total_ns],
        "counts": sorted(
            (way for way in both if way.a.count != way.b.count),
            key=lambda way: (-abs(way.b.count - way.a.count), _most_changed(way)),
        ),
        "only_in_a": _only(ways, 0),
        "only_in_b": _only(ways, 1),
        "errors_only_in_a": _errors(ways, 0),
        "errors_only_in_b": _errors(ways, 1),
        "attributes": _root_differences(forests, a, b),
    }
    # Ways are written out behind the cut only: each is as long as its trace is deep.
    shown: dict[str, Rows] = {
        name: [_DESCRIBED[name](each) for each in found[:limit]] for name, found in lists.items()
    }
    answer: dict[str, Any] = {
        "a": _totals(forests[0], a),
        "b": _totals(forests[1], b),
        "same_root": _same_root(forests),
        **shown,
        "cut": {name: len(found) - limit for name, found in lists.items() if len(found) > limit},
        "truncated": a.truncated or b.truncated,
    }
    return {"summary": summary(answer, {name: len(found) for name, found in lists.items()}), **answer}


def _gather(ways: dict[tuple[int, str, str], Way], forest: Forest, number: int) -> None:
    of_place: dict[int, Way] = {}
    for place in in_order(forest.roots):
        above = of_place[id(place.parent)] if place.parent is not None else None
        key = (id(above) if above is not None else 0, *place.operation)
        way = ways.get(key)
        if way is None:
            way = ways[key] = Way(above, place.depth, place.operation)
        of_place[id(place)] = way
        side, _ = way.sides(number)
        side.count += 1
        side.total_ns += place.length_ns
        side.own_ns += place.own_ns
        side.first = side.first or place
        if place.failed:
            side.errors += 1
            side.failed = side.failed or place
    counted: dict[int, int] = {}
    for place in reversed(list(in_order(forest.roots))):
        below = counted.pop(id(place), 0)
        way = of_place[id(place)]
        way.sides(number)[0].below += below
        if place.parent is not None:
            counted[id(place.parent)] = counted.get(id(place.parent), 0) + below + 1


def _differs(way: Way) -> bool:
    less, more = sorted((way.a.total_ns, way.b.total_ns))
    return more - less >= LEAST_DIFFERENCE_NS and more >= LEAST_RATIO * less


def _most_changed(way: Way) -> tuple[int, int, int, tuple[str, str]]:
    """Rank ways whose own time changed most first: their callers changed because of them."""
    own, whole = way.b.own_ns - way.a.own_ns, way.b.total_ns - way.a.total_ns
    return -abs(own), -abs(whole), way.depth, way.operation


def _changed(way: Way) -> dict[str, Any]:
    return {
        "way": _way(way),
        "a": _figures(way.a),
        "b": _figures(way.b),
        "difference_ms": milliseconds(way.b.total_ns - way.a.total_ns),
        "self_difference_ms": milliseconds(way.b.own_ns - way.a.own_ns),
        "ratio": round(way.b.total_ns / way.a.total_ns, 3) if way.a.total_ns else None,
    }


def _figures(side: Side) -> dict[str, Any]:
    return {
        "count": side.count,
        "total_ms": milliseconds(side.total_ns),
        "self_ms": milliseconds(side.own_ns),
        "errors": side.errors,
        "span_id": side.first.span["span_id"] if side.first else None,
    }


def _only(ways: Mapping[tuple[int, str, str], Way], number: int) -> list[tuple[Way, Side]]:
    """Return the topmost ways that one trace alone has, the ones with the most time first."""
    found: list[tuple[Way, Side]] = []
    for way in ways.values():
        mine, other = way.sides(number)
        # below a way that the other trace does not have either, that one says it already
        if mine.count and not other.count and (way.above is None or way.above.sides(number)[1].count):
            found.append((way, mine))
    return sorted(found, key=lambda each: (-each[1].total_ns, each[0].depth, *_identity(each[1])))


def _identity(side: Side) -> tuple[int, str]:
    """Return what orders equals the same way whichever trace is named first."""
    return (side.first.start, side.first.span["span_id"]) if side.first else (0, "")


def _missing(found: tuple[Way, Side]) -> dict[str, Any]:
    way, side = found
    return {"way": _way(way), **_figures(side), "spans_below": side.below}


def _errors(ways: Mapping[tuple[int, str, str], Way], number: int) -> list[tuple[Way, Side]]:
    """Return the ways on which spans of one trace alone failed, the deepest first."""
    found = [(way, *way.sides(number)) for way in ways.values()]
    failed = [(way, mine) for way, mine, other in found if mine.errors and not other.errors]
    return sorted(failed, key=lambda each: (-each[0].depth, -each[1].errors, *_identity(each[1])))


def _failure(found: tuple[Way, Side]) -> dict[str, Any]:
    way, side = found
    span: Mapping[str, Any] = side.failed.span if side.failed else {}
    kind, message = exception_of(span)
    return {
        "way": _way(way),
        "errors": side.errors,
        "count": side.count,
        "span_id": span["span_id"],
        "status_message": cut(span["status_message"]),
        "exception": {"type": kind, "message": message} if kind or message else None,
    }


def _way(way: Way) -> list[str]:
    place = way.a.first or way.b.first
    return way_to(place) if place is not None else []


def _same_root(forests: tuple[Forest, Forest]) -> bool:
    roots = [forest.roots[0].operation if forest.roots else None for forest in forests]
    return roots[0] == roots[1]


def _root_differences(forests: tuple[Forest, Forest], a: TraceRecords, b: TraceRecords) -> Rows:
    """Return the attributes of the two first roots and of their resources that differ."""
    found: Rows = []
    roots = [forest.roots[0].span if forest.roots else None for forest in forests]
    if roots[0] is None or roots[1] is None:
        return found
    own = [root["attributes"] for root in roots if root]
    resources = [
        records.resources.get(root["resource_id"], {}).get("attributes", {})
        for records, root in zip((a, b), roots, strict=True)
        if root
    ]
    for where, (left, right) in (("span", own), ("resource", resources)):
        if not isinstance(left, dict) or not isinstance(right, dict):
            continue
        for key in sorted(left.keys() | right.keys()):
            values = left.get(key, _MISSING), right.get(key, _MISSING)
            if values[0] != values[1] or type(values[0]) is not type(values[1]):
                found.append({"key": cut(key), "of": where, "a": _shown(values[0]), "b": _shown(values[1])})
    return found


def _shown(value: Any) -> Any:
    if value is _MISSING:
        return None
    return value if isinstance(value, bool | int | float) else cut(value)


def _totals(forest: Forest, records: TraceRecords) -> dict[str, Any]:
    first = forest.roots[0].span if forest.roots else None
    record = first or (records.logs[0] if records.logs else None)
    start = forest.start if forest.places else int(record["time_unix_nano"]) if record else 0
    return {
        "trace_id": record["trace_id"] if record else None,
        "name": cut(first["name"]) if first else "",
        "service": record["service"] if record else None,
        **moment("time", start),
        "duration_ms": milliseconds(forest.end - forest.start),
        "span_count": len(forest.places),
        "error_count": sum(place.failed for place in forest.places),
        "services": sorted({place.operation[0] for place in forest.places}),
    }


_DESCRIBED: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    **dict.fromkeys(("slower", "faster", "counts"), _changed),
    **dict.fromkeys(("only_in_a", "only_in_b"), _missing),
    **dict.fromkeys(("errors_only_in_a", "errors_only_in_b"), _failure),
    "attributes": dict,
}
