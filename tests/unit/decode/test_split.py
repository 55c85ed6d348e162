"""Large requests are cut without losing or doubling anything, and bombs are refused before they go off."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
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
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from receiver.decode.split import split_request
from receiver.errors import MalformedRequestError, TooManyRecordsError
from receiver.signals import Signal
from tests.support.wire_bytes import field

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
BELOW = {
    "ExportTraceServiceRequest": ("resource_spans",),
    "ExportLogsServiceRequest": ("resource_logs",),
    "ExportMetricsServiceRequest": ("resource_metrics",),
    "ResourceSpans": ("scope_spans",),
    "ResourceLogs": ("scope_logs",),
    "ResourceMetrics": ("scope_metrics",),
    "ScopeSpans": ("spans",),
    "ScopeLogs": ("log_records",),
    "ScopeMetrics": ("metrics",),
    "Metric": ("gauge", "sum", "histogram", "exponential_histogram", "summary"),
    **dict.fromkeys(("Gauge", "Sum", "Histogram", "ExponentialHistogram", "Summary"), ("data_points",)),
}
Leaf = tuple[bytes, ...]


def leaves(message: Message) -> Iterator[Leaf]:
    """Yield each record with its envelopes outside it; an envelope without records is a leaf too."""
    names = BELOW.get(message.DESCRIPTOR.name)
    if names is None:
        yield (message.SerializeToString(),)
        return
    envelope = type(message)()
    envelope.CopyFrom(message)
    parts: list[Message] = []
    for descriptor, value in message.ListFields():
        if descriptor.name in names:
            parts.extend(value if descriptor.is_repeated else (value,))
            envelope.ClearField(descriptor.name)
    header = envelope.SerializeToString()
    for part in parts:
        for leaf in leaves(part):
            yield (header, *leaf)
    if not parts:
        yield (header,)


def split(signal: Signal, body: bytes, *, piece: int = 64, messages: int = 10**6) -> list[bytes]:
    """Cut a request with limits that suit small tests."""
    return split_request(signal, body, max_piece_bytes=piece, max_messages=messages)


def leaves_of(signal: Signal, *bodies: bytes) -> list[Leaf]:
    """Return the leaves of requests, one after the other."""
    found: list[Leaf] = []
    for body in bodies:
        request = REQUESTS[signal]()
        request.ParseFromString(body)
        found.extend(leaves(request))
    return found


def _with_unknown(message: Message) -> Message:
    message.MergeFromString(field(100, b"later"))
    return message


def build(kind: type[Message], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Message]:
    """Return messages of a kind, some of them with a field of a later OTLP."""
    made = st.builds(kind, **fields)
    return made | made.map(_with_unknown)


NAMES = st.text(max_size=12)
ATTRIBUTES = st.lists(
    build(KeyValue, key=NAMES, value=st.builds(AnyValue, int_value=st.integers(0, 9))), max_size=3
)
RESOURCES = st.none() | build(Resource, attributes=ATTRIBUTES)
SCOPES = st.none() | build(InstrumentationScope, name=NAMES, attributes=ATTRIBUTES)
SPANS = st.lists(build(Span, name=NAMES, attributes=ATTRIBUTES), max_size=6)
LOGS = st.lists(build(LogRecord, event_name=NAMES, attributes=ATTRIBUTES), max_size=6)


def _points(kind: type[Message]) -> st.SearchStrategy[list[Message]]:
    return st.lists(build(kind, time_unix_nano=st.integers(0, 3), attributes=ATTRIBUTES), max_size=6)


TEMPORALITY = st.integers(0, 2)
DATA = {
    "gauge": build(Gauge, data_points=_points(NumberDataPoint)),
    "sum": build(
        Sum,
        data_points=_points(NumberDataPoint),
        aggregation_temporality=TEMPORALITY,
        is_monotonic=st.booleans(),
    ),
    "histogram": build(
        Histogram, data_points=_points(HistogramDataPoint), aggregation_temporality=TEMPORALITY
    ),
    "exponential_histogram": build(
        ExponentialHistogram,
        data_points=_points(ExponentialHistogramDataPoint),
        aggregation_temporality=TEMPORALITY,
    ),
    "summary": build(Summary, data_points=_points(SummaryDataPoint)),
}
METRICS = st.lists(
    build(Metric, name=NAMES, unit=NAMES, metadata=ATTRIBUTES)
    | st.one_of(
        [build(Metric, name=NAMES, metadata=ATTRIBUTES, **{name: data}) for name, data in DATA.items()]
    ),
    max_size=4,
)


def _scopes(kind: type[Message], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[list[Message]]:
    return st.lists(build(kind, scope=SCOPES, schema_url=NAMES, **fields), max_size=3)


def _resources(kind: type[Message], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[list[Message]]:
    return st.lists(build(kind, resource=RESOURCES, schema_url=NAMES, **fields), max_size=3)


BODIES = {
    Signal.TRACES: build(
        ExportTraceServiceRequest,
        resource_spans=_resources(ResourceSpans, scope_spans=_scopes(ScopeSpans, spans=SPANS)),
    ),
    Signal.LOGS: build(
        ExportLogsServiceRequest,
        resource_logs=_resources(ResourceLogs, scope_logs=_scopes(ScopeLogs, log_records=LOGS)),
    ),
    Signal.METRICS: build(
        ExportMetricsServiceRequest,
        resource_metrics=_resources(ResourceMetrics, scope_metrics=_scopes(ScopeMetrics, metrics=METRICS)),
    ),
}


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_the_pieces_hold_the_records_of_the_request_under_their_envelopes(
    signal: Signal, data: st.DataObject
) -> None:
    """However small the pieces, records, envelopes without records, unknown fields and order stay."""
    body = data.draw(BODIES[signal]).SerializeToString()
    pieces = split(signal, body, piece=data.draw(st.integers(1, 200)))
    assert leaves_of(signal, *pieces) == leaves_of(signal, body)


def spans_request(count: int, *, resource: bytes = b"", name: bytes = b"0123456789") -> bytes:
    """Return a request with its schema URLs behind the records, as serializers write them."""
    spans = b"".join(field(2, field(5, name)) for _ in range(count))
    return field(1, field(1, resource) + field(2, spans + field(3, b"scope-url")) + field(3, b"url"))


def test_a_small_body_is_returned_as_it_is() -> None:
    """Within the limit nothing is looked at, not even whether it is protobuf."""
    body = b"\xff not protobuf"
    assert split(Signal.TRACES, body, piece=len(body))[0] is body


def test_pieces_keep_to_the_limit_and_make_use_of_it() -> None:
    """A thousand small spans become pieces that are full and never larger than asked for."""
    body = spans_request(1000)
    pieces = split(Signal.TRACES, body, piece=1000)
    assert max(map(len, pieces)) <= 1000
    assert len(pieces) <= 1.2 * len(body) / 1000


def test_a_record_larger_than_a_piece_stands_alone() -> None:
    """It cannot be cut, and its neighbours do not share its piece."""
    big = field(2, field(5, b"b" * 5000))
    small = field(2, field(5, b"s"))
    pieces = split(Signal.TRACES, field(1, field(2, small + big + small)), piece=1000)
    assert [piece.count(b"\x2a") for piece in pieces] == [1, 1, 1]


def test_large_headers_do_not_multiply_the_request() -> None:
    """A resource larger than a piece is repeated only once per its own size of records."""
    body = spans_request(5000, resource=field(1, field(1, b"r" * 20_000)))
    pieces = split(Signal.TRACES, body, piece=1000)
    assert leaves_of(Signal.TRACES, *pieces) == leaves_of(Signal.TRACES, body)
    assert sum(map(len, pieces)) < 3 * len(body)


def test_a_metric_whose_data_is_set_twice_stays_whole() -> None:
    """The last member of a oneof counts; in two pieces the first would count again."""
    points = b"".join(field(1, field(7, b"")) for _ in range(100))
    metric = field(1, b"m") + field(5, points) + field(7, points)
    body = field(1, field(2, field(2, metric) * 3))
    pieces = split(Signal.METRICS, body, piece=100)
    assert len(pieces) == 3
    assert leaves_of(Signal.METRICS, *pieces) == leaves_of(Signal.METRICS, body)


@pytest.mark.parametrize(
    ("signal", "body", "held"),
    [
        (Signal.TRACES, field(1, field(2, b"\x12\x00" * 2000)), 2002),
        (Signal.TRACES, field(1, field(2, b"\x12\x00" * 20)) * 100, 2200),
        (Signal.TRACES, b"\x0a\x00" * 2000, 2000),
        (Signal.TRACES, field(1, field(1, b"\x0a\x00" * 2000)), 2001),
        (Signal.TRACES, field(1, field(2, field(1, b"\x1a\x00" * 2000))), 2002),
        (Signal.TRACES, field(1, field(2, field(2, b"\x4a\x00" * 2000))), 2003),
        (Signal.TRACES, field(1, field(2, field(2, b"\x4a\x00" * 20) * 100)), 2102),
        (Signal.TRACES, field(1, field(2, field(2, b"\xca\x00\x00" * 2000))), 2003),
        (Signal.TRACES, field(1, field(2, field(2, field(11, b"\x1a\x00" * 2000)))), 2004),
        (Signal.TRACES, field(1, field(2, field(2, field(13, b"\x22\x00" * 2000)))), 2004),
        (
            Signal.TRACES,
            field(1, field(2, field(2, field(9, field(2, field(5, b"\x0a\x00" * 40_000)))))),
            40_004,
        ),
        (Signal.LOGS, field(1, field(2, field(2, b"\x32\x00" * 2000))), 2003),
        (Signal.LOGS, field(1, field(2, field(2, field(5, field(6, b"\x0a\x00" * 40_000))))), 40_003),
        (Signal.METRICS, field(1, field(2, field(2, b"\x62\x00" * 2000))), 2003),
        (Signal.METRICS, field(1, field(2, field(2, field(7, b"\x0a\x00" * 2000)))), 2003),
        (
            Signal.METRICS,
            field(1, field(2, field(2, field(7, field(1, field(5, b"\x3a\x00" * 2000)))))),
            2005,
        ),
        (Signal.METRICS, field(1, field(2, field(2, field(9, field(1, b"\x4a\x00" * 2000))))), 2004),
        (Signal.METRICS, field(1, field(2, field(2, field(10, field(1, b"\x0a\x00" * 2000))))), 2004),
        (Signal.METRICS, field(1, field(2, field(2, field(11, field(1, b"\x32\x00" * 2000))))), 2004),
    ],
)
def test_messages_are_counted_on_every_level(signal: Signal, body: bytes, held: int) -> None:
    """A request with exactly as many messages as allowed is taken, one with one more is refused."""
    assert split(signal, body, piece=100, messages=held)
    with pytest.raises(TooManyRecordsError, match=f"more than {held - 1} "):
        split(signal, body, piece=100, messages=held - 1)


def test_buckets_are_no_messages() -> None:
    """Bucket counts and bounds are numbers: as many as there are bytes, whichever way they are written."""
    counts = b"\x32" + b"\x80\x20" + bytes(4096) + (b"\x31" + bytes(8)) * 1000
    body = field(1, field(2, field(2, field(9, field(1, counts)))))
    assert split(Signal.METRICS, body, piece=100, messages=10)


def test_a_bomb_of_empty_spans_is_refused_without_memory() -> None:
    """16 MiB of spans of 2 bytes would be hundreds of megabytes of columns; refusing them costs nothing."""
    body = field(1, field(2, b"\x12\x00" * (8 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(TooManyRecordsError):
            split(Signal.TRACES, body, piece=1 << 20, messages=200_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x7f" + bytes(100),
        field(1, b"\x12\x7f" + bytes(100)),
        field(1, field(2, b"\x12\x7f" + bytes(100))),
        b"\x0f" * 100,
    ],
)
def test_malformed_envelopes_are_refused(body: bytes) -> None:
    """Lengths that run over their message and tags that are none are found while walking."""
    with pytest.raises(MalformedRequestError):
        split(Signal.TRACES, body, piece=10)


@given(st.binary(max_size=200), st.sampled_from(Signal))
def test_random_bytes_are_cut_or_refused(data: bytes, signal: Signal) -> None:
    """Nothing but the two errors of this stage comes out of noise."""
    with contextlib.suppress(MalformedRequestError, TooManyRecordsError):
        assert split(signal, data, piece=1, messages=50)
