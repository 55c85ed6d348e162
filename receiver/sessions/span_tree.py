"""The spans of a session by their ids: what stands above and below one. No recursion, no circle followed twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from receiver.questions import AgentRecord


def key_of(trace_id: str, span_id: str) -> str:
    """Return the name of a span among all traces; empty where it has no id."""
    return f"{trace_id}/{span_id}" if span_id else ""


class SpanTree:
    """Parents of spans, any number of traces."""

    def __init__(self, spans: Iterable[AgentRecord]) -> None:
        """Keep who is whose parent; of spans with one id the first counts."""
        self._parent: dict[str, str] = {}
        for span in spans:
            key = key_of(span.trace_id, span.span_id)
            if key:
                self._parent.setdefault(key, key_of(span.trace_id, span.parent_span_id))

    def parent(self, key: str) -> str:
        """Return the key of a span's parent, which need not be stored; empty for none."""
        return self._parent.get(key, "")

    def nearest(self, marked: Collection[str]) -> dict[str, str]:
        """Return for every span the nearest marked one at or above it; empty where there is none."""
        found: dict[str, str] = {}
        for key in self._parent:
            path: list[str] = []
            on_path: set[str] = set()
            here = key
            while here and here not in found and here not in marked and here not in on_path:
                path.append(here)
                on_path.add(here)
                here = self._parent.get(here, "")
            answer = here if here in marked else found.get(here, "")
            for each in path:
                found[each] = answer
            if here in marked:
                found[here] = here
        return found

    def above(self, keys: Sequence[str]) -> set[str]:
        """Return every span that stands above one of these."""
        found: set[str] = set()
        for key in keys:
            here = self._parent.get(key, "")
            while here and here not in found:
                found.add(here)
                here = self._parent.get(here, "")
        return found
