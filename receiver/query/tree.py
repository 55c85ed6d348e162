"""The spans of a trace as a tree. Any set of spans gives one, however broken: nothing is lost, nothing loops.

A span is a root when it names no parent, itself, or a parent that is not there (``orphan``). Where parents form
a circle, its earliest span becomes a root (``cycle``). Spans with the same id are all kept; children go to the
first of them. No recursion: a chain of 100,000 spans is a tree of that depth, and because readers of JSON
stop at a few hundred levels, each ``LEVELS`` levels begin at a root of their own (``continued``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from receiver.ports import Rows

Span = dict[str, Any]
LEVELS = 100


def span_tree(spans: Rows) -> tuple[Rows, int]:
    """Return the roots, each span with its ``children`` and ``depth``, and the greatest depth (a root has 0).

    Args:
        spans: Of one trace, in the order that siblings shall have; they are copied, not changed.
    """
    nodes: list[Span] = [{**span, "depth": 0, "children": []} for span in spans]
    by_id: dict[str, Span] = {}
    for node in nodes:
        by_id.setdefault(node["span_id"], node)
    children: dict[int, list[Span]] = defaultdict(list)
    roots: list[Span] = []
    for node in nodes:
        parent = by_id.get(node["parent_span_id"]) if node["parent_span_id"] else None
        if parent is None or parent["span_id"] == node["span_id"]:
            if node["parent_span_id"] is not None:
                node["orphan"] = True
            roots.append(node)
        else:
            children[id(parent)].append(node)
    seen: set[int] = set()
    continued: list[Span] = []
    deepest = max((_grow(root, children, seen, continued) for root in roots), default=0)
    for node in nodes:  # what no root reached stands in a circle, or hangs on one
        if id(node) not in seen:
            node["cycle"] = True
            roots.append(node)
            deepest = max(deepest, _grow(node, children, seen, continued))
    return roots + continued, deepest


def _grow(root: Span, children: dict[int, list[Span]], seen: set[int], continued: list[Span]) -> int:
    seen.add(id(root))
    waiting = [root]
    deepest = 0
    while waiting:
        node = waiting.pop()
        deepest = max(deepest, node["depth"])
        for child in children.get(id(node), ()):
            if id(child) in seen:
                continue
            seen.add(id(child))
            child["depth"] = node["depth"] + 1
            if child["depth"] % LEVELS:
                node["children"].append(child)
            else:
                child["continued"] = True
                continued.append(child)
            waiting.append(child)
    return deepest


def in_order(roots: Rows) -> Iterator[Span]:
    """Yield every span of a tree, parents before their children, siblings in order."""
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node["children"]))
