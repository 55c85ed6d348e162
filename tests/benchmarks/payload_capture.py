"""Requests made of a capture: its records as they are, but for ids and times, in requests of the wanted size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.decode.json_request import protobuf_from_json
from receiver.signals import Signal
from tests.benchmarks.template import Marks, Message
from tests.support.receiver_process import REPOSITORY

CAPTURE = REPOSITORY.parent / "shared" / "otlp-samples" / "otel-tui" / "test_data.json"
"""A capture of the OpenTelemetry demo, where it lies beside the checkout (docs/samples.md)."""
_MESSAGES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
_FIELDS = {Signal.TRACES: "resourceSpans", Signal.LOGS: "resourceLogs", Signal.METRICS: "resourceMetrics"}
_GROUPS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}
_TIMES = ("start_time_unix_nano", "end_time_unix_nano", "time_unix_nano", "observed_time_unix_nano")
_MAX_OBJECTS = 10_000_000


def capture_requests(
    signal: Signal, records: int, count: int, capture: Path | None = None
) -> list[tuple[Message, Marks]]:
    """Return so many requests of so many records each; the capture begins again when it ends.

    Raises:
        SystemExit: There is no such file, or it has no record of this signal.
    """
    path = capture or CAPTURE
    if not path.exists():
        raise SystemExit(f"{path} is not there; name a file of OTLP/JSON lines with --capture")
    captured = list(_records(signal, path))
    if not captured:
        raise SystemExit(f"{path} has no {signal}")
    endless = ((lap, *one) for lap in count_from(0) for one in captured)
    return [_request(signal, list(islice(endless, records))) for _ in range(count)]


def _records(signal: Signal, path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each record (of a metric: each data point, in a metric of its own) with its resource and scope."""
    outer, middle, inner = _GROUPS[signal]
    with path.open("rb") as lines:
        for line in lines:
            if line.strip() and _FIELDS[signal] in json.loads(line):
                body = protobuf_from_json(signal, line, max_objects=_MAX_OBJECTS).payload
                for resource in getattr(_MESSAGES[signal].FromString(body), outer):
                    for scope in getattr(resource, middle):
                        for record in getattr(scope, inner):
                            yield from ((resource, scope, one) for one in _single(signal, record))


def _single(signal: Signal, record: Any) -> Iterator[Any]:
    if signal is not Signal.METRICS:
        yield record
        return
    kind = record.WhichOneof("data")
    for point in getattr(record, kind).data_points:
        metric = type(record)()
        metric.CopyFrom(record)
        points = getattr(metric, kind).data_points
        del points[:]
        points.append(point)
        yield metric


def _request(signal: Signal, records: list[tuple[int, Any, Any, Any]]) -> tuple[Message, Marks]:
    outer, middle, inner = _GROUPS[signal]
    request, marks = _MESSAGES[signal](), Marks()
    scopes: dict[tuple[int, int], Any] = {}
    renewal = _Renewal(marks, max(_time(record) for *_, record in records))
    for lap, resource, scope, record in records:
        key = (id(resource), id(scope))
        if key not in scopes:
            into = getattr(request, outer).add(schema_url=resource.schema_url)
            into.resource.CopyFrom(resource.resource)
            scopes[key] = getattr(into, middle).add(schema_url=scope.schema_url)
            scopes[key].scope.CopyFrom(scope.scope)
        group = getattr(scopes[key], inner)
        if signal is Signal.METRICS and len(group) and _same_metric(group[-1], record):
            kind = record.WhichOneof("data")
            points = getattr(group[-1], kind).data_points
            points.append(getattr(record, kind).data_points[0])
            renewal.record(points[-1], lap)
        else:
            group.append(record)
            inner_record = group[-1]
            if signal is Signal.METRICS:
                (inner_record,) = getattr(inner_record, record.WhichOneof("data")).data_points
            renewal.record(inner_record, lap)
    return request, marks


def _same_metric(one: Any, other: Any) -> bool:
    return bool(one.name == other.name and one.WhichOneof("data") == other.WhichOneof("data"))


def _time(record: Any) -> int:
    for field in ("end_time_unix_nano", "time_unix_nano"):
        if hasattr(record, field):
            return int(getattr(record, field))
    return max(int(p.time_unix_nano) for p in getattr(record, record.WhichOneof("data")).data_points)


class _Renewal:
    """Puts marks into the records of one request; ids that were the same stay the same within a lap."""

    def __init__(self, marks: Marks, latest: int) -> None:
        self._marks = marks
        self._latest = latest
        self._renewed: dict[tuple[int, bytes], bytes] = {}

    def record(self, record: Any, lap: int) -> None:
        """Renew a span, a log record or a data point."""
        self._ids(record, lap)
        for field in _TIMES:
            if value := getattr(record, field, 0):
                setattr(record, field, self._marks.time(max(self._latest - value, 0)))
        for group in ("events", "links", "exemplars"):
            for inner in getattr(record, group, ()):
                self.record(inner, lap)

    def _ids(self, record: Any, lap: int) -> None:
        for field in ("trace_id", "span_id", "parent_span_id"):
            if old := getattr(record, field, b""):
                if (lap, old) not in self._renewed:
                    new = self._marks.trace_id() if len(old) == 16 else self._marks.span_id()
                    self._renewed[lap, old] = new
                setattr(record, field, self._renewed[lap, old])
