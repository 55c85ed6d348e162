"""Looks for what the columnar decoder lets through: bad ids and times, doubled oneofs, malformed nested values.

Everything is done on whole columns; a request that shows something is named, and ``receiver.decode.repair``
treats it with message objects.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import (
    POINT_KINDS,
    Index,
    RecordColumns,
    lengths,
    parents,
    point_lists,
)
from receiver.errors import PermanentError
from receiver.signals import Signal

Mask = NDArray[np.bool_]
NO_RECORDED_VALUE = 1
"""DataPointFlags; a point that carries it needs no value (metrics.proto)."""


@dataclass
class Findings:
    """What was found, by the request's place in the decoded list."""

    bad_records: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    malformed: dict[int, PermanentError] = field(default_factory=dict)
    warnings: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def needs_repair(self) -> bool:
        """Return True if some request cannot be taken as it is."""
        return bool(self.bad_records or self.doubled or self.malformed)


def inspect(columns: RecordColumns, nested: NestedValues) -> Findings:
    """Return what is wrong with which of the decoded requests."""
    found = Findings()
    requests = columns.request_of_rows()
    for values, rows in _any_values(columns):
        _inspect_values(values, requests[rows], nested, found)
    _inspect_envelopes(columns, nested, found)
    if columns.signal is Signal.TRACES:
        bad = _bad_spans(columns.rows)
        found.bad_records.update(np.unique(requests[bad]).tolist())
    elif columns.signal is Signal.LOGS:
        _warn(
            found,
            requests[_unassociated(columns.rows)],
            "log records with an invalid trace or span id are stored without it",
        )
    else:
        _inspect_points(columns.rows, requests, found)
    return found


def messages(columns: RecordColumns) -> int:
    """Return how many messages were decoded: records, attributes, events, links, exemplars."""
    count = len(columns.resources) + len(columns.scopes) + len(columns.rows)
    if columns.signal is Signal.TRACES:
        count += sum(len(columns.rows.field(name).flatten()) for name in ("events", "links"))
    elif columns.signal is Signal.LOGS:
        count -= len(columns.rows)  # a body is part of its record
    elif columns.signal is Signal.METRICS:
        count += columns.records
        for kind in POINT_KINDS[:-1]:  # all but summaries have exemplars
            count += len(point_lists(columns.rows, kind).flatten().field("exemplars").flatten())
    return count + sum(len(values) for values, _ in _any_values(columns))


def _any_values(columns: RecordColumns) -> list[tuple[pa.StructArray, Index]]:
    """Return every array of AnyValues with the row that each value belongs to."""
    rows = columns.rows
    every = np.arange(len(rows), dtype=np.int32)
    if columns.signal is Signal.TRACES:
        lists = [(rows.field("attributes"), every)]
        for name in ("events", "links"):
            children = rows.field(name)
            lists.append((children.flatten().field("attributes"), parents(children)))
        return [_values(one, of) for one, of in lists]
    if columns.signal is Signal.LOGS:
        return [(rows.field("body"), every), _values(rows.field("attributes"), every)]
    found = []
    for kind in POINT_KINDS:
        point_list = point_lists(rows, kind)
        points, metric_of = point_list.flatten(), parents(point_list)
        found.append(_values(points.field("attributes"), metric_of))
        if kind != "summary":
            exemplars = points.field("exemplars")
            filtered = exemplars.flatten().field("filtered_attributes")
            found.append(_values(filtered, metric_of[parents(exemplars)]))
    return found


def _values(lists: pa.ListArray, row_of: Index) -> tuple[pa.StructArray, Index]:
    return lists.flatten().field("value"), row_of[parents(lists)]


def _inspect_values(values: pa.StructArray, requests: Index, nested: NestedValues, found: Findings) -> None:
    present = [f for f in values.flatten() if f.null_count < len(f)]
    if len(present) > 1:
        members = np.zeros(len(values), dtype=np.uint8)
        for member in present:
            members += member.is_valid().to_numpy(zero_copy_only=False)
        found.doubled.update(requests[members > 1].tolist())
    kind: Literal["array", "kvlist"]
    for kind in ("array", "kvlist"):
        member = values.field(f"{kind}_value")
        if member.null_count == len(member):
            continue
        _inspect_bytes(partial(nested.value, kind=kind), member, requests, found)


def _inspect_envelopes(columns: RecordColumns, nested: NestedValues, found: Findings) -> None:
    request_of_scopes = columns.request_of[columns.resource_of]
    _inspect_bytes(nested.resource, columns.resources, columns.request_of, found)
    _inspect_bytes(nested.scope, columns.scopes, request_of_scopes, found)
    if columns.signal is Signal.METRICS:
        _inspect_metadata(columns, nested, found)


