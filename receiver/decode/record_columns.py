"""Decoded requests of one signal as flat Arrow arrays: records, the scopes they stand in, their resources.

Flattening the envelopes is free: the records of a nested array lie side by side already, and only small
integer arrays (row → scope → resource → request) are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from receiver.signals import Signal

Index = NDArray[np.int32]

_FIELDS = {
    Signal.TRACES: ("scope_spans", "spans"),
    Signal.METRICS: ("scope_metrics", "metrics"),
    Signal.LOGS: ("scope_logs", "log_records"),
}
_SMALL_BYTES = 1 << 20
_OBJECTS_BYTES = 64 << 10
"""What the objects of some hundred arrays take, however short these are."""
POINT_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


@dataclass(frozen=True)
class RecordColumns:
    """Implements ``receiver.ports.Columns``. For metrics a row is a metric, its points are lists inside."""

    signal: Signal
    rows: pa.StructArray
    scope_of: Index
    """Row → scope."""
    scopes: pa.BinaryArray
    scope_schema_urls: pa.StringArray
    resource_of: Index
    """Scope → resource."""
    resources: pa.BinaryArray
    resource_schema_urls: pa.StringArray
    request_of: Index
    """Resource → request, by its place in the list that was decoded."""

    @cached_property
    def records(self) -> int:
        """Return the number of spans, log records or data points."""
        if self.signal is not Signal.METRICS:
            return len(self.rows)
        return sum(len(points(self.rows, kind)) for kind in POINT_KINDS)

    @cached_property
    def nbytes(self) -> int:
        """Return the size in memory, in bytes."""
        return int(self.rows.nbytes + self.resources.nbytes + self.scopes.nbytes) + _OBJECTS_BYTES

    def measure(self) -> None:
        """Work out ``records`` and ``nbytes`` here and now: adding up a thousand buffers is not for the loop."""
        _ = self.records, self.nbytes

    def request_of_rows(self) -> Index:
        """Return for each row the request that it came in."""
        return self.request_of[self.resource_of[self.scope_of]] if len(self.rows) else self.scope_of


def from_nested(signal: Signal, nested: pa.ListArray) -> RecordColumns:
    """Return the flat columns of decoded requests."""
    scopes_field, rows_field = _FIELDS[signal]
    envelopes = nested.values
    scope_lists = envelopes.field(scopes_field)
    scopes = scope_lists.values
    row_lists = scopes.field(rows_field)
    return RecordColumns(
        signal=signal,
        rows=row_lists.values,
        scope_of=parents(row_lists),
        scopes=scopes.field("scope"),
        scope_schema_urls=scopes.field("schema_url"),
        resource_of=parents(scope_lists),
        resources=envelopes.field("resource"),
        resource_schema_urls=envelopes.field("schema_url"),
        request_of=parents(nested),
    )


def concatenated(parts: Sequence[RecordColumns]) -> RecordColumns:
    """Return the columns of several decoded groups of one signal as one; requests lose their places."""
    if len(parts) == 1:
        return parts[0]
    scope_shift = np.cumsum([0, *(len(p.scopes) for p in parts)], dtype=np.int32)
    resource_shift = np.cumsum([0, *(len(p.resources) for p in parts)], dtype=np.int32)
    return RecordColumns(
        signal=parts[0].signal,
        rows=pa.concat_arrays([p.rows for p in parts]),
        scope_of=np.concatenate([p.scope_of + s for p, s in zip(parts, scope_shift, strict=False)]),
        scopes=pa.concat_arrays([p.scopes for p in parts]),
        scope_schema_urls=pa.concat_arrays([p.scope_schema_urls for p in parts]),
        resource_of=np.concatenate([p.resource_of + s for p, s in zip(parts, resource_shift, strict=False)]),
        resources=pa.concat_arrays([p.resources for p in parts]),
        resource_schema_urls=pa.concat_arrays([p.resource_schema_urls for p in parts]),
        request_of=np.concatenate([p.request_of for p in parts]),
    )


def right_sized(columns: RecordColumns) -> RecordColumns:
    """Return the same columns in buffers of their own size.

    The decoder's buffers are made for many records: those of a request with ten of them took up to 1 MiB, which
    no size that Arrow reports shows. Large columns are left as they are.
    """
    if columns.rows.nbytes > _SMALL_BYTES:
        return columns
    return replace(
        columns,
        rows=_copy(columns.rows),
        scopes=_copy(columns.scopes),
        scope_schema_urls=_copy(columns.scope_schema_urls),
        resources=_copy(columns.resources),
        resource_schema_urls=_copy(columns.resource_schema_urls),
    )


def _copy(array: pa.Array) -> pa.Array:
    return pa.concat_arrays([array[:0], array])  # of one array alone it would be no copy


def lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    """Return each list's length; 0 where there is no list."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    result = np.diff(offsets)
    if lists.null_count:
        result[lists.is_null().to_numpy(zero_copy_only=False)] = 0
    return result


def parents(lists: pa.ListArray) -> Index:
    """Return for each element of the flattened lists the row of the list that it stands in."""
    return np.repeat(np.arange(len(lists), dtype=np.int32), lengths(lists))


def points(metrics: pa.StructArray, kind: str) -> pa.StructArray:
    """Return all data points of one kind, side by side."""
    return point_lists(metrics, kind).flatten()


def point_lists(metrics: pa.StructArray, kind: str) -> pa.ListArray:
    """Return the data points of one kind, one list per metric; null where it is of another kind."""
    return metrics.field(kind).field("data_points")
