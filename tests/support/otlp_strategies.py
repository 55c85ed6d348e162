"""Hypothesis strategies for whole export requests: everything that OTLP allows, and the corners of each type."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from receiver.signals import Signal

M = TypeVar("M", bound=Message)
U64_MAX = 2**64 - 1

TEXTS = st.text(max_size=6) | st.sampled_from(
    ["", "checkout", 'a "quoted" \\ text', "\x00", "\x1f", "🦆", "{"]
)
KEYS = TEXTS | st.sampled_from(
    [
        *("@a", "@@a", "@duplicates", "@bytes", "a", "b", "service.name", "service.namespace"),
        *("service.instance.id", "http.route", "http.response.status_code", "session.id", "error.type"),
        *("gen_ai.input.messages", "exception.message", "app.category"),
    ]
)
U64 = st.sampled_from([0, 1, 2**53 + 1, 2**63 - 1, 2**63, U64_MAX]) | st.integers(0, U64_MAX)
U32 = st.sampled_from([0, 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
I32 = st.sampled_from([0, -1, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
I64 = st.sampled_from([0, -1, 2**63 - 1, -(2**63), 2**53 + 1]) | st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1e16, 1e300, 5e-324, 0.1])
TIMES = U64.filter(bool)
FLAGS = U32


def build(kind: type[M], /, **fields: Any) -> st.SearchStrategy[M]:
    """Return messages whose fields are drawn; a field that draws None stays unset."""
    return st.fixed_dictionaries(fields).map(
        lambda drawn: kind(**{name: value for name, value in drawn.items() if value is not None})
    )


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _few(strategy: st.SearchStrategy[Any], size: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=size)


SCALARS = st.one_of(
    st.just(AnyValue()),
    TEXTS.map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    I64.map(lambda v: AnyValue(int_value=v)),
    DOUBLES.map(lambda v: AnyValue(double_value=v)),
    st.binary(max_size=6).map(lambda v: AnyValue(bytes_value=v)),
)


def _pairs(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[KeyValue]:
    return build(KeyValue, key=KEYS, value=_maybe(values))


def _containers(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    return st.one_of(
        _few(values).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
        _few(_pairs(values)).map(lambda v: AnyValue(kvlist_value=KeyValueList(values=v))),
    )


VALUES = st.recursive(SCALARS, _containers, max_leaves=5)
ATTRIBUTES = st.lists(_pairs(VALUES), max_size=4)

TRACE_IDS = st.sampled_from([b"\x01" * 16, b"\x00" * 15 + b"\x01"]) | st.binary(
    min_size=16, max_size=16
).filter(any)
SPAN_IDS = st.sampled_from([b"\xff" * 8, b"\x00" * 7 + b"\x01"]) | st.binary(min_size=8, max_size=8).filter(
    any
)
ANY_IDS = st.binary(max_size=17)  # of links and exemplars: nothing is asked of them

EVENTS = build(
    Span.Event, time_unix_nano=U64, name=TEXTS, attributes=ATTRIBUTES, dropped_attributes_count=U32
)
LINKS = build(
    Span.Link,
    trace_id=ANY_IDS,
    span_id=ANY_IDS,
    trace_state=TEXTS,
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    flags=FLAGS,
)
SPANS = build(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=st.sampled_from([b"", bytes(8)]) | SPAN_IDS,
    trace_state=TEXTS,
    flags=FLAGS,
    name=TEXTS,
    kind=st.integers(0, 5) | I32,
    start_time_unix_nano=U64,
    end_time_unix_nano=U64,
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    events=_few(EVENTS, 2),
    dropped_events_count=U32,
    links=_few(LINKS, 2),
    dropped_links_count=U32,
    status=_maybe(build(Status, code=st.integers(0, 2) | I32, message=TEXTS)),
)
LOGS = build(
    LogRecord,
    time_unix_nano=U64,
    observed_time_unix_nano=U64,
    severity_number=st.integers(0, 24) | I32,
    severity_text=TEXTS,
    event_name=TEXTS,
    body=_maybe(VALUES),
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    flags=FLAGS,
    trace_id=st.sampled_from([b"", bytes(16)]) | TRACE_IDS,
    span_id=st.sampled_from([b"", bytes(8)]) | SPAN_IDS,
)


def _with_number(message: M, as_int: int | None, as_double: float | None) -> M:
    if as_int is not None:
        message.as_int = as_int  # type: ignore[attr-defined]
    elif as_double is not None:
        message.as_double = as_double  # type: ignore[attr-defined]
    return message


EXEMPLARS = st.builds(
    _with_number,
    build(Exemplar, time_unix_nano=U64, trace_id=ANY_IDS, span_id=ANY_IDS, filtered_attributes=ATTRIBUTES),
    _maybe(I64),
    _maybe(DOUBLES),
)


def _recorded(point: NumberDataPoint, as_int: int | None, as_double: float | None) -> NumberDataPoint:
    point = _with_number(point, as_int, as_double)
    if point.WhichOneof("value") is None:
        point.flags |= 1  # NO_RECORDED_VALUE: only so may a point be without one
    return point


_POINT = {"start_time_unix_nano": U64, "time_unix_nano": TIMES, "flags": FLAGS, "attributes": ATTRIBUTES}
_EXEMPLARS = {"exemplars": _few(EXEMPLARS, 2)}
_SPREAD = {"count": U64, "sum": _maybe(DOUBLES), "min": _maybe(DOUBLES), "max": _maybe(DOUBLES)}
NUMBERS = st.builds(_recorded, build(NumberDataPoint, **_POINT, **_EXEMPLARS), _maybe(I64), _maybe(DOUBLES))
HISTOGRAMS = build(
    HistogramDataPoint,
    **_POINT,
    **_EXEMPLARS,
    **_SPREAD,
    bucket_counts=_few(U64),
    explicit_bounds=_few(DOUBLES),
)
BUCKETS = build(ExponentialHistogramDataPoint.Buckets, offset=I32, bucket_counts=_few(U64))
EXPONENTIAL = build(
    ExponentialHistogramDataPoint,
    **_POINT,
    **_EXEMPLARS,
    **_SPREAD,
    scale=I32,
    zero_count=U64,
    zero_threshold=DOUBLES,
    positive=_maybe(BUCKETS),
    negative=_maybe(BUCKETS),
)
SUMMARIES = build(
    SummaryDataPoint,
    **_POINT,
    count=U64,
    sum=DOUBLES,
    quantile_values=_few(build(SummaryDataPoint.ValueAtQuantile, quantile=DOUBLES, value=DOUBLES)),
)
_TEMPORALITY = st.integers(0, 2) | I32
_DATA = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"gauge": build(Gauge, data_points=_few(NUMBERS))}),
    st.fixed_dictionaries(
        {
            "sum": build(
                Sum,
                data_points=_few(NUMBERS),
                aggregation_temporality=_TEMPORALITY,
                is_monotonic=st.booleans(),
            )
        }
    ),
    st.fixed_dictionaries(
        {"histogram": build(Histogram, data_points=_few(HISTOGRAMS), aggregation_temporality=_TEMPORALITY)}
    ),
    st.fixed_dictionaries(
        {
            "exponential_histogram": build(
                ExponentialHistogram, data_points=_few(EXPONENTIAL), aggregation_temporality=_TEMPORALITY
            )
        }
    ),
    st.fixed_dictionaries({"summary": build(Summary, data_points=_few(SUMMARIES))}),
)
METRICS = st.builds(
    lambda head, data: Metric(**head, **data),
    st.fixed_dictionaries({"name": TEXTS, "description": TEXTS, "unit": TEXTS, "metadata": ATTRIBUTES}),
    _DATA,
)

RESOURCES = build(
    Resource,
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    entity_refs=_few(
        build(EntityRef, schema_url=TEXTS, type=TEXTS, id_keys=_few(TEXTS), description_keys=_few(TEXTS)), 2
    ),
)
SCOPES = build(
    InstrumentationScope, name=TEXTS, version=TEXTS, attributes=ATTRIBUTES, dropped_attributes_count=U32
)


def _requests(request: Any, resources: Any, scopes: Any, names: tuple[str, str, str], records: Any) -> Any:
    scope = build(scopes, scope=_maybe(SCOPES), schema_url=TEXTS, **{names[2]: _few(records)})
    resource = build(resources, resource=_maybe(RESOURCES), schema_url=TEXTS, **{names[1]: _few(scope, 2)})
    return build(request, **{names[0]: _few(resource, 2)}).map(lambda message: message.SerializeToString())


REQUESTS: dict[Signal, st.SearchStrategy[bytes]] = {
    Signal.TRACES: _requests(
        ExportTraceServiceRequest,
        ResourceSpans,
        ScopeSpans,
        ("resource_spans", "scope_spans", "spans"),
        SPANS,
    ),
    Signal.METRICS: _requests(
        ExportMetricsServiceRequest,
        ResourceMetrics,
        ScopeMetrics,
        ("resource_metrics", "scope_metrics", "metrics"),
        METRICS,
    ),
    Signal.LOGS: _requests(
        ExportLogsServiceRequest,
        ResourceLogs,
        ScopeLogs,
        ("resource_logs", "scope_logs", "log_records"),
        LOGS,
    ),
}
"""Serialized requests whose records are all valid, by signal."""
