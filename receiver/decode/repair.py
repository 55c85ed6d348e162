"""Requests that cannot be taken as they are, one at a time, with message objects: slow, exact, rare.

What comes out is protobuf that decodes to exactly the accepted records, so that the spool gives the same
rows after a crash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from proto_gen import columns_pb2
from receiver.decode.inspection import NO_RECORDED_VALUE
from receiver.decode.record_columns import POINT_KINDS
from receiver.decode.split import split_request
from receiver.errors import MalformedRequestError
from receiver.signals import Signal

_DELETED_SINGLY = 64
_PIECE_BYTES = 64 << 10
_REFERENCE: dict[Signal, Any] = {
    Signal.TRACES: trace_service_pb2.ExportTraceServiceRequest,
    Signal.METRICS: metrics_service_pb2.ExportMetricsServiceRequest,
    Signal.LOGS: logs_service_pb2.ExportLogsServiceRequest,
}


@dataclass(frozen=True, slots=True)
class Filtered:
    """A request without its bad records."""

    payload: bytes
    reasons: Counter[str]
    """Why records were rejected, and how many for each reason."""


def normalized(signal: Signal, payload: bytes) -> bytes:
    """Return the request as the reference parser reads it: of a oneof set twice the last member stands.

    Raises:
        MalformedRequestError: The reference parser refuses it.
    """
    try:
        return _REFERENCE[signal].FromString(payload).SerializeToString()
    except DecodeError as error:
        raise MalformedRequestError(
            f"the body is not a serialized {_REFERENCE[signal].DESCRIPTOR.name}: {error}"
        ) from error


def without_bad_records(signal: Signal, payload: bytes) -> Filtered:
    """Return the request without the spans or data points that may not be stored (rules D1, D3).

    It is treated in small pieces: message objects take up a hundred times the bytes of an empty record.

    Raises:
        MalformedRequestError: The reference parser refuses it.
    """
    pieces = split_request(signal, payload, max_piece_bytes=_PIECE_BYTES, max_messages=len(payload) + 1)
    try:
        filtered = [_filtered(signal, piece) for piece in pieces]
    except DecodeError as error:  # the columnar decoder is not quite as strict
        raise MalformedRequestError(f"the {signal} request is not valid protobuf: {error}") from error
    reasons: Counter[str] = Counter()
    for one in filtered:
        reasons.update(one.reasons)
    return Filtered(b"".join(one.payload for one in filtered), reasons)


def _filtered(signal: Signal, payload: bytes) -> Filtered:
    reasons: Counter[str] = Counter()
    if signal is Signal.TRACES:
        traces = columns_pb2.TracesRequest.FromString(payload)
        for resource in traces.resource_spans:
            for scope in resource.scope_spans:
                _filter(scope.spans, _span_fault, reasons)
        return Filtered(traces.SerializeToString(), reasons)
    metrics = columns_pb2.MetricsRequest.FromString(payload)
    for points in _point_lists(metrics):
        _filter(points, _point_fault, reasons)
    return Filtered(metrics.SerializeToString(), reasons)


def _point_lists(request: columns_pb2.MetricsRequest) -> Iterator[Any]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for kind in POINT_KINDS:
                    if metric.HasField(kind):
                        yield getattr(metric, kind).data_points


def _filter(records: Any, fault: Callable[[Any], str], reasons: Counter[str]) -> None:
    """Take the faulty records out of a repeated field, in one pass when there are many."""
    faults = [fault(record) for record in records]
    bad = [place for place, reason in enumerate(faults) if reason]
    if not bad:
        return
    reasons.update(faults[place] for place in bad)
    if len(bad) == len(faults):
        del records[:]
        return
    if len(bad) > _DELETED_SINGLY:  # each deletion moves all that follows
        kept = [record for record, reason in zip(records, faults, strict=True) if not reason]
        del records[:]
        records.extend(kept)
        return
    for place in reversed(bad):
        del records[place]


def _span_fault(span: columns_pb2.Span) -> str:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return _id_fault("trace_id", span.trace_id, 16)
    if len(span.span_id) != 8 or not any(span.span_id):
        return _id_fault("span_id", span.span_id, 8)
    if len(span.parent_span_id) not in (0, 8):
        return _id_fault("parent_span_id", span.parent_span_id, 8)
    return ""


def _id_fault(name: str, value: bytes, size: int) -> str:
    if len(value) == size:
        return f"{name} is all zero"
    return f"{name} has {len(value)} bytes instead of {size}"


def _point_fault(point: Any) -> str:
    if point.time_unix_nano == 0:
        return "time_unix_nano of the data point is 0"
    if (
        isinstance(point, columns_pb2.NumberDataPoint)
        and not point.HasField("as_int")
        and not point.HasField("as_double")
        and not point.flags & NO_RECORDED_VALUE
    ):
        return "the data point has no value"
    return ""
