"""The spans of a trace with their places: parent, children, times that can be added up, own time.

Any set of spans gives a forest, by the rules of :mod:`receiver.query.tree`: who names no parent, itself, or one
that is not there is a root; a circle is broken at its earliest span; of spans with one id the first has the
children. No recursion, no copy of a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.ports import Rows
from receiver.times import LATEST_NS, rfc3339

MS = 1_000_000
LONGEST_TEXT = 300
"""Characters of a text of telemetry that an answer of figures repeats."""


@dataclass(slots=True, eq=False)
class Place:
    """One span in its trace. Times are Unix nanoseconds; ``end`` is never before ``start``."""

    span: Mapping[str, Any]
    """As the store's reader gives it."""
    start: int
    end: int
    parent: Place | None = None
    children: list[Place] = field(default_factory=list)
    depth: int = 0
    own_ns: int = 0
    """Time in which none of its children ran."""

    @property
    def length_ns(self) -> int:
        """Return how long it took; zero where its times say nothing."""
        return self.end - self.start

    @property
    def operation(self) -> tuple[str, str]:
        """Return service and span name."""
        return self.span["service"] or "", self.span["name"]

    @property
    def failed(self) -> bool:
        """Return whether its status is error."""
        return bool(self.span["status"] == "error")


@dataclass(frozen=True, slots=True)
class Forest:
    """All spans of a trace."""

    roots: list[Place]
    places: list[Place]
    """Every span once, in the order given."""
    orphans: int
    """Spans whose parent is not there."""
    circles: int
    """Spans at which a circle of parents was broken."""
    repeated_ids: int
    """Spans whose id an earlier one has."""
    untimed: int
    """Spans that end before they start, or have a time that cannot be."""

    @property
    def start(self) -> int:
        """Return when the first span started; 0 without spans."""
        return min((place.start for place in self.places), default=0)

    @property
    def end(self) -> int:
        """Return when the last span ended; 0 without spans."""
        return max((place.end for place in self.places), default=0)


def forest_of(spans: Rows) -> Forest:
    """Return the spans of one trace in their places; they are neither copied nor changed."""
    places: list[Place] = []
    by_id: dict[str, Place] = {}
    untimed = repeated = orphans = circles = 0
    for span in spans:
        start, end = int(span["time_unix_nano"]), int(span["end_time_unix_nano"])
        if not 0 < start <= end <= LATEST_NS:
            untimed += 1
            start = end = start if 0 < start <= LATEST_NS else end if end <= LATEST_NS else 0
        place = Place(span, start, end)
        places.append(place)
        repeated += by_id.setdefault(span["span_id"], place) is not place
    roots: list[Place] = []
    for place in places:
        named = place.span["parent_span_id"]
        parent = by_id.get(named) if named else None
        if parent is None or named == place.span["span_id"]:
            orphans += bool(named)
            roots.append(place)
        else:
            place.parent = parent
            parent.children.append(place)
    reached: set[int] = set()
    for root in roots:
        _reach(root, reached)
    for place in places:  # what no root reached stands in a circle, or hangs on one
        if id(place) not in reached:
            circles += 1
            roots.append(place)
            if place.parent is not None:
                place.parent.children.remove(place)
                place.parent = None
            _reach(place, reached)
    for place in places:
        place.own_ns = _own_ns(place)
    return Forest(roots, places, orphans, circles, repeated, untimed)


def _reach(root: Place, reached: set[int]) -> None:
    reached.add(id(root))
    waiting = [root]
    while waiting:
        place = waiting.pop()
        for child in place.children:
            if id(child) not in reached:
                reached.add(id(child))
                child.depth = place.depth + 1
                waiting.append(child)


def _own_ns(place: Place) -> int:
    reach, covered = place.start, 0
    for child in sorted(place.children, key=_started):
        begun, ended = max(child.start, reach), min(child.end, place.end)
        if ended > begun:
            covered += ended - begun
            reach = ended
    return place.length_ns - covered


def _started(place: Place) -> int:
    return place.start


def in_order(roots: list[Place]) -> Iterator[Place]:
    """Yield every span below the roots, parents before their children."""
    waiting = list(reversed(roots))
    while waiting:
        place = waiting.pop()
        yield place
        waiting.extend(reversed(place.children))


def way_to(place: Place, most: int = 6) -> list[str]:
    """Return ``service: name`` of the spans from the root to this one, the middle of a long way as one ``…``."""
    way: list[str] = []
    at: Place | None = place
    while at is not None:
        way.append(operation_text(*at.operation))
        at = at.parent
    way.reverse()
    return way if len(way) <= most else [way[0], "…", *way[2 - most :]]


def operation_text(service: str, name: str) -> str:
    """Return an operation in words: ``service: name``."""
    return cut(f"{service}: {name}" if service else name)


def cut(text: Any, most: int = LONGEST_TEXT) -> str:
    """Return a text of at most ``most`` characters."""
    text = text if isinstance(text, str) else str(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(amount: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def moment(prefix: str, nanoseconds: int) -> dict[str, str | None]:
    """Return a time as answers say it: readable, and exact as a decimal string."""
    return {prefix: rfc3339(nanoseconds), f"{prefix}_unix_nano": str(nanoseconds)}


def milliseconds(nanoseconds: int) -> float:
    """Return nanoseconds as milliseconds."""
    return nanoseconds / MS
