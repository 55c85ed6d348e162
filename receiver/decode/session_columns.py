"""Which session a record belongs to and whether an AI agent made it: derived columns beside the JSON text.

``receiver/store/migrations/0003_sessions.sql`` says the same in SQL for the rows of older files; a test compares.
Only keys that occur in the batch are looked at, so that other telemetry pays next to nothing.
"""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from receiver.decode.attribute_keys import (
    GEN_AI_KEYS,
    GEN_AI_PREFIXES,
    RESOURCE_KEYS,
    SESSION_KEYS,
    THREAD_KEY,
    TURN_KEY,
)
from receiver.decode.attribute_lists import AttributeLists
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import Index, RecordColumns

_EVENT_NAME = "event.name"
_Flags = NDArray[np.bool_]


def session_ids(lists: AttributeLists, of_resources: pa.StringArray | None) -> pa.StringArray:
    """Return the session of each record, null where it has none.

    Args:
        lists: The records' attributes.
        of_resources: The session that each record's resource names; None if none does.
    """
    present = set(lists.key_names)
    found = None
    for key in SESSION_KEYS:
        if key in present:
            found = _first(found, _not_empty(lists.strings(key)))
    if THREAD_KEY in present and TURN_KEY in present:
        threads = _not_empty(lists.strings(THREAD_KEY))
        turns = pa.array(_rows_with(lists, {TURN_KEY}))
        found = _first(found, pc.if_else(turns, threads, pa.scalar(None, pa.string())))
    if of_resources is not None:
        found = _first(found, of_resources)
    return pa.nulls(len(lists), pa.string()) if found is None else found


def gen_ai_flags(lists: AttributeLists, names: pa.StringArray) -> pa.BooleanArray:
    """Return true for each record that an AI agent or an instrumentation of a model made, else null.

    Args:
        lists: The records' attributes.
        names: Names of spans, event names of log records.
    """
    keys = {name for name in lists.key_names if name.startswith(GEN_AI_PREFIXES) or name in GEN_AI_KEYS}
    found = _rows_with(lists, keys) if keys else np.zeros(len(lists), dtype=np.bool_)
    found |= _named_by_agent(names)
    events = lists.strings(_EVENT_NAME)
    if events is not None:
        found |= _named_by_agent(events)
    return pa.array(found, mask=~found)


def resource_sessions(columns: RecordColumns, nested: NestedValues) -> pa.StringArray | None:
    """Return for each row the session that its resource names, null where it names none; None if none does."""
    if not len(columns.rows) or not any(
        pc.any(pc.match_substring(columns.resources, key)).as_py() for key in RESOURCE_KEYS
    ):
        return None
    found = [resource_session(nested.resource(data).attributes) for data in columns.resources.to_pylist()]
    of_rows: Index = columns.resource_of[columns.scope_of]
    return pa.array(found, pa.string()).take(pa.array(of_rows))


def resource_session(attributes: str) -> str | None:
    """Return the session that a resource's attributes (JSON) name; None where they name none."""
    if not any(f'"{key}"' in attributes for key in RESOURCE_KEYS):
        return None
    said = orjson.loads(attributes)
    values = (said.get(key) for key in RESOURCE_KEYS)
    return next((value for value in values if isinstance(value, str) and value), None)


def _first(found: pa.StringArray | None, more: pa.StringArray) -> pa.StringArray:
    return more if found is None else pc.coalesce(found, more)


def _not_empty(values: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def _rows_with(lists: AttributeLists, keys: set[str]) -> _Flags:
    """Return for each row whether it has one of these keys, whatever its value is."""
    wanted = np.array([name in keys for name in lists.key_names], dtype=np.bool_)
    rows = np.zeros(len(lists), dtype=np.bool_)
    rows[lists.row_of[wanted[lists.codes]]] = True
    return rows


def _named_by_agent(names: pa.StringArray) -> _Flags:
    texts = names.fill_null("") if names.null_count else names
    found = np.zeros(len(texts), dtype=np.bool_)
    for prefix in GEN_AI_PREFIXES:
        found |= pc.starts_with(texts, prefix).to_numpy(zero_copy_only=False)
    return found