def _inspect_metadata(columns: RecordColumns, nested: NestedValues, found: Findings) -> None:
    """Look at the metadata of metrics, which few have: attributes whose values nothing has read yet."""
    metadata = columns.rows.field("metadata")
    if not len(metadata.flatten()):
        return
    requests = columns.request_of_rows()
    filled = np.flatnonzero(lengths(metadata))
    for request, pairs in zip(
        requests[filled].tolist(), metadata.take(pa.array(filled)).to_pylist(), strict=True
    ):
        try:
            warnings = nested.metadata(tuple(pairs)).warnings
        except PermanentError as error:
            found.malformed[request] = error
        else:
            found.warnings[request].update(warnings)


class _Decoded(Protocol):
    """Anything decoded from bytes: it may have something to warn of."""

    @property
    def warnings(self) -> frozenset[str]: ...


def _inspect_bytes(
    decode: Callable[[bytes], _Decoded], values: pa.BinaryArray, requests: Index, found: Findings
) -> None:
    """Decode each distinct byte string once; note what is malformed and what is to be warned of."""
    encoded = values.dictionary_encode()
    faults: dict[str, tuple[PermanentError, list[int]]] = {}
    warnings: dict[str, list[int]] = defaultdict(list)
    for code, data in enumerate(encoded.dictionary.to_pylist()):
        try:
            for warning in decode(data).warnings:
                warnings[warning].append(code)
        except PermanentError as error:
            faults.setdefault(error.message, (error, []))[1].append(code)
    if not faults and not warnings:
        return
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for fault, bad in faults.values():
        found.malformed.update(dict.fromkeys(requests[np.isin(codes, bad)].tolist(), fault))
    for warning, of in warnings.items():
        _warn(found, requests[np.isin(codes, of)], warning)


def _warn(found: Findings, requests: Index, warning: str) -> None:
    for request, count in zip(*np.unique(requests, return_counts=True), strict=True):
        found.warnings[int(request)][warning] += int(count)


def _bad_spans(spans: pa.StructArray) -> Mask:
    """Return the spans whose ids break rule D1 (wrong length or all zero), or whose parent id has a wrong length."""
    trace_id, span_id = spans.field("trace_id"), spans.field("span_id")
    parent = byte_lengths(spans.field("parent_span_id"))
    bad: Mask = (
        (byte_lengths(trace_id) != 16) | (byte_lengths(span_id) != 8) | ((parent != 0) & (parent != 8))
    )
    bad |= _equal(trace_id, bytes(16))
    bad |= _equal(span_id, bytes(8))
    return bad


def _unassociated(logs: pa.StructArray) -> Mask:
    trace, span = byte_lengths(logs.field("trace_id")), byte_lengths(logs.field("span_id"))
    return ((trace != 0) & (trace != 16)) | ((span != 0) & (span != 8))


def _inspect_points(metrics: pa.StructArray, requests: Index, found: Findings) -> None:
    set_kinds = sum(
        metrics.field(k).is_valid().to_numpy(zero_copy_only=False).astype(np.uint8) for k in POINT_KINDS
    )
    found.doubled.update(requests[np.asarray(set_kinds) > 1].tolist())
    for kind in POINT_KINDS:
        point_list = point_lists(metrics, kind)
        points, metric_of = point_list.flatten(), parents(point_list)
        if not len(points):
            continue
        bad: Mask = points.field("time_unix_nano").to_numpy() == 0
        if kind in ("gauge", "sum"):
            as_int = points.field("as_int").is_valid().to_numpy(zero_copy_only=False)
            as_double = points.field("as_double").is_valid().to_numpy(zero_copy_only=False)
            recorded = (points.field("flags").to_numpy() & NO_RECORDED_VALUE) == 0
            bad = bad | (recorded & ~as_int & ~as_double)
            found.doubled.update(requests[metric_of[as_int & as_double]].tolist())
        if kind != "summary":
            exemplars = points.field("exemplars")
            flat = exemplars.flatten()
            both = flat.field("as_int").is_valid().to_numpy(zero_copy_only=False) & flat.field(
                "as_double"
            ).is_valid().to_numpy(zero_copy_only=False)
            found.doubled.update(requests[metric_of[parents(exemplars)[both]]].tolist())
        found.bad_records.update(requests[metric_of[bad]].tolist())
        if kind in ("sum", "histogram", "exponential_histogram"):
            temporality = metrics.field(kind).field("aggregation_temporality").fill_null(0).to_numpy()
            unspecified = (lengths(point_list) > 0) & (temporality == 0)
            _warn(
                found,
                requests[unspecified],
                "metrics have no aggregation temporality (UNSPECIFIED must not be used)",
            )


def byte_lengths(values: pa.BinaryArray) -> NDArray[np.int32]:
    """Return the length of each byte string; 0 for null."""
    return pc.binary_length(values).fill_null(0).to_numpy()


def _equal(values: pa.BinaryArray, pattern: bytes) -> Mask:
    return pc.equal(values, pa.scalar(pattern, values.type)).to_numpy(zero_copy_only=False)
