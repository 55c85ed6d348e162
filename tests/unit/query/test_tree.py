"""Any set of spans is a tree: nothing is lost, nothing loops, nothing recurses."""

from __future__ import annotations

import orjson
import pytest

from receiver.ports import Rows
from receiver.query.tree import LEVELS, in_order, span_tree


def spans(*pairs: tuple[str, str | None]) -> Rows:
    """Return spans of (id, parent)."""
    return [{"span_id": span_id, "parent_span_id": parent} for span_id, parent in pairs]


def shape(nodes: Rows) -> list[object]:
    """Return ids with the shapes of their children."""
    return [
        (node["span_id"], shape(node["children"])) if node["children"] else node["span_id"] for node in nodes
    ]


def test_children_nest_below_their_parents_in_order() -> None:
    """A child stands in its parent's children, siblings as they were given."""
    roots, depth = span_tree(spans(("b", "a"), ("a", None), ("c", "a"), ("d", "b")))
    assert shape(roots) == [("a", [("b", ["d"]), "c"])]
    assert depth == 2


def test_several_roots_and_orphans_are_all_roots() -> None:
    """A span whose parent is not there is a root and says so."""
    roots, _ = span_tree(spans(("a", None), ("b", "gone"), ("c", None)))
    assert [(root["span_id"], root.get("orphan", False)) for root in roots] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    """A self-parent neither loops nor disappears."""
    roots, _ = span_tree(spans(("a", "a"), ("b", "a")))
    assert shape(roots) == [("a", ["b"])]


def test_a_circle_of_parents_is_broken_once_and_kept_whole() -> None:
    """Each span of a circle, and what hangs on it, stands exactly once."""
    roots, _ = span_tree(spans(("x", "z"), ("a", "c"), ("b", "a"), ("c", "b"), ("z", "c")))
    names = [node["span_id"] for node in in_order(roots)]
    assert sorted(names) == ["a", "b", "c", "x", "z"]
    assert any(root.get("cycle") for root in roots)


def test_spans_with_the_same_id_are_all_kept() -> None:
    """A repeated id loses no span, and children go to one of them only."""
    roots, _ = span_tree(spans(("a", None), ("a", None), ("b", "a")))
    assert shape(roots) == [("a", ["b"]), "a"]


@pytest.mark.parametrize("count", [LEVELS, LEVELS + 1, 100_000])
def test_a_deep_chain_needs_no_recursion_and_can_be_written_as_json(count: int) -> None:
    """Every span of a chain stands once, at its depth, and the answer is shallow enough for JSON."""
    chain = spans(("0", None), *((str(n), str(n - 1)) for n in range(1, count)))
    roots, depth = span_tree(chain)
    assert depth == count - 1
    found = list(in_order(roots))
    assert len(found) == count
    assert all(int(node["span_id"]) == node["depth"] for node in found)
    assert orjson.dumps(roots).count(b'"span_id"') == count


def test_the_given_spans_are_not_changed() -> None:
    """The tree is made of copies."""
    given = spans(("a", None), ("b", "a"))
    span_tree(given)
    assert given == spans(("a", None), ("b", "a"))
