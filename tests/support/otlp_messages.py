"""Export requests of every signal as messages, and how each is written: as protobuf and as OTLP/JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.ports import Encoding
from receiver.signals import Signal
from tests.support.otlp_requests import T0, make_span, text_attribute

_BUCKETS = ExponentialHistogramDataPoint.Buckets
_QUANTILE = SummaryDataPoint.ValueAtQuantile
_IDS = ("traceId", "spanId", "parentSpanId")
Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest


def request_of(signal: Signal, *records: Message, service: str) -> Request:
    """Return a request of spans, metrics or log records that come from one service."""
    resource = Resource(attributes=[text_attribute("service.name", service)])
    many: Any = list(records)
    match signal:
        case Signal.TRACES:
            traces = ExportTraceServiceRequest()
            spans = traces.resource_spans.add(resource=resource)
            spans.scope_spans.add(spans=many)
            return traces
        case Signal.METRICS:
            metrics = ExportMetricsServiceRequest()
            metrics.resource_metrics.add(resource=resource).scope_metrics.add(metrics=many)
            return metrics
        case Signal.LOGS:
            logs = ExportLogsServiceRequest()
            logs.resource_logs.add(resource=resource).scope_logs.add(log_records=many)
            return logs


def record(signal: Signal, number: int = 0, **fields: Any) -> Message:
    """Return a span, a gauge with one point, or a log record; fields given here count instead."""
    usual: dict[str, Any] = {}
    match signal:
        case Signal.TRACES:
            return make_span(number, **fields)
        case Signal.METRICS:
            point = NumberDataPoint(time_unix_nano=T0 + number, as_int=number)
            usual = {"name": f"gauge {number}", "gauge": Gauge(data_points=[point])}
            return Metric(**(usual | fields))
        case Signal.LOGS:
            usual = {"time_unix_nano": T0 + number, "body": AnyValue(string_value=f"log {number}")}
            return LogRecord(**(usual | fields))


def one_record(signal: Signal, service: str, number: int = 0, **fields: Any) -> Request:
    """Return a request with one record in it."""
    return request_of(signal, record(signal, number, **fields), service=service)


def full_request(signal: Signal, service: str) -> Request:
    """Return a request that sets every field of every message of its signal, no two values alike."""
    records: dict[Signal, list[Any]] = {
        Signal.TRACES: [_full_span()],
        Signal.METRICS: _full_metrics(),
        Signal.LOGS: [_full_log()],
    }
    what = "spans" if signal is Signal.TRACES else signal.value
    request = request_of(signal, *records[signal], service=service)
    envelope = getattr(request, f"resource_{what}")[0]
    inner = getattr(envelope, f"scope_{what}")[0]
    envelope.schema_url = "https://example.org/resource"
    envelope.resource.dropped_attributes_count = 1
    envelope.resource.attributes.extend(every_kind_of_attribute())
    envelope.resource.entity_refs.add(
        schema_url="https://example.org/entity", type="host", id_keys=["id"], description_keys=["text"]
    )
    inner.schema_url = "https://example.org/scope"
    scope = InstrumentationScope(name="scope", version="2.1", dropped_attributes_count=2)
    scope.attributes.extend(every_kind_of_attribute())
    inner.scope.CopyFrom(scope)
    return request


def every_kind_of_attribute() -> list[KeyValue]:
    """Return one attribute for each kind of value, arrays of mixed kinds and nested ones among them."""
    mixed = ArrayValue(
        values=[
            AnyValue(string_value="a"),
            AnyValue(int_value=1),
            AnyValue(double_value=0.5),
            AnyValue(),
            AnyValue(array_value=ArrayValue(values=[AnyValue(bool_value=True)])),
        ]
    )
    nested = KeyValueList(values=[KeyValue(key="inner", value=AnyValue(bytes_value=b"\x01\x02"))])
    values = {
        "string": AnyValue(string_value="text"),
        "bool": AnyValue(bool_value=False),
        "int": AnyValue(int_value=-(2**63)),
        "double": AnyValue(double_value=1.0),
        "nan": AnyValue(double_value=math.nan),
        "bytes": AnyValue(bytes_value=b"\x00\xff"),
        "empty": AnyValue(),
        "mixed": AnyValue(array_value=mixed),
        "nested": AnyValue(kvlist_value=nested),
        "no elements": AnyValue(array_value=ArrayValue()),
    }
    return [KeyValue(key=key, value=value) for key, value in values.items()]


ATTRIBUTES = {
    "string": "text",
    "bool": False,
    "int": -(2**63),
    "double": 1.0,
    "nan": {"@double": "NaN"},
    "bytes": {"@bytes": "AP8="},
    "empty": {"@empty": True},
    "mixed": ["a", 1, 0.5, {"@empty": True}, [True]],
    "nested": {"inner": {"@bytes": "AQI="}},
    "no elements": [],
}
"""What :func:`every_kind_of_attribute` is stored as (docs/schema.md)."""


def _full_span() -> Span:
    span = make_span(
        7,
        trace_state="a=1",
        parent_span_id=b"parent!!",
        kind=3,
        flags=0x301,
        dropped_attributes_count=3,
        dropped_events_count=4,
        dropped_links_count=5,
        attributes=every_kind_of_attribute(),
        status=Status(code=Status.STATUS_CODE_ERROR, message="refused"),
    )
    span.events.add(
        time_unix_nano=T0 + 1, name="event", dropped_attributes_count=6, attributes=every_kind_of_attribute()
    )
    span.links.add(
        trace_id=b"trace id of link",
        span_id=b"linkspan",
        trace_state="b=2",
        flags=0x100,
        dropped_attributes_count=7,
        attributes=every_kind_of_attribute(),
    )
    return span


def _full_log() -> LogRecord:
    body = KeyValueList(values=every_kind_of_attribute())
    return LogRecord(
        time_unix_nano=T0,
        observed_time_unix_nano=T0 + 1,
        severity_number=SeverityNumber.SEVERITY_NUMBER_ERROR2,
        severity_text="Error",
        event_name="order.refused",
        trace_id=b"trace id of logs",
        span_id=b"log span",
        flags=0x1,
        dropped_attributes_count=8,
        attributes=every_kind_of_attribute(),
        body=AnyValue(kvlist_value=body),
    )


def _full_metrics() -> list[Metric]:
    exemplar = Exemplar(
        time_unix_nano=T0 + 2,
        as_double=0.25,
        trace_id=b"trace of example",
        span_id=b"examples",
        filtered_attributes=every_kind_of_attribute(),
    )
    point: dict[str, Any] = {
        "attributes": every_kind_of_attribute(),
        "start_time_unix_nano": T0,
        "time_unix_nano": T0 + 1,
    }
    spread: dict[str, Any] = {"count": 3, "sum": 6.5, "min": 0.5, "max": 4.0, "exemplars": [exemplar]}
    histogram = HistogramDataPoint(**point, **spread, bucket_counts=[1, 2], explicit_bounds=[1.0])
    exponential = ExponentialHistogramDataPoint(
        **point,
        **spread,
        scale=-3,
        zero_count=1,
        zero_threshold=0.125,
        positive=_BUCKETS(offset=-4, bucket_counts=[1]),
        negative=_BUCKETS(offset=5, bucket_counts=[0, 1]),
    )
    number = NumberDataPoint(**point, as_int=-4, exemplars=[exemplar])
    summary = SummaryDataPoint(
        **point, count=2, sum=3.0, quantile_values=[_QUANTILE(quantile=0.5, value=1.5)]
    )
    delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    several = [
        Metric(name="gauge", gauge=Gauge(data_points=[number])),
        Metric(name="sum", sum=Sum(data_points=[number], is_monotonic=True, aggregation_temporality=delta)),
        Metric(name="histogram", histogram=Histogram(data_points=[histogram], aggregation_temporality=delta)),
        Metric(
            name="exponential",
            exponential_histogram=ExponentialHistogram(
                data_points=[exponential], aggregation_temporality=delta
            ),
        ),
        Metric(name="summary", summary=Summary(data_points=[summary])),
        Metric(name="none"),
    ]
    for metric in several:
        metric.description = f"what {metric.name} says"
        metric.unit = "By"
        metric.metadata.extend(every_kind_of_attribute())
    return several


def json_fields(message: Message) -> dict[str, Any]:
    """Return a message as OTLP/JSON writes it: ids in hex, enums as numbers."""
    fields = MessageToDict(message, use_integers_for_enums=True)
    return {name: _with_hex_ids(value) for name, value in fields.items()}


def written(message: Message, encoding: Encoding) -> bytes:
    """Return a message as the body of a request."""
    if encoding is Encoding.PROTOBUF:
        return message.SerializeToString()
    return json.dumps(json_fields(message)).encode()


def messages_within(root: Message) -> Iterator[Message]:
    """Yield a message and every message inside it."""
    yield root
    for field, value in root.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from messages_within(inner)


def objects_within(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON document, the outermost first."""
    if isinstance(root, dict):
        yield root
    if isinstance(root, dict | list):
        for inner in list(root.values() if isinstance(root, dict) else root):
            yield from objects_within(inner)


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each).hex() if name in _IDS else _with_hex_ids(each)
            for name, each in value.items()
        }
    return [_with_hex_ids(each) for each in value] if isinstance(value, list) else value
