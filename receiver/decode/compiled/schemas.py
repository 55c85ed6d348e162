"""The columns of the library's tables, in the order of ``columns!`` in ``src``."""

from __future__ import annotations

import pyarrow as pa

from receiver.decode.hot_attributes import LOG_ATTRIBUTES, SPAN_ATTRIBUTES, column_name

_TIMES = {"start_time_unix_nano": pa.uint64(), "time_unix_nano": pa.uint64(), "flags": pa.uint32()}
_EXEMPLARS = pa.list_(
    pa.struct(
        {
            "time_unix_nano": pa.uint64(),
            "value_int": pa.int64(),
            "value_double": pa.float64(),
            "trace_id": pa.string(),
            "span_id": pa.string(),
            "filtered_attributes": pa.string(),
        }
    )
)
_EVENTS = pa.list_(
    pa.struct(
        {
            "time_unix_nano": pa.uint64(),
            "name": pa.string(),
            "attributes": pa.string(),
            "dropped_attributes_count": pa.uint32(),
        }
    )
)
_LINKS = pa.list_(
    pa.struct(
        {
            "trace_id": pa.string(),
            "span_id": pa.string(),
            "trace_state": pa.string(),
            "attributes": pa.string(),
            "dropped_attributes_count": pa.uint32(),
            "flags": pa.uint32(),
        }
    )
)
_PLACE = {"resource": pa.int32(), "scope": pa.int32(), "text_id": pa.uuid()}
_DERIVED = {"session_id": pa.string(), "is_gen_ai": pa.bool_()}
_DISTRIBUTION = {"count": pa.uint64(), "sum": pa.float64(), "min": pa.float64(), "max": pa.float64()}
_COUNTS = pa.list_(pa.field("item", pa.uint64(), nullable=False))
_BOUNDS = pa.list_(pa.field("item", pa.float64(), nullable=False))
_QUANTILES = pa.list_(
    pa.field(
        "item",
        pa.struct([pa.field(name, pa.float64(), nullable=False) for name in ("quantile", "value")]),
        nullable=False,
    )
)
_POINT = {"metric": pa.int32(), "attributes": pa.string(), **_TIMES}

SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "spans": {
        "trace_id": pa.uuid(),
        "span_id": pa.uint64(),
        "parent_span_id": pa.uint64(),
        "trace_state": pa.string(),
        "flags": pa.uint32(),
        "name": pa.string(),
        "kind": pa.int32(),
        "start_time_unix_nano": pa.uint64(),
        "end_time_unix_nano": pa.uint64(),
        "status_code": pa.int32(),
        "status_message": pa.string(),
        "attributes": pa.string(),
        "dropped_attributes_count": pa.uint32(),
        "events": _EVENTS,
        "dropped_events_count": pa.uint32(),
        "links": _LINKS,
        "dropped_links_count": pa.uint32(),
        **_PLACE,
        **{column_name(name): kind for name, kind in SPAN_ATTRIBUTES.items()},
        **_DERIVED,
    },
    "logs": {
        "time_unix_nano": pa.uint64(),
        "observed_time_unix_nano": pa.uint64(),
        "trace_id": pa.uuid(),
        "span_id": pa.uint64(),
        "flags": pa.uint32(),
        "severity_number": pa.int32(),
        "severity_text": pa.string(),
        "event_name": pa.string(),
        "body": pa.string(),
        "body_type": pa.string(),
        "attributes": pa.string(),
        "dropped_attributes_count": pa.uint32(),
        **_PLACE,
        **{column_name(name): kind for name, kind in LOG_ATTRIBUTES.items()},
        **_DERIVED,
    },
    "metrics": {
        "resource": pa.int32(),
        "scope": pa.int32(),
        "kind": pa.int32(),
        "aggregation_temporality": pa.int32(),
        "is_monotonic": pa.int32(),
        "name": pa.string(),
        "description": pa.string(),
        "unit": pa.string(),
        "metadata": pa.string(),
    },
    "metric_points": {
        **_POINT,
        "value_int": pa.int64(),
        "value_double": pa.float64(),
        "exemplars": _EXEMPLARS,
        "session_id": pa.string(),
    },
    "histogram_points": {
        **_POINT,
        **_DISTRIBUTION,
        "bucket_counts": _COUNTS,
        "explicit_bounds": _BOUNDS,
        "exemplars": _EXEMPLARS,
    },
    "exponential_histogram_points": {
        **_POINT,
        **_DISTRIBUTION,
        "scale": pa.int32(),
        "zero_count": pa.uint64(),
        "zero_threshold": pa.float64(),
        "positive_offset": pa.int32(),
        "positive_bucket_counts": _COUNTS,
        "negative_offset": pa.int32(),
        "negative_bucket_counts": _COUNTS,
        "exemplars": _EXEMPLARS,
    },
    "summary_points": {
        **_POINT,
        "count": pa.uint64(),
        "sum": pa.float64(),
        "quantile_values": _QUANTILES,
    },
    "resources": {"resource": pa.binary()},
    "scopes": {"scope": pa.binary()},
    "texts": {"text_id": pa.uuid(), "text": pa.string(), "model_text": pa.string()},
}
