"""Decoded log records to rows of the table ``logs`` (docs/schema.md)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from receiver.decode.attribute_lists import AttributeLists, FlattenConnection, value_json
from receiver.decode.dimensions import Dimensions, place
from receiver.decode.hot_attributes import LOG_ATTRIBUTES, hot_columns
from receiver.decode.identifiers import span_ids, trace_ids
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import RecordColumns
from receiver.decode.session_columns import gen_ai_flags, resource_sessions, session_ids
from receiver.decode.texts import TextBuilder

_TYPES = ("string", "bool", "int", "double", "array", "kvlist", "bytes")


def flatten_logs(
    columns: RecordColumns,
    connection: FlattenConnection,
    nested: NestedValues,
    dimensions: Dimensions,
    texts: TextBuilder,
) -> pa.Table:
    """Return one row per log record; ids of a wrong length count as absent (rule D2)."""
    logs = columns.rows
    attributes = AttributeLists(logs.field("attributes"), connection, nested)
    placement = place(columns, nested, dimensions)
    body, body_type = body_columns(logs.field("body"), connection, nested)
    return pa.table(
        {
            "time_unix_nano": logs.field("time_unix_nano"),
            "observed_time_unix_nano": logs.field("observed_time_unix_nano"),
            "trace_id": trace_ids(logs.field("trace_id")),
            "span_id": span_ids(logs.field("span_id")),
            "flags": logs.field("flags"),
            "severity_number": logs.field("severity_number"),
            "severity_text": logs.field("severity_text"),
            "event_name": logs.field("event_name"),
            "body": body,
            "body_type": body_type,
            "attributes": attributes.json(),
            "dropped_attributes_count": logs.field("dropped_attributes_count"),
            "resource_id": placement.resource_ids,
            "scope_id": placement.scope_ids,
            "text_id": texts.logs(logs, attributes, body, placement.service_names),
            **hot_columns(attributes, LOG_ATTRIBUTES),
            "session_id": session_ids(attributes, resource_sessions(columns, nested)),
            "is_gen_ai": gen_ai_flags(attributes, logs.field("event_name")),
        }
    )


def body_columns(
    bodies: pa.StructArray, connection: FlattenConnection, nested: NestedValues
) -> tuple[pa.StringArray, pa.StringArray]:
    """Return each body as text and its type.

    A string body is itself; another is its JSON text. An AnyValue without a value has the type ``empty``
    and no text; a record without a body has neither.
    """
    children = dict(zip((f.name for f in bodies.type), bodies.flatten(), strict=True))
    codes = np.full(len(bodies), len(_TYPES), dtype=np.int32)
    for place_of, name in enumerate(_TYPES):
        member = children[f"{name}_value"]
        if member.null_count < len(member):
            codes[member.is_valid().to_numpy(zero_copy_only=False)] = place_of
    absent = bodies.is_null().to_numpy(zero_copy_only=False)
    types = pa.array([*_TYPES, "empty"], pa.string()).take(pa.array(codes, mask=absent))
    strings = children["string_value"]
    if strings.null_count == 0:
        return strings, types
    other = value_json(bodies, connection, nested)
    empty = pa.array(codes == len(_TYPES))
    return pc.coalesce(strings, pc.if_else(empty, pa.scalar(None, pa.string()), other)), types
