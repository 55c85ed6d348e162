"""An ``Outcome`` in, the bytes of an ``Export<Signal>ServiceResponse`` out (rules C3 to C6, C11)."""

from __future__ import annotations

from typing import Final

import orjson
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from receiver.ports import Encoding, Outcome
from receiver.signals import Signal
from receiver.transport.errors import ResponseTooLargeError
from receiver.transport.status import capped

_JSON_REJECTED: Final = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}


def export_response(signal: Signal, outcome: Outcome, encoding: Encoding, *, max_bytes: int) -> bytes:
    """Return the answer to an accepted request: empty (or ``{}``) on full success, else with partial_success.

    Args:
        signal: Chooses the message and the name of the rejected count.
        outcome: Its message is cut at 1 KiB, and left out where the answer would be above ``max_bytes``.
        encoding: The request's encoding.
        max_bytes: Upper bound of the answer in bytes.

    Raises:
        ResponseTooLargeError: The bare count does not fit either.
    """
    if not outcome.rejected and not outcome.message:
        return b"" if encoding is Encoding.PROTOBUF else b"{}"
    answer = _encoded(signal, outcome.rejected, capped(outcome.message), encoding)
    if len(answer) > max_bytes:
        answer = _encoded(signal, outcome.rejected, "", encoding)
    if len(answer) > max_bytes:
        raise ResponseTooLargeError(
            f"the answer has {len(answer)} bytes and limits.response_bytes is {max_bytes}",
            hint="the records were accepted; raise limits.response_bytes",
        )
    return answer


def _encoded(signal: Signal, rejected: int, message: str, encoding: Encoding) -> bytes:
    if encoding is Encoding.PROTOBUF:
        return _protobuf(signal, rejected, message)
    partial: dict[str, str] = {}
    if rejected:
        partial[_JSON_REJECTED[signal]] = str(rejected)  # int64 is a string in proto3 JSON (rule J5)
    if message:
        partial["errorMessage"] = message
    return orjson.dumps({"partialSuccess": partial} if partial else {})


def _protobuf(signal: Signal, rejected: int, message: str) -> bytes:
    if not rejected and not message:
        return b""  # an empty partial_success would be neither success nor warning (rule C6)
    match signal:
        case Signal.TRACES:
            traces = trace_service_pb2.ExportTracePartialSuccess(
                rejected_spans=rejected, error_message=message
            )
            return trace_service_pb2.ExportTraceServiceResponse(partial_success=traces).SerializeToString()
        case Signal.METRICS:
            metrics = metrics_service_pb2.ExportMetricsPartialSuccess(
                rejected_data_points=rejected, error_message=message
            )
            return metrics_service_pb2.ExportMetricsServiceResponse(
                partial_success=metrics
            ).SerializeToString()
        case Signal.LOGS:
            logs = logs_service_pb2.ExportLogsPartialSuccess(
                rejected_log_records=rejected, error_message=message
            )
            return logs_service_pb2.ExportLogsServiceResponse(partial_success=logs).SerializeToString()
