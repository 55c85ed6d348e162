"""Requests in which everything changes all the time: services, names, values, texts; and each is like no other."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from receiver.signals import Signal

_WORDS = [
    "time",
    "out",
    "disk",
    "full",
    "retry",
    "cache",
    "miss",
    "user",
    "login",
    "order",
    "paid",
    "queue",
    "slow",
    "index",
    "lock",
    "query",
    "plan",
]
_RECORDS = 20
_REQUESTS_OF_A_SERVICE = 5


@dataclass(frozen=True, slots=True)
class ChurnRequest:
    """One request and how many records it holds."""

    signal: Signal
    body: bytes
    records: int


class ChurnRequests:
    """Makes requests; no id, name or text is used for long. Threads: one object for each."""

    def __init__(self, chance: random.Random) -> None:
        """Draw everything from ``chance``."""
        self._chance = chance
        self._made = 0
        self._service = ""

    def next(self, signal: Signal | None = None) -> ChurnRequest:
        """Return one more request, of a signal that chance decides if none is given."""
        if self._made % _REQUESTS_OF_A_SERVICE == 0:
            self._service = f"service-{self._chance.getrandbits(40):x}"
        self._made += 1
        signal = signal or self._chance.choice(list(Signal))
        body = {Signal.TRACES: self._traces, Signal.LOGS: self._logs, Signal.METRICS: self._metrics}[signal]()
        return ChurnRequest(signal, body, _RECORDS)

    def _traces(self) -> bytes:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add(resource=self._resource())
        spans = resource.scope_spans.add().spans
        trace_id, now = self._chance.randbytes(16), time.time_ns()
        for _ in range(_RECORDS):
            spans.add(
                trace_id=trace_id,
                span_id=self._chance.randbytes(8),
                name=f"{self._words(2)} {self._chance.getrandbits(24):x}",
                start_time_unix_nano=now,
                end_time_unix_nano=now + self._chance.randrange(10**9),
                attributes=self._attributes(),
            )
        return request.SerializeToString()

    def _logs(self) -> bytes:
        request = ExportLogsServiceRequest()
        records = request.resource_logs.add(resource=self._resource()).scope_logs.add().log_records
        for _ in range(_RECORDS):
            text = f"{self._words(12)} {self._chance.getrandbits(48):x}"
            records.add(time_unix_nano=time.time_ns(), attributes=self._attributes()).body.string_value = text
        return request.SerializeToString()

    def _metrics(self) -> bytes:
        request = ExportMetricsServiceRequest()
        metrics = request.resource_metrics.add(resource=self._resource()).scope_metrics.add().metrics
        metric = metrics.add(name=f"metric.{self._chance.getrandbits(16):x}")
        for _ in range(_RECORDS):
            metric.gauge.data_points.add(
                time_unix_nano=time.time_ns(), as_double=self._chance.random(), attributes=self._attributes()
            )
        return request.SerializeToString()

    def _resource(self) -> Resource:
        return Resource(attributes=[_text("service.name", self._service), _text("host.name", self._words(1))])

    def _attributes(self) -> list[KeyValue]:
        return [
            _text("label", f"{self._chance.getrandbits(40):x}"),
            _text(f"key.{self._chance.randrange(200)}", self._words(3)),
        ]

    def _words(self, count: int) -> str:
        return " ".join(self._chance.choices(_WORDS, k=count))


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
