"""Attributes that are typed columns of their own beside the JSON text, because questions filter by them.

A column holds a value only where the attribute has the column's type; the JSON text has it always.
Filtering 10 million rows by a typed column is about ten times faster than by JSON text.
"""

from __future__ import annotations

import pyarrow as pa

from receiver.decode.attribute_lists import AttributeLists

SPAN_ATTRIBUTES: dict[str, pa.DataType] = {
    "http.route": pa.string(),
    "http.response.status_code": pa.int64(),
    "rpc.service": pa.string(),
    "db.system.name": pa.string(),
    "gen_ai.request.model": pa.string(),
    "gen_ai.conversation.id": pa.string(),
    "session.id": pa.string(),
    "error.type": pa.string(),
}
LOG_ATTRIBUTES: dict[str, pa.DataType] = {
    "gen_ai.conversation.id": pa.string(),
    "session.id": pa.string(),
    "error.type": pa.string(),
}


def column_name(attribute: str) -> str:
    """Return the column that holds a hot attribute: http.route is in attr_http_route."""
    return "attr_" + attribute.replace(".", "_")


def hot_columns(lists: AttributeLists, attributes: dict[str, pa.DataType]) -> dict[str, pa.Array]:
    """Return the typed columns of a batch, by column name."""
    found = {}
    for name, kind in attributes.items():
        values = lists.strings(name) if kind == pa.string() else lists.integers(name)
        found[column_name(name)] = pa.nulls(len(lists), kind) if values is None else values
    return found
