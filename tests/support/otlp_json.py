"""OTLP/JSON requests with as little as a test needs, and what the receiver makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.decode.json_request import JsonRequest, protobuf_from_json
from receiver.errors import MalformedRequestError
from receiver.signals import Signal

MAX_OBJECTS = 10_000
TRACE_HEX, SPAN_HEX = "5B8EFFF798038103d269b633813fc60c", "eee19b7ec3c1B174"
TRACE_ID, SPAN_ID = bytes.fromhex(TRACE_HEX), bytes.fromhex(SPAN_HEX)

every_signal = pytest.mark.parametrize("signal", list(Signal))


def convert(signal: Signal, body: bytes | dict[str, Any]) -> JsonRequest:
    """Return what becomes of a body, which may be given as the object that it holds."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return protobuf_from_json(signal, encoded, max_objects=MAX_OBJECTS)


def traces(*spans: Any) -> dict[str, Any]:
    """Return the JSON of a request that holds spans."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def logs(*records: Any) -> dict[str, Any]:
    """Return the JSON of a request that holds log records."""
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def metrics(*several: Any) -> dict[str, Any]:
    """Return the JSON of a request that holds metrics."""
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": list(several)}]}]}


def point(**fields: Any) -> dict[str, Any]:
    """Return the JSON of a gauge with one data point."""
    return {"gauge": {"dataPoints": [fields]}}


def spans_of(body: bytes | dict[str, Any]) -> list[Span]:
    """Return the converted spans."""
    message = ExportTraceServiceRequest.FromString(convert(Signal.TRACES, body).payload)
    return list(message.resource_spans[0].scope_spans[0].spans)


def span_of(**fields: Any) -> Span:
    """Return one converted span."""
    return spans_of(traces(fields))[0]


def log_of(**fields: Any) -> LogRecord:
    """Return one converted log record."""
    message = ExportLogsServiceRequest.FromString(convert(Signal.LOGS, logs(fields)).payload)
    return message.resource_logs[0].scope_logs[0].log_records[0]


def metric_of(**fields: Any) -> Metric:
    """Return one converted metric."""
    message = ExportMetricsServiceRequest.FromString(convert(Signal.METRICS, metrics(fields)).payload)
    return message.resource_metrics[0].scope_metrics[0].metrics[0]


def value_of(value: Any) -> AnyValue:
    """Return a converted AnyValue."""
    return log_of(body=value).body


def refusal(signal: Signal, body: bytes | dict[str, Any]) -> str:
    """Return the message with which a malformed body is refused."""
    with pytest.raises(MalformedRequestError) as caught:
        convert(signal, body)
    return str(caught.value)
