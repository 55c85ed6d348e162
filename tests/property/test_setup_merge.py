"""Laws of merging a configuration into any settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from receiver.setup import targets
from receiver.setup.entry import with_changes
from receiver.setup.errors import SetupError
from receiver.setup.json_file import JsonFile
from receiver.setup.options import McpTransport, Options, OtlpProtocol
from receiver.setup.target import FileTarget

_JSON_TARGETS = [
    each
    for each in (*targets.TELEMETRY.values(), *targets.MCP.values())
    if isinstance(each, FileTarget) and isinstance(each.document, JsonFile)
]
_KEYS = st.text(max_size=5) | st.sampled_from(
    ["env", "telemetry", "mcpServers", "servers", "otlp-receiver", "enabled", "command", "A"]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=10,
)
_OPTIONS = st.builds(
    Options,
    protocol=st.none() | st.sampled_from(OtlpProtocol),
    content=st.none() | st.booleans(),
    transport=st.sampled_from(McpTransport),
)


@pytest.mark.parametrize("target", _JSON_TARGETS, ids=lambda target: target.title)
@given(
    data=st.dictionaries(_KEYS, _VALUES, max_size=6),
    indent=st.none() | st.sampled_from([0, 1, 2, 4, "\t"]),
    ascii_only=st.booleans(),
    options=_OPTIONS,
)
def test_every_other_key_stays_and_a_second_merge_changes_nothing(
    target: FileTarget, data: dict[str, Any], indent: int | str | None, ascii_only: bool, options: Options
) -> None:
    """Only the announced changes are made, the order of keys stays, and merging again makes none."""
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    assume(text.isprintable() or ascii_only)
    try:
        merged = target.merged(text, options)
    except SetupError:
        assume(False)  # a value stands where an object has to be: the unit tests have it
        raise
    result = json.loads(merged.text)
    assert result == with_changes(data, merged.changes)
    assert [key for key in result if key in data] == list(data)
    assert target.missing(merged.text, options) == []
    assert target.merged(merged.text, options).changes == ()
