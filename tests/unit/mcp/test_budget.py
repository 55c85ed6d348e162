"""An answer fits its tokens, stays JSON, and says all that was cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.mcp.budget import REPORT_BYTES, fitted

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=2000)
    | st.text(alphabet="\u202e\U000e0041é", max_size=300),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=300), inner, max_size=60),
    max_leaves=200,
)


def _counted(value: Any) -> tuple[int, int]:
    """Return how many list items and how many fields a value has, at every level."""
    if isinstance(value, dict):
        inner = [_counted(each) for each in value.values()]
        return sum(i for i, _ in inner), len(value) + sum(f for _, f in inner)
    if isinstance(value, list):
        inner = [_counted(each) for each in value]
        return len(value) + sum(i for i, _ in inner), sum(f for _, f in inner)
    return 0, 0


@settings(max_examples=150, deadline=None)
@given(value=_VALUES, size=st.integers(64, 4000))
def test_any_value_fits_and_what_was_cut_is_reported(value: Any, size: int) -> None:
    """The encoding is within the bytes, the report too, and nothing is missing without a report."""
    found = fitted(value, size)
    assert len(orjson.dumps(found.value)) <= size
    items, fields = _counted(value)
    shown_items, shown_fields = _counted(found.value)
    if found.cut is None:
        assert (shown_items, shown_fields) == (items, fields)
        assert "characters left out]" not in orjson.dumps(found.value).decode()
    else:
        assert len(orjson.dumps(found.cut)) <= REPORT_BYTES
        assert any(found.cut.values())
    if (shown_items, shown_fields) != (items, fields):
        assert found.cut is not None
        assert found.cut.get("items_left_out") or found.cut.get("fields_left_out")


def test_what_fits_is_not_changed() -> None:
    """Small values pass as they are."""
    value = {"traces": [{"name": "pay", "n": 3, "ok": True, "none": None, "f": 1.5}], "é": "日本"}
    assert fitted(value, 1000).value == value
    assert fitted(value, 1000).cut is None


def test_long_texts_go_before_lists() -> None:
    """A long text loses its middle while all items of a list stay."""
    found = fitted({"spans": [{"name": f"n{i}", "text": "a" * 5000 + "z"} for i in range(10)]}, 8000)
    assert len(found.value["spans"]) == 10
    text = found.value["spans"][0]["text"]
    assert text.startswith("aaa")
    assert text.endswith("z")
    assert "characters left out]" in text
    assert found.cut is not None
    assert found.cut["texts_shortened"] == 10
    assert "items_left_out" not in found.cut


def test_lists_are_cut_from_the_end_and_counted() -> None:
    """The first items stay; the report says how many of how many."""
    found = fitted({"traces": [{"trace_id": f"{i:032x}"} for i in range(1000)]}, 4000)
    shown = found.value["traces"]
    assert shown == [{"trace_id": f"{i:032x}"} for i in range(len(shown))]
    assert len(shown) > 50
    assert found.cut is not None
    assert found.cut["items_left_out"] == 1000 - len(shown)
    assert found.cut["lists"] == {"traces": {"shown": len(shown), "of": 1000}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**70, str(2**70)),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
    ],
)
def test_numbers_that_json_cannot_say_are_texts(value: Any, shown: Any) -> None:
    """Not a number, infinities and integers beyond 64 bits."""
    assert fitted([value], 1000).value == [shown]


def test_nesting_beyond_the_encoder_is_cut_and_said() -> None:
    """A value as deep as JSON's own parser takes is shown down to 200 levels."""
    deep: Any = ["bottom"]
    for _ in range(400):
        deep = [deep]
    found = fitted(deep, 10_000)
    assert found.cut == {"too_deep": 1}


def test_keys_that_differ_only_in_what_was_cut_both_stay() -> None:
    """Two long keys with the same ends do not overwrite each other."""
    value = {f"{'a' * 3000}{i}{'b' * 3000}": i for i in range(3)}
    assert sorted(fitted(value, 3000).value.values()) == [0, 1, 2]
