"""Log records as plain Python values, and the request that carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from receiver.otlp.encode import encode_request, encode_scope, valid_text
from receiver.otlp.span import AttributeInput
from receiver.otlp.wire import RESOURCE_ATTRIBUTE, any_value, attributes, sized

_RECORD, _BODY, _ATTRIBUTE = b"\x12", b"\x2a", b"\x32"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDraft:
    """One log record. Times are Unix nanoseconds; 0 is unknown. None attributes are left out."""

    time_ns: int
    observed_ns: int = 0
    severity_number: int = 0
    """0 to 24: https://opentelemetry.io/docs/specs/otel/logs/data-model/, field SeverityNumber."""
    severity_text: str = ""
    event_name: str = ""
    body: AttributeInput = None
    attributes: Mapping[str, AttributeInput] = field(default_factory=dict)
    trace_id: bytes = b""
    span_id: bytes = b""
    flags: int = 0


def encode_logs(
    logs: Sequence[LogDraft],
    *,
    resource: Mapping[str, AttributeInput],
    scope: str = "",
    scope_version: str = "",
) -> bytes:
    """Return an ``ExportLogsServiceRequest`` with the records under one resource and one scope."""
    # ResourceLogs and ScopeLogs have the field numbers of ResourceSpans and ScopeSpans (logs.proto, trace.proto).
    records = b"".join([sized(_RECORD, _log(log)) for log in logs])
    return encode_request(
        [(attributes(RESOURCE_ATTRIBUTE, resource), encode_scope(scope, scope_version), records)]
    )


def _log(log: LogDraft) -> bytes:
    plain = LogRecord(
        time_unix_nano=log.time_ns,
        observed_time_unix_nano=log.observed_ns,
        severity_number=SeverityNumber.ValueType(log.severity_number),
        severity_text=valid_text(log.severity_text),
        event_name=valid_text(log.event_name),
        trace_id=log.trace_id,
        span_id=log.span_id,
        flags=log.flags,
    )
    body = b"" if log.body is None else sized(_BODY, any_value(log.body))
    return plain.SerializeToString() + body + attributes(_ATTRIBUTE, log.attributes)
