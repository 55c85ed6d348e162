"""Requests that cannot be taken as they are: what comes out decodes to exactly what is accepted."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Histogram,
    HistogramDataPoint,
    Metric,
    Summary,
    SummaryDataPoint,
)

from receiver.decode.repair import normalized, without_bad_records
from receiver.errors import MalformedRequestError
from receiver.signals import Signal
from tests.support.otlp_requests import T0, make_span, metrics, traces
from tests.support.wire_bytes import field


def test_nothing_but_the_bad_spans_is_taken_out() -> None:
    """Envelopes stay, and so do fields of a later OTLP in what is kept."""
    later = make_span(1).SerializeToString() + field(99, b"later")
    body = traces(make_span(0, trace_id=b"")) + field(1, field(2, field(2, later)))
    filtered = without_bad_records(Signal.TRACES, body)
    assert filtered.reasons == {"trace_id has 0 bytes instead of 16": 1}
    kept = ExportTraceServiceRequest.FromString(filtered.payload)
    assert [len(r.scope_spans[0].spans) for r in kept.resource_spans] == [0, 1]
    assert field(99, b"later") in filtered.payload


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_few_or_many_bad_spans_leave_the_same_good_ones(count: int) -> None:
    """However they are taken out, the others keep their order."""
    spans = [s for n in range(count) for s in (make_span(n, span_id=b"x"), make_span(n))]
    filtered = without_bad_records(Signal.TRACES, traces(*spans))
    assert filtered.reasons.total() == count
    assert filtered.payload == traces(*(make_span(n) for n in range(count)))


def test_points_of_every_kind_need_a_time() -> None:
    """The metric stays, without the point."""
    histograms = [HistogramDataPoint(time_unix_nano=time) for time in (0, T0)]
    summaries = [SummaryDataPoint(time_unix_nano=time) for time in (0, T0)]
    some = [
        Metric(name="h", histogram=Histogram(data_points=histograms)),
        Metric(name="s", summary=Summary(data_points=summaries)),
    ]
    filtered = without_bad_records(Signal.METRICS, metrics(*some))
    kept = (
        ExportMetricsServiceRequest.FromString(filtered.payload).resource_metrics[0].scope_metrics[0].metrics
    )
    assert filtered.reasons == {"time_unix_nano of the data point is 0": 2}
    assert len(kept[0].histogram.data_points) == len(kept[1].summary.data_points) == 1


def test_what_the_reference_parser_refuses_is_refused() -> None:
    """The message names what was expected."""
    with pytest.raises(MalformedRequestError, match="ExportLogsServiceRequest"):
        normalized(Signal.LOGS, b"\xff")
