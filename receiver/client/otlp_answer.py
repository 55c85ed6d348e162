"""What an OTLP endpoint said to one export, whatever carried it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from receiver.signals import Signal


class Outcome(StrEnum):
    """How an export ended."""

    ACCEPTED = "accepted"
    PARTIAL = "partly rejected"
    REFUSED = "refused"
    """By an OTLP endpoint that was reached."""
    UNREACHABLE = "nothing listens"
    NOT_OTLP = "not OTLP"
    """Something listens there, and it does not speak this protocol."""
    TIMEOUT = "no answer"


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """The answer to one export."""

    outcome: Outcome
    detail: str = ""
    """What was said, or went wrong; empty if accepted."""


_RESPONSES: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}
_REJECTED = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}


def answer_of(signal: Signal, body: bytes) -> ExportAnswer:
    """Return what the protobuf body of a successful answer says.

    Source: https://opentelemetry.io/docs/specs/otlp/#partial-success
    """
    response = _RESPONSES[signal]()
    try:
        response.ParseFromString(body)
    except DecodeError as error:
        return ExportAnswer(Outcome.NOT_OTLP, f"the answer is not an OTLP response: {error}")
    partial = response.partial_success  # type: ignore[attr-defined]  # all three have it
    rejected: int = getattr(partial, _REJECTED[signal])
    if rejected:
        return ExportAnswer(Outcome.PARTIAL, f"{rejected} rejected: {partial.error_message}")
    return ExportAnswer(Outcome.ACCEPTED)
