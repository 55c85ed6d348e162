"""Decoded metrics to rows of ``metrics`` and of the four tables of points (docs/schema.md)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from receiver.decode.attribute_lists import AttributeLists, FlattenConnection
from receiver.decode.dimensions import Dimensions, Placement, place
from receiver.decode.identifiers import hexadecimal, trace_ids
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import POINT_KINDS, RecordColumns, parents, point_lists
from receiver.decode.session_columns import resource_sessions, session_ids

_TABLES = {
    "gauge": "metric_points",
    "sum": "metric_points",
    "histogram": "histogram_points",
    "exponential_histogram": "exponential_histogram_points",
    "summary": "summary_points",
}
_DISTRIBUTION = ("count", "sum", "min", "max")
# The hash covers everything that a row of ``metrics`` holds. Texts that a client chose carry their length,
# so that no two rows give the same line.
_METRIC_ID = """unhex(md5(concat_ws('|', hex(resource), hex(scope), type, aggregation_temporality, is_monotonic,
  strlen(name), name, strlen(description), description, strlen(unit), unit, metadata)))"""


def flatten_metrics(
    columns: RecordColumns, connection: FlattenConnection, nested: NestedValues, dimensions: Dimensions
) -> dict[str, pa.Table]:
    """Return the rows of each table that has some; a metric without points still has its row."""
    metrics = columns.rows
    if not len(metrics):
        place(columns, nested, dimensions)
        return {}
    descriptors = _descriptors(columns, place(columns, nested, dimensions), connection, nested)
    metric_ids = descriptors.column("metric_id")
    sessions = resource_sessions(columns, nested)
    tables: dict[str, list[pa.Table]] = {}
    for kind in POINT_KINDS:
        lists = point_lists(metrics, kind)
        points = lists.flatten()
        if len(points):
            metric_of = pa.array(parents(lists))
            attributes = AttributeLists(points.field("attributes"), connection, nested)
            ids = metric_ids.take(metric_of)
            rows = _points(kind, points, ids, attributes, connection=connection, nested=nested)
            if _TABLES[kind] == "metric_points":
                of_resources = None if sessions is None else sessions.take(metric_of)
                rows = rows.append_column("session_id", session_ids(attributes, of_resources))
            tables.setdefault(_TABLES[kind], []).append(rows)
    return {"metrics": descriptors, **{name: pa.concat_tables(parts) for name, parts in tables.items()}}


def _descriptors(
    columns: RecordColumns, placement: Placement, connection: FlattenConnection, nested: NestedValues
) -> pa.Table:
    metrics = columns.rows
    kinds = np.full(len(metrics), len(POINT_KINDS), dtype=np.int32)
    for number, kind in enumerate(POINT_KINDS):
        kinds[metrics.field(kind).is_valid().to_numpy(zero_copy_only=False)] = number
    temporality = np.zeros(len(metrics), dtype=np.int32)
    for kind in ("sum", "histogram", "exponential_histogram"):
        temporality += metrics.field(kind).field("aggregation_temporality").fill_null(0).to_numpy()
    descriptors = {
        "resource_id": placement.resource_ids,
        "scope_id": placement.scope_ids,
        "name": metrics.field("name"),
        "description": metrics.field("description"),
        "unit": metrics.field("unit"),
        "type": pa.array([*POINT_KINDS, "none"], pa.string()).take(pa.array(kinds)),
        "aggregation_temporality": pa.array(temporality),
        "is_monotonic": metrics.field("sum").field("is_monotonic").fill_null(False),
        "metadata": _metadata(metrics.field("metadata"), nested),
    }
    return pa.table({"metric_id": metric_ids(descriptors, connection), **descriptors})


def metric_ids(descriptors: dict[str, pa.Array], connection: FlattenConnection) -> pa.Array:
    """Return the id of each row of ``metrics``, a hash of all that it says."""
    resource, scope = (
        descriptors[name].cast(pa.binary(16)).cast(pa.binary()) for name in ("resource_id", "scope_id")
    )
    others = {name: column for name, column in descriptors.items() if not name.endswith("_id")}
    hashed = connection.evaluate(_METRIC_ID, {"resource": resource, "scope": scope, **others})
    return trace_ids(hashed)  # 16 bytes like a trace id


def _metadata(lists: pa.ListArray, nested: NestedValues) -> pa.StringArray:
    if not len(lists.flatten()):
        return pa.array(["{}"], pa.string()).take(pa.array(np.zeros(len(lists), dtype=np.int64)))
    return pa.array([nested.metadata(tuple(pairs)).json for pairs in lists.to_pylist()], pa.string())


def _points(
    kind: str,
    points: pa.StructArray,
    metric_ids: pa.Array,
    attributes: AttributeLists,
    *,
    connection: FlattenConnection,
    nested: NestedValues,
) -> pa.Table:
    columns = {
        "metric_id": metric_ids,
        "attributes": attributes.json(),
        "start_time_unix_nano": points.field("start_time_unix_nano"),
        "time_unix_nano": points.field("time_unix_nano"),
        "flags": points.field("flags"),
    }
    if kind in ("gauge", "sum"):
        columns |= {"value_int": points.field("as_int"), "value_double": points.field("as_double")}
    elif kind == "summary":
        columns |= {name: points.field(name) for name in ("count", "sum", "quantile_values")}
        return pa.table(columns)
    else:
        columns |= {name: points.field(name) for name in _DISTRIBUTION}
    if kind == "histogram":
        columns |= {name: points.field(name) for name in ("bucket_counts", "explicit_bounds")}
    elif kind == "exponential_histogram":
        columns |= {name: points.field(name) for name in ("scale", "zero_count", "zero_threshold")}
        for side in ("positive", "negative"):
            buckets = points.field(side)
            columns[f"{side}_offset"] = buckets.field("offset").fill_null(0)
            counts = buckets.field("bucket_counts")
            columns[f"{side}_bucket_counts"] = (
                pc.coalesce(counts, pa.scalar([], counts.type)) if counts.null_count else counts
            )
    columns["exemplars"] = _exemplars(points.field("exemplars"), connection, nested)
    return pa.table(columns)


def _exemplars(lists: pa.ListArray, connection: FlattenConnection, nested: NestedValues) -> pa.ListArray:
    exemplars = lists.flatten()
    rows = pa.StructArray.from_arrays(
        [
            exemplars.field("time_unix_nano"),
            exemplars.field("as_int"),
            exemplars.field("as_double"),
            hexadecimal(exemplars.field("trace_id")),
            hexadecimal(exemplars.field("span_id")),
            AttributeLists(exemplars.field("filtered_attributes"), connection, nested).json(),
        ],
        names=["time_unix_nano", "value_int", "value_double", "trace_id", "span_id", "filtered_attributes"],
    )
    return pa.ListArray.from_arrays(lists.offsets, rows)
