"""The inspection names the requests that cannot be taken as they are, by their place, and no others."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Gauge, Metric, NumberDataPoint, Sum

from receiver.decode.inspection import Findings, inspect, messages
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import RecordColumns, from_nested
from receiver.decode.wire_columns import nested_requests
from receiver.signals import Signal
from tests.support.otlp_requests import T0, make_gauge, make_span, metrics, text_attribute, traces
from tests.support.wire_bytes import field

GOOD = traces(make_span(0))


def columns_of(signal: Signal, *bodies: bytes) -> RecordColumns:
    """Return the columns of requests."""
    return from_nested(signal, nested_requests(signal, list(bodies)))


def findings(signal: Signal, *bodies: bytes) -> Findings:
    """Return what is found in requests."""
    return inspect(columns_of(signal, *bodies), NestedValues())


def with_attribute(value: bytes) -> bytes:
    """Return a request of one span with one attribute of a serialized value."""
    span = make_span(0).SerializeToString() + field(9, field(1, b"k") + field(2, value))
    return field(1, field(2, field(2, span)))


def test_good_requests_show_nothing() -> None:
    """The usual request costs no second look."""
    found = findings(Signal.TRACES, GOOD, b"", GOOD)
    assert not found.needs_repair
    assert not found.warnings


def test_a_bad_id_names_its_request_only() -> None:
    """Neighbours in the same columns are left alone."""
    found = findings(Signal.TRACES, GOOD, traces(make_span(1), make_span(2, span_id=bytes(8))), GOOD)
    assert found.bad_records == {1}
    assert not found.doubled
    assert not found.malformed


@pytest.mark.parametrize("number", [5, 6], ids=["array", "kvlist"])
def test_malformed_bytes_in_a_nested_value_name_their_request(number: int) -> None:
    """The columnar decoder keeps them as bytes and does not look."""
    found = findings(Signal.TRACES, GOOD, with_attribute(field(number, b"\xff")), GOOD)
    assert list(found.malformed) == [1]


@pytest.mark.parametrize("place", [b"resource", b"scope"])
def test_malformed_envelopes_name_their_request(place: bytes) -> None:
    """A resource or a scope that is none refuses the request."""
    scoped = field(2, make_span(0).SerializeToString())
    body = (
        field(1, field(1, b"\xff") + field(2, scoped))
        if place == b"resource"
        else field(1, field(2, field(1, b"\xff") + scoped))
    )
    assert list(findings(Signal.TRACES, GOOD, body).malformed) == [1]


def test_a_oneof_set_twice_is_found_wherever_one_is() -> None:
    """In values, points, exemplars and the data of a metric."""
    twice = AnyValue(int_value=1).SerializeToString() + AnyValue(bool_value=True).SerializeToString()
    assert findings(Signal.TRACES, GOOD, with_attribute(twice)).doubled == {1}
    number = NumberDataPoint(time_unix_nano=T0, as_int=1).SerializeToString()
    number += NumberDataPoint(as_double=1.0).SerializeToString()
    exemplar = Exemplar(as_int=1).SerializeToString() + Exemplar(as_double=1.0).SerializeToString()
    of_exemplar = NumberDataPoint(time_unix_nano=T0, as_int=1).SerializeToString() + field(5, exemplar)
    data = Metric(gauge=Gauge()).SerializeToString() + Metric(sum=Sum()).SerializeToString()
    bodies = [field(5, field(1, number)), field(5, field(1, of_exemplar)), data]
    bodies = [field(1, field(2, field(2, metric))) for metric in bodies]
    assert findings(Signal.METRICS, metrics(make_gauge(0)), *bodies).doubled == {1, 2, 3}


def test_messages_counts_records_attributes_and_what_they_stand_under() -> None:
    """One resource, one scope, two spans, three attributes."""
    attributes = [text_attribute("a", "1"), text_attribute("b", "2")]
    body = traces(make_span(0, attributes=attributes), make_span(1, attributes=attributes[:1]))
    assert messages(columns_of(Signal.TRACES, body)) == 1 + 1 + 2 + 3
