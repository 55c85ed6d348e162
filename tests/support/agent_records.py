"""Records of agents as the store hands them out: written by hand, or made of OTLP requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from receiver.questions import AgentRecord, Status
from receiver.signals import Signal
from receiver.sources.source import SCOPE, Parser
from receiver.times import NS

T0 = 1_790_000_000 * NS
MS = 1_000_000
_STATUSES = (Status.UNSET, Status.OK, Status.ERROR)


def make_span(
    name: str,
    number: int = 1,
    *,
    parent: int = 0,
    trace: int = 1,
    at: float = 0,
    lasts: float = 1,
    service: str = "app",
    **more: Any,
) -> AgentRecord:
    """Return a span; ``at`` and ``lasts`` are seconds after T0."""
    fields: dict[str, Any] = {
        "signal": Signal.TRACES,
        "session_id": "s",
        "service": service,
        "scope": "",
        "name": name,
        "time_ns": T0 + round(at * NS),
        "end_ns": T0 + round((at + lasts) * NS),
        "trace_id": f"{trace:032x}",
        "span_id": f"{number:016x}",
        "parent_span_id": f"{parent:016x}" if parent else "",
        "status": Status.UNSET,
        "status_message": "",
        "attributes": {},
    }
    return AgentRecord(**(fields | more))


def make_log(name: str, *, at: float = 0, service: str = "app", **more: Any) -> AgentRecord:
    """Return a log event ``at`` seconds after T0."""
    fields: dict[str, Any] = {
        "signal": Signal.LOGS,
        "session_id": "s",
        "service": service,
        "scope": "",
        "name": name,
        "time_ns": T0 + round(at * NS),
        "end_ns": T0 + round(at * NS),
        "trace_id": "",
        "span_id": "",
        "parent_span_id": "",
        "status": Status.UNSET,
        "status_message": "",
        "attributes": {},
    }
    return AgentRecord(**(fields | more))


def make_point(
    name: str, value: float, *, start: float = 0, at: float = 60, temporality: int = 1, **attributes: Any
) -> AgentRecord:
    """Return a data point, by default a delta of the first minute."""
    return AgentRecord(
        signal=Signal.METRICS,
        session_id="s",
        service="app",
        scope="",
        name=name,
        time_ns=T0 + round(at * NS),
        end_ns=T0 + round(at * NS),
        trace_id="",
        span_id="",
        parent_span_id="",
        status=Status.UNSET,
        status_message="",
        attributes=attributes,
        value=value,
        start_time_ns=T0 + round(start * NS),
        aggregation_temporality=temporality,
    )


def records_of_traces(request: ExportTraceServiceRequest) -> Iterator[AgentRecord]:
    """Yield the spans of a request."""
    for envelope in request.resource_spans:
        resource = _values(envelope.resource.attributes)
        for scoped in envelope.scope_spans:
            for span in scoped.spans:
                attributes = _values(span.attributes)
                yield AgentRecord(
                    signal=Signal.TRACES,
                    session_id=attributes.get("session.id"),
                    service=resource.get("service.name", ""),
                    scope=scoped.scope.name,
                    name=span.name,
                    time_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    status=_STATUSES[span.status.code],
                    status_message=span.status.message,
                    attributes=attributes,
                    events=[
                        {
                            "name": event.name,
                            "time_unix_nano": event.time_unix_nano,
                            "attributes": _values(event.attributes),
                        }
                        for event in span.events
                    ],
                    resource=resource,
                )


def records_of_logs(request: ExportLogsServiceRequest) -> Iterator[AgentRecord]:
    """Yield the log records of a request."""
    for envelope in request.resource_logs:
        resource = _values(envelope.resource.attributes)
        for scoped in envelope.scope_logs:
            for record in scoped.log_records:
                attributes = _values(record.attributes)
                yield make_log(
                    record.event_name or attributes.get("event.name", ""),
                    session_id=attributes.get("session.id"),
                    service=resource.get("service.name", ""),
                    scope=scoped.scope.name,
                    time_ns=record.time_unix_nano,
                    end_ns=record.time_unix_nano,
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    attributes=attributes,
                    body=_value(record.body),
                    resource=resource,
                )


def records_of_metrics(request: ExportMetricsServiceRequest) -> Iterator[AgentRecord]:
    """Yield the data points of the sums of a request."""
    for envelope in request.resource_metrics:
        resource = _values(envelope.resource.attributes)
        for scoped in envelope.scope_metrics:
            for metric in scoped.metrics:
                for point in metric.sum.data_points:
                    attributes = _values(point.attributes)
                    yield make_log(
                        metric.name,
                        signal=Signal.METRICS,
                        session_id=attributes.get("session.id"),
                        service=resource.get("service.name", ""),
                        scope=scoped.scope.name,
                        time_ns=point.time_unix_nano,
                        end_ns=point.time_unix_nano,
                        attributes=attributes,
                        value=point.as_int if point.WhichOneof("value") == "as_int" else point.as_double,
                        start_time_ns=point.start_time_unix_nano,
                        aggregation_temporality=int(metric.sum.aggregation_temporality),
                        resource=resource,
                    )


def records_of_file(parser: Parser, lines: Iterable[str]) -> Iterator[AgentRecord]:
    """Yield the spans that a parser makes of a file that nobody writes any more."""
    units = [unit for line in lines for unit in parser.feed(line.encode())]
    for unit in [*units, *parser.flush(finished=True)]:
        request = ExportTraceServiceRequest.FromString(unit.payload)
        for record in records_of_traces(request):
            assert record.scope == SCOPE
            yield record


def _values(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
