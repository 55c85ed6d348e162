"""Any value that looks like a trace becomes units that the receiver takes wholly, or an error that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.config import LimitsConfig
from receiver.decode.json_request import protobuf_from_json
from receiver.errors import InvalidTraceError
from receiver.signals import Signal
from receiver.sources.trace_dicts.times import Moments, unix_ns
from receiver.sources.trace_dicts.units import TraceDicts
from tests.support.decoding import Decoding

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TIMES = (
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
    | st.integers(0, 2**63 - 1)
    | st.floats(0, 2e18)
    | st.integers(0, 2**40).map(str)
    | st.none()
    | ANYTHING
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["service.name", "http.status_code", "error.type", "a", "@x"]), ANYTHING, max_size=4
)
KEYS = {
    "name": st.text(max_size=8) | ANYTHING,
    "start_time": TIMES,
    "startTime": TIMES,
    "startTimeUnixNano": st.integers(0, 2**64).map(str) | ANYTHING,
    "end_time": TIMES,
    "duration_ms": st.floats(0, 1e6) | ANYTHING,
    "duration": st.sampled_from(["1s", "2ms", "x"]) | ANYTHING,
    "attributes": ATTRIBUTES | ANYTHING,
    "kind": st.sampled_from(["server", "SPAN_KIND_CLIENT", 2]) | ANYTHING,
    "status": st.sampled_from(["ok", "ERROR", {"code": 2, "message": "m"}]) | ANYTHING,
    "span_id": st.text(max_size=8) | ANYTHING,
    "parentSpanId": st.text(max_size=8) | ANYTHING,
    "events": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5)}) | ANYTHING, max_size=2)
    | ANYTHING,
    "links": st.lists(
        st.fixed_dictionaries({"trace_id": st.text(min_size=1, max_size=5), "span_id": st.text(max_size=5)})
        | ANYTHING,
        max_size=2,
    ),
    "resource": ATTRIBUTES | ANYTHING,
}
SPANS = st.fixed_dictionaries({}, optional=KEYS)
TRACES = st.fixed_dictionaries(
    {"trace_id": st.text(min_size=1, max_size=8) | st.just("a" * 32)},
    optional={
        "spans": st.lists(SPANS | ANYTHING, max_size=4) | ANYTHING,
        "system_id": st.text(max_size=5) | ANYTHING,
        "service.name": st.text(max_size=5) | ANYTHING,
        "resource": ATTRIBUTES | ANYTHING,
        "attributes": ATTRIBUTES | ANYTHING,
    },
)
OTLP = st.fixed_dictionaries(
    {
        "resourceSpans": st.lists(
            st.fixed_dictionaries(
                {
                    "resource": st.fixed_dictionaries({}, optional={"attributes": ANYTHING}) | ANYTHING,
                    "scopeSpans": st.lists(
                        st.fixed_dictionaries(
                            {
                                "spans": st.lists(
                                    st.fixed_dictionaries(
                                        {
                                            "traceId": st.just("a" * 32) | ANYTHING,
                                            "spanId": st.just("b" * 16),
                                        },
                                        optional={"name": ANYTHING, "attributes": ANYTHING},
                                    ),
                                    max_size=2,
                                )
                            }
                        ),
                        max_size=2,
                    ),
                }
            )
            | ANYTHING,
            max_size=2,
        )
        | ANYTHING
    }
)


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    """Give the real decoder."""
    opened = Decoding()
    yield opened
    opened.close()


@settings(deadline=None, max_examples=300)
@given(TRACES | OTLP | ANYTHING, st.none() | st.text(max_size=4))
def test_units_are_taken_wholly_or_there_are_none(
    decoding: Decoding, trace: Any, system_id: str | None
) -> None:
    """The real decoder removes, repairs and warns of nothing, and every span is there."""
    reader = TraceDicts(
        read_otlp=lambda body: (
            protobuf_from_json(Signal.TRACES, body, max_objects=LimitsConfig().json_objects).payload
        ),
        system_id=system_id,
    )
    try:
        (unit,) = reader.units(trace, now_ns=1_700_000_000_000_000_000)
    except InvalidTraceError:
        return
    parsed = ExportTraceServiceRequest.FromString(unit.payload)
    spans = sum(len(scope.spans) for group in parsed.resource_spans for scope in group.scope_spans)
    verdict, rows = decoding.accepted(unit.signal, unit.payload)
    assert (verdict.outcome.rejected, verdict.outcome.message) == (0, "")
    assert verdict.records == len(rows["spans"]) == spans > 0
    assert reader.units(trace, now_ns=1_800_000_000_000_000_000)[0].key == unit.key


@given(st.lists(st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1)), min_size=1, max_size=5), st.data())  # noqa: DTZ001
def test_remembered_times_are_what_is_read_anew(moments: list[datetime], data: st.DataObject) -> None:
    """Whatever was read before, and with whatever fraction and zone it is written."""
    reader = Moments()
    for moment in moments * 2:
        digits = data.draw(st.text("0123456789", max_size=9))
        zone = data.draw(st.sampled_from(["", "Z", "+00:00", "+01:00", "-05:30"]))
        text = f"{moment:%Y-%m-%d}T{moment:%H:%M:%S}{'.' if digits else ''}{digits}{zone}"
        if moment.year >= 1000 and moment.month > 1:
            assert reader.unix_ns(text) == unix_ns(text)
