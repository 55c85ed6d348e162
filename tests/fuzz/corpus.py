"""Requests to begin with: what hypothesis draws from everything that OTLP allows, the same in every run."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.signals import Signal
from tests.support.otlp_requests import log_request, metric_request, span_request
from tests.support.otlp_strategies import REQUESTS

_MESSAGES: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_IDS = {"traceId", "spanId", "parentSpanId"}


@cache
def protobuf_requests(signal: Signal, examples: int) -> tuple[bytes, ...]:
    """Return valid requests, some dozens of bytes to some kilobytes long, none empty."""
    plain = {
        Signal.TRACES: span_request(0, 3),
        Signal.METRICS: metric_request(0, 3),
        Signal.LOGS: log_request(0, 3),
    }
    found = [plain[signal].body, *_drawn(REQUESTS[signal], examples)]
    return tuple(dict.fromkeys(body for body in found if body))


@cache
def json_requests(signal: Signal, examples: int) -> tuple[dict[str, Any], ...]:
    """Return the same requests as the objects that OTLP/JSON writes them as."""
    return tuple(_as_json(signal, body) for body in protobuf_requests(signal, examples))


def _drawn(strategy: st.SearchStrategy[bytes], examples: int) -> list[bytes]:
    found: list[bytes] = []

    @seed(1)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(body: bytes) -> None:
        found.append(body)

    collect()
    return found


def _as_json(signal: Signal, body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(_MESSAGES[signal].FromString(body), use_integers_for_enums=True)
    waiting: list[Any] = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            for name in _IDS & part.keys():
                part[name] = base64.b64decode(part[name]).hex()  # OTLP/JSON writes ids in hex (rule J1)
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return json.loads(json.dumps(document)) or {}
