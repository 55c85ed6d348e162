"""The critical path of a trace: whose work decided when it was done, at every moment of it.

From the end of the root backwards: the child that finished last decided, from its own end back to its own start;
what it did in that time is decided the same way inside it. Before its start the child decides that finished last
before then. Where no child ran, the span itself did. So the parts on the path follow each other without a gap and add
up to the root's duration. Children that run beside the deciding one are not on the path.

Source: Zhang et al., CRISP: Critical Path Analysis of Large-Scale Microservice Architectures, USENIX ATC 2022,
https://www.usenix.org/conference/atc22/presentation/zhang-zhizhou. As there and in Jaeger
(https://github.com/jaegertracing/jaeger-ui/tree/main/packages/jaeger-ui/src/components/TracePage/CriticalPath), what
a child did outside its parent's time is cut off: clocks of two hosts differ, and who does not wait is not held up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from receiver.query.outline_spans import Place


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the path; ``place`` is None where no span ran between two roots."""

    place: Place | None
    start: int
    end: int

    @property
    def length_ns(self) -> int:
        """Return how long it is; more than zero."""
        return self.end - self.start


def critical_path(roots: list[Place]) -> list[Step]:
    """Return the path, earliest step first. The steps' lengths add up to the time from first start to last end.

    With one root that is the root's own time. Several roots are children of a span that nobody sent.
    """
    if not roots:
        return []
    if len(roots) == 1:
        return _walked(roots[0], roots[0].children, roots[0].start, roots[0].end)
    return _walked(None, roots, min(r.start for r in roots), max(r.end for r in roots))


def _walked(top: Place | None, children: list[Place], start: int, end: int) -> list[Step]:
    steps: list[Step] = []
    # Each level: whose time it is, from when to when, back to when it is decided, and the children left to ask.
    levels: list[tuple[Place | None, int, int, int, Iterator[Place]]] = [
        (top, start, end, end, _last_first(children, end))
    ]
    while levels:
        place, since, ends, until, left = levels.pop()
        for child in left:
            ended, begun = min(child.end, ends), max(child.start, since)
            if begun < ended <= until:
                if ended < until:
                    steps.append(Step(place, ended, until))
                levels.append((place, since, ends, begun, left))
                levels.append((child, begun, ended, ended, _last_first(child.children, ended)))
                break
        else:
            if since < until:
                steps.append(Step(place, since, until))
    steps.reverse()
    return steps


def _last_first(children: list[Place], ends: int) -> Iterator[Place]:
    """Yield the children that end last first; of equals the longest."""
    return iter(sorted(children, key=lambda child: (-min(child.end, ends), child.start)))
