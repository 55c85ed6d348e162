"""Plain values as OTLP bytes: what protobuf's own decoder reads of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.otlp.encode import encode_spans
from receiver.otlp.span import AttributeInput, EventDraft, LinkDraft, SpanDraft, SpanKind, StatusCode
from receiver.otlp.span_fields import SpanFields
from receiver.otlp.wire import DEEPEST, any_value, varint
from receiver.signals import Signal
from tests.support.decoding import Decoding


def read_back(request: bytes) -> Span:
    """Return the only span of a request."""
    parsed = ExportTraceServiceRequest.FromString(request)
    return parsed.resource_spans[0].scope_spans[0].spans[0]


def value_of(value: AnyValue) -> object:
    """Return what an AnyValue says, as Python has it."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [value_of(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: value_of(each.value) for each in value.kvlist_value.values}
        case name:
            return getattr(value, name)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(VALUES)
def test_an_attribute_value_comes_back_with_its_type(value: object) -> None:
    """Every value that AnyValue can say is what protobuf's own decoder finds."""
    found = value_of(AnyValue.FromString(any_value(value)))  # type: ignore[arg-type]
    assert found == value
    assert type(found) is type(value)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_remembered_attributes_are_the_same_as_those_written_first(pairs: dict[str, object]) -> None:
    """A cache between writings changes no byte."""
    fields = SpanFields()
    first = fields.attributes(pairs)  # type: ignore[arg-type]
    assert fields.attributes(pairs) == first  # type: ignore[arg-type]
    kept = {key: value for key, value in pairs.items() if value is not None}
    parsed = Span.FromString(first)
    assert {each.key: value_of(each.value) for each in parsed.attributes} == kept


@pytest.mark.parametrize("values", [(1, True, 1.0), (0, False, 0.0, -0.0)])
def test_values_that_are_equal_in_python_keep_their_types(values: tuple[object, ...]) -> None:
    """1, 1.0 and True are one key of a dict, and three values of an attribute."""
    fields = SpanFields()
    written = [fields.attributes({"k": value}) for value in values]  # type: ignore[dict-item]
    assert [fields.attributes({"k": value}) for value in values] == written  # type: ignore[dict-item]
    found = [value_of(Span.FromString(each).attributes[0].value) for each in written]
    assert [(type(each), repr(each)) for each in found] == [(type(each), repr(each)) for each in values]


def test_many_different_attributes_do_not_grow_what_is_remembered() -> None:
    """The caches hold 20,000 entries at most."""
    fields = SpanFields()
    for number in range(45_000):
        fields.attributes({"n": number})
        fields.name(str(number))
    assert len(fields._attributes) <= 20_000
    assert len(fields._names) <= 20_000


def test_integers_beyond_64_bits_and_lone_surrogates_are_still_written() -> None:
    """What OTLP cannot say becomes text that it can."""
    assert AnyValue.FromString(any_value(2**70)).string_value == str(2**70)
    assert AnyValue.FromString(any_value("a\ud800b")).string_value == "a?b"
    assert math.isnan(AnyValue.FromString(any_value(math.nan)).double_value)


@pytest.mark.parametrize("depth", [40, DEEPEST, 200])
def test_nesting_is_kept_as_deep_as_the_receiver_stores_it(depth: int) -> None:
    """Protobuf's own encoder gives up at 33 levels."""
    value: AttributeInput = "bottom"
    for _ in range(depth):
        value = {"a": value}
    request = encode_spans(
        [
            SpanDraft(
                trace_id=b"t" * 16, span_id=b"s" * 8, name="n", start_ns=1, end_ns=2, attributes={"k": value}
            )
        ],
        resource={},
    )
    decoding = Decoding()
    _, rows = decoding.accepted(Signal.TRACES, request)
    decoding.close()
    assert "bottom" in rows["spans"][0]["attributes"]


def test_what_is_no_attribute_value_is_refused() -> None:
    """A type error says which type it was."""
    with pytest.raises(TypeError, match="object"):
        any_value(object())  # type: ignore[arg-type]


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_what_protobuf_reads(number: int) -> None:
    """Of up to 64 bits."""
    read = AnyValue.FromString(b"\x18" + varint(number)).int_value
    assert read & 0xFFFF_FFFF_FFFF_FFFF == number


def test_a_span_comes_back_whole() -> None:
    """Ids, times, kind, status, events and links."""
    draft = SpanDraft(
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=b"parent!!",
        name="naïve",
        kind=SpanKind.CLIENT,
        start_ns=1_700_000_000_000_000_001,
        end_ns=2**63,
        attributes={"a": 1, "none": None},
        events=[EventDraft(name="e", time_ns=7, attributes={"b": "x"})],
        links=[LinkDraft(trace_id=b"l" * 16, span_id=b"m" * 8, attributes={"c": [1, "2"]})],
        status=StatusCode.ERROR,
        status_message="broken",
    )
    request = encode_spans([draft], resource={"service.name": "s"}, scope="scope", scope_version="1")
    parsed = ExportTraceServiceRequest.FromString(request).resource_spans[0]
    assert [(each.key, each.value.string_value) for each in parsed.resource.attributes] == [
        ("service.name", "s")
    ]
    assert (parsed.scope_spans[0].scope.name, parsed.scope_spans[0].scope.version) == ("scope", "1")
    span = read_back(request)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (draft.trace_id, draft.span_id, b"parent!!")
    assert (span.name, span.kind, span.start_time_unix_nano, span.end_time_unix_nano) == (
        "naïve",
        3,
        draft.start_ns,
        2**63,
    )
    assert [each.key for each in span.attributes] == ["a"]
    assert [(e.name, e.time_unix_nano, e.attributes[0].key) for e in span.events] == [("e", 7, "b")]
    assert [(each.trace_id, each.span_id) for each in span.links] == [(b"l" * 16, b"m" * 8)]
    assert value_of(span.links[0].attributes[0].value) == [1, "2"]
    assert (span.status.code, span.status.message) == (2, "broken")
