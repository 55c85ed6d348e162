"""The library's tables to rows with the store's columns: numbers become the ids of what they stand for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from receiver.decode.attribute_lists import FlattenConnection
from receiver.decode.compiled.library import CompiledRequests
from receiver.decode.compiled.schemas import SCHEMAS
from receiver.decode.compiled.tables import RawTable, tables_of
from receiver.decode.dimensions import Dimensions
from receiver.decode.flatten_metrics import metric_ids
from receiver.decode.identifiers import uuids_of
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import POINT_KINDS
from receiver.decode.session_columns import resource_session
from receiver.signals import Signal

_KINDS = pa.array([*POINT_KINDS, "none"], pa.string())


class CompiledFlattener:
    """Makes rows of requests that were scanned. Threads: one call at a time."""

    def __init__(
        self,
        compiled: CompiledRequests,
        connection: FlattenConnection,
        nested: NestedValues,
    ) -> None:
        """Share with the Python flattener what both need."""
        self._compiled = compiled
        self._connection = connection
        self._nested = nested

    def flatten(self, signal: Signal, bodies: list[bytes], dimensions: Dimensions) -> dict[str, pa.Table]:
        """Return the rows by table name; raises like :func:`tables_of`."""
        raw = tables_of(self._compiled, signal, bodies)
        envelopes = self._envelopes(raw, dimensions)
        if signal is Signal.METRICS:
            return self._metrics(raw, envelopes)
        name = "spans" if signal is Signal.TRACES else "logs"
        columns = _columns(raw[name])
        columns |= envelopes.ids(columns)
        columns["session_id"] = envelopes.sessions(columns.pop("resource"), columns["session_id"])
        del columns["scope"]
        return {name: pa.table(columns), "texts": pa.table(_columns(raw["texts"]))}

    def _envelopes(self, raw: dict[str, RawTable], dimensions: Dimensions) -> _Envelopes:
        found = _Envelopes()
        for url, data in _composed(raw["resources"]):
            content = self._nested.resource(data)
            found.resources.append(dimensions.add_resource(content, url))
            found.of_resources.append(resource_session(content.attributes))
        for url, data in _composed(raw["scopes"]):
            found.scopes.append(dimensions.add_scope(self._nested.scope(data), url))
        return found

    def _metrics(self, raw: dict[str, RawTable], envelopes: _Envelopes) -> dict[str, pa.Table]:
        columns = _columns(raw["metrics"])
        if not raw["metrics"].rows:
            return {}
        columns |= envelopes.ids(columns)
        resources = columns.pop("resource")
        del columns["scope"]
        columns["type"] = _KINDS.take(columns.pop("kind"))
        columns["is_monotonic"] = columns["is_monotonic"].cast(pa.bool_())
        columns["metric_id"] = metric_ids(columns, self._connection)
        tables = {"metrics": pa.table(columns)}
        for name in ("metric_points", "histogram_points", "exponential_histogram_points", "summary_points"):
            if raw[name].rows:
                points = _columns(raw[name])
                metrics = points.pop("metric")
                if "session_id" in points:
                    points["session_id"] = envelopes.sessions(resources.take(metrics), points["session_id"])
                tables[name] = pa.table({"metric_id": columns["metric_id"].take(metrics), **points})
        return tables


class _Envelopes:
    """The ids of a call's resources and scopes, by their numbers."""

    def __init__(self) -> None:
        self.resources: list[bytes] = []
        self.of_resources: list[str | None] = []
        self.scopes: list[bytes] = []

    def ids(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """Return the ids of the resource and the scope of each row."""
        return {
            "resource_id": uuids_of(self.resources, columns["resource"].to_numpy()),
            "scope_id": uuids_of(self.scopes, columns["scope"].to_numpy()),
        }

    def sessions(self, resources: pa.Int32Array, own: pa.StringArray) -> pa.StringArray:
        """Return each row's own session, else the one that its resource names."""
        if not any(self.of_resources):
            return own
        return pc.coalesce(own, pa.array(self.of_resources, pa.string()).take(resources))


def _composed(raw: RawTable) -> Iterator[tuple[str, bytes]]:
    """Yield schema URL and message of what ``src/envelopes.rs`` put together."""
    for data in next(iter(_columns(raw).values())).to_pylist():
        end = 4 + int.from_bytes(data[:4], "little")
        yield data[4:end].decode(), data[end:]


def _columns(raw: RawTable) -> dict[str, pa.Array]:
    buffers = deque(raw.buffers)
    return {name: _array(kind, raw.rows, buffers) for name, kind in SCHEMAS[raw.name].items()}


def _array(kind: pa.DataType, length: int, buffers: deque[pa.Buffer | None]) -> pa.Array:
    """Return the array whose buffers come next."""
    if kind == pa.uuid():
        return pa.ExtensionArray.from_storage(kind, _array(pa.binary(16), length, buffers))
    if pa.types.is_list(kind):
        validity, offsets = buffers.popleft(), buffers.popleft()
        ends = np.frombuffer(offsets or b"", dtype=np.int32)
        child = _array(kind.value_type, int(ends[-1]), buffers)
        return pa.Array.from_buffers(kind, length, [validity, offsets], children=[child])
    if pa.types.is_struct(kind):
        validity = buffers.popleft()
        children = [_array(field.type, length, buffers) for field in kind]
        return pa.Array.from_buffers(kind, length, [validity], children=children)
    count = 3 if pa.types.is_string(kind) or pa.types.is_binary(kind) else 2
    return pa.Array.from_buffers(kind, length, [buffers.popleft() for _ in range(count)])
