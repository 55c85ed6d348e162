"""Decoded spans to rows of the table ``spans`` (docs/schema.md)."""

from __future__ import annotations

import pyarrow as pa

from receiver.decode.attribute_lists import AttributeLists, FlattenConnection
from receiver.decode.dimensions import Dimensions, place
from receiver.decode.hot_attributes import SPAN_ATTRIBUTES, hot_columns
from receiver.decode.identifiers import hexadecimal, span_ids, trace_ids
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import RecordColumns
from receiver.decode.session_columns import gen_ai_flags, resource_sessions, session_ids
from receiver.decode.texts import TextBuilder


def flatten_spans(
    columns: RecordColumns,
    connection: FlattenConnection,
    nested: NestedValues,
    dimensions: Dimensions,
    texts: TextBuilder,
) -> pa.Table:
    """Return one row per span."""
    spans = columns.rows
    attributes = AttributeLists(spans.field("attributes"), connection, nested)
    placement = place(columns, nested, dimensions)
    status_message = spans.field("status").field("message").fill_null("")
    events = AttributeLists(spans.field("events").flatten().field("attributes"), connection, nested)
    return pa.table(
        {
            "trace_id": trace_ids(spans.field("trace_id")),
            "span_id": span_ids(spans.field("span_id")),
            "parent_span_id": span_ids(spans.field("parent_span_id")),
            "trace_state": spans.field("trace_state"),
            "flags": spans.field("flags"),
            "name": spans.field("name"),
            "kind": spans.field("kind"),
            "start_time_unix_nano": spans.field("start_time_unix_nano"),
            "end_time_unix_nano": spans.field("end_time_unix_nano"),
            "status_code": spans.field("status").field("code").fill_null(0),
            "status_message": status_message,
            "attributes": attributes.json(),
            "dropped_attributes_count": spans.field("dropped_attributes_count"),
            "events": _events(spans.field("events"), events),
            "dropped_events_count": spans.field("dropped_events_count"),
            "links": _links(spans.field("links"), connection, nested),
            "dropped_links_count": spans.field("dropped_links_count"),
            "resource_id": placement.resource_ids,
            "scope_id": placement.scope_ids,
            "text_id": texts.spans(spans, attributes, events, placement.service_names),
            **hot_columns(attributes, SPAN_ATTRIBUTES),
            "session_id": session_ids(attributes, resource_sessions(columns, nested)),
            "is_gen_ai": gen_ai_flags(attributes, spans.field("name")),
        }
    )


def _events(lists: pa.ListArray, attributes: AttributeLists) -> pa.ListArray:
    events = lists.flatten()
    rows = pa.StructArray.from_arrays(
        [
            events.field("time_unix_nano"),
            events.field("name"),
            attributes.json(),
            events.field("dropped_attributes_count"),
        ],
        names=["time_unix_nano", "name", "attributes", "dropped_attributes_count"],
    )
    return pa.ListArray.from_arrays(lists.offsets, rows)


def _links(lists: pa.ListArray, connection: FlattenConnection, nested: NestedValues) -> pa.ListArray:
    links = lists.flatten()
    rows = pa.StructArray.from_arrays(
        [
            hexadecimal(links.field("trace_id")),
            hexadecimal(links.field("span_id")),
            links.field("trace_state"),
            AttributeLists(links.field("attributes"), connection, nested).json(),
            links.field("dropped_attributes_count"),
            links.field("flags"),
        ],
        names=["trace_id", "span_id", "trace_state", "attributes", "dropped_attributes_count", "flags"],
    )
    return pa.ListArray.from_arrays(lists.offsets, rows)
