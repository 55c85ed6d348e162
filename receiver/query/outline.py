"""What matters of one trace, in a small answer that does not grow with the trace.

Pure: the records of a trace in, figures out. It works for every set of spans (:mod:`receiver.query.outline_spans`).
10,000 spans take a tenth of a second; call it in a worker thread.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from receiver.ports import Rows
from receiver.query.critical_path import critical_path
from receiver.query.outline_failures import error_logs, first_failures
from receiver.query.outline_models import tokens_by_model
from receiver.query.outline_spans import Forest, Place, cut, forest_of, milliseconds, moment
from receiver.questions import TraceRecords

REPEATED = 5
"""So many spans of one name under one parent are a repetition worth showing (a query in a loop)."""


def outline_of(records: TraceRecords, *, limit: int) -> dict[str, Any]:
    """Return totals, critical path, first failures, slowest spans, and spans by service and operation.

    Args:
        records: Of one trace.
        limit: Most entries of each list; ``cut`` says how many more there were.
    """
    forest = forest_of(records.spans)
    path = _path(forest, limit)
    failures, failure_count = first_failures(forest, records.logs, limit)
    other_logs, other_count = error_logs(forest, records.logs, limit)
    slowest = sorted(
        (each for each in forest.places if each.own_ns), key=lambda each: (-each.own_ns, each.start)
    )
    services, operations, repeated = _by_service(forest), _by_operation(forest), _repeated(forest)
    lists = {
        "errors": (failures, failure_count),
        "error_logs": (other_logs, other_count),
        "slowest_spans": ([_slow(each, forest.start) for each in slowest[:limit]], len(slowest)),
        "services": (services[:limit], len(services)),
        "operations": (operations[:limit], len(operations)),
        "repeated": (repeated[:limit], len(repeated)),
    }
    return {
        **_totals(forest, records.logs),
        "critical_path": path,
        **{name: found for name, (found, _) in lists.items()},
        "models": tokens_by_model(forest)[:limit],
        "broken": _broken(forest),
        "cut": {name: count - len(found) for name, (found, count) in lists.items() if count > len(found)},
        "truncated": records.truncated,
    }


def _totals(forest: Forest, logs: Rows) -> dict[str, Any]:
    times = [int(record["time_unix_nano"]) for record in logs] or [0]
    start, end = (forest.start, forest.end) if forest.places else (min(times), max(times))
    first = forest.roots[0] if forest.roots else None
    return {
        "name": cut(first.span["name"]) if first else "",
        "service": first.span["service"] if first else next((each["service"] for each in logs), None),
        **moment("time", start),
        "duration_ms": milliseconds(end - start),
        "span_count": len(forest.places),
        "log_count": len(logs),
        "error_count": sum(place.failed for place in forest.places),
        "root_count": len(forest.roots),
        "depth": max((place.depth for place in forest.places), default=0),
    }


def _path(forest: Forest, limit: int) -> dict[str, Any]:
    own: dict[int, int] = defaultdict(int)
    places: dict[int, Place] = {}
    idle = 0
    for step in critical_path(forest.roots):
        if step.place is None:
            idle += step.length_ns
        else:
            own[id(step.place)] += step.length_ns
            places.setdefault(id(step.place), step.place)
    total = sum(own.values()) + idle
    shown = set(sorted(own, key=lambda each: -own[each])[:limit])
    spans = [
        {
            **_entry(places[each], forest.start),
            "self_ms": milliseconds(own[each]),
            "share": _share(own[each], total),
        }
        for each in own
        if each in shown
    ]
    grouped: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each, length in own.items():
        grouped[places[each].operation].append(length)
    ranked = sorted(grouped.items(), key=lambda item: -sum(item[1]))
    return {
        "duration_ms": milliseconds(total),
        "span_count": len(own),
        "between_roots_ms": milliseconds(idle),
        "spans": sorted(spans, key=lambda each: (each["offset_ms"], each["depth"])),
        "operations": [
            {
                "service": service,
                "name": cut(name),
                "count": len(lengths),
                "self_ms": milliseconds(sum(lengths)),
                "share": _share(sum(lengths), total),
            }
            for (service, name), lengths in ranked[:limit]
        ],
    }


def _slow(place: Place, begun: int) -> dict[str, Any]:
    return {**_entry(place, begun), "self_ms": milliseconds(place.own_ns)}


def _entry(place: Place, begun: int) -> dict[str, Any]:
    return {
        "span_id": place.span["span_id"],
        "service": place.span["service"],
        "name": cut(place.span["name"]),
        "depth": place.depth,
        "offset_ms": milliseconds(place.start - begun),
        "duration_ms": milliseconds(place.length_ns),
        "status": place.span["status"],
    }


def _by_service(forest: Forest) -> Rows:
    groups: dict[str, list[Place]] = defaultdict(list)
    for place in forest.places:
        groups[place.operation[0]].append(place)
    found = [{"service": service, **_sums(places)} for service, places in groups.items()]
    return sorted(found, key=lambda each: (-each["self_ms"], each["service"]))


def _by_operation(forest: Forest) -> Rows:
    groups: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in forest.places:
        groups[place.operation].append(place)
    found = [
        {"service": service, "name": cut(name), **_sums(places)} for (service, name), places in groups.items()
    ]
    return sorted(found, key=lambda each: (-each["self_ms"], each["service"], each["name"]))


def _sums(places: list[Place]) -> dict[str, Any]:
    return {
        "spans": len(places),
        "errors": sum(place.failed for place in places),
        "total_ms": milliseconds(sum(place.length_ns for place in places)),
        "self_ms": milliseconds(sum(place.own_ns for place in places)),
    }


@dataclass(slots=True)
class _Repetition:
    parents: int = 0
    most: int = 0
    count: int = 0
    total_ns: int = 0
    example: str = ""


def _repeated(forest: Forest) -> Rows:
    found: dict[tuple[str, str, str, str], _Repetition] = defaultdict(_Repetition)
    for parent in forest.places:
        if len(parent.children) < REPEATED:
            continue
        alike: dict[tuple[str, str], list[Place]] = defaultdict(list)
        for child in parent.children:
            alike[child.operation].append(child)
        for operation, places in alike.items():
            if len(places) < REPEATED:
                continue
            group = found[(*parent.operation, *operation)]
            if len(places) > group.most:
                group.most, group.example = len(places), parent.span["span_id"]
            group.parents += 1
            group.count += len(places)
            group.total_ns += sum(place.length_ns for place in places)
    rows = [
        {
            "parent_service": above,
            "parent_name": cut(caller),
            "service": service,
            "name": cut(name),
            "count": group.count,
            "parents": group.parents,
            "most_under_one": group.most,
            "total_ms": milliseconds(group.total_ns),
            "example_parent_span_id": group.example,
        }
        for (above, caller, service, name), group in found.items()
    ]
    return sorted(rows, key=lambda each: (-each["count"], -each["total_ms"], each["name"]))


def _broken(forest: Forest) -> list[str]:
    """Return what is wrong with the shape of the trace, a line each."""
    found = {
        "spans whose parent is not stored, counted as roots": forest.orphans,
        "circles of parents, broken at their earliest span": forest.circles,
        "spans with an id that an earlier span of the trace has": forest.repeated_ids,
        "spans with times that cannot be, counted as taking no time": forest.untimed,
    }
    return [f"{what}: {count}" for what, count in found.items() if count]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
