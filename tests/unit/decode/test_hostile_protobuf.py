"""Bytes that fuzzing found: each refused alone, as malformed, with its neighbours accepted."""

from __future__ import annotations

import pytest

from receiver.decode.wire_columns import nested_requests
from receiver.errors import MalformedRequestError
from receiver.ports import Verdict
from receiver.signals import Signal
from tests.support.decoding import Decoding
from tests.support.otlp_requests import log_request, make_gauge, metric_request, span_request
from tests.support.wire_bytes import field

# A span whose trace_id is said to be 2**64 - 1 bytes long: place plus length begins anew at zero.
OVERFLOW = b"\x0a" + b"\xff" * 9 + b"\x01"
NEIGHBOURS = {
    Signal.TRACES: span_request(1).body,
    Signal.LOGS: log_request(1).body,
    Signal.METRICS: metric_request(1).body,
}


def span_with(content: bytes) -> bytes:
    """Return a request with one span made of these bytes."""
    return field(1, field(2, field(2, content)))


BAD = {
    "a length that overflows": (Signal.TRACES, span_with(OVERFLOW)),
    "one in an unknown long field": (Signal.TRACES, span_with(b"\xfa\x07" + b"\xff" * 9 + b"\x01")),
    "one that wraps to a little before its end": (
        Signal.LOGS,
        field(1, field(2, field(2, b"\x1a\xf0" + b"\xff" * 8 + b"\x01"))),
    ),
    "a span without ids whose groups end in each other": (
        Signal.TRACES,
        field(1, field(2, field(2, b"\x0a\x01a\x9b\x06\xa4\x06"))),  # only the columnar decoder takes it
    ),
    "metadata of a metric that is no attribute": (
        Signal.METRICS,
        field(1, field(2, field(2, make_gauge(1).SerializeToString() + field(12, b"\x0a\x7f")))),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_fuzzing_found_is_refused_and_its_neighbours_are_accepted(what: str) -> None:
    """Never a panic of the columnar decoder, and never an accepted request that becomes no rows."""
    signal, body = BAD[what]
    decoding = Decoding()
    try:
        decoded, rows = decoding.group(signal, NEIGHBOURS[signal], body, NEIGHBOURS[signal])
    finally:
        decoding.close()
    before, refused, after = decoded.verdicts
    assert isinstance(refused, MalformedRequestError)
    assert [v.records for v in (before, after) if isinstance(v, Verdict)] == [1, 1]
    assert rows


def test_a_number_that_looks_like_such_a_length_is_only_a_number() -> None:
    """Negative integers are ten bytes of ones on the wire; they are common, and fine."""
    decoding = Decoding()
    try:
        body = span_with(b"\x30" + b"\xff" * 9 + b"\x01")
        decoded, _ = decoding.group(Signal.TRACES, body)
        assert isinstance(decoded.verdicts[0], Verdict)
    finally:
        decoding.close()


def test_any_panic_of_the_columnar_decoder_is_an_error_of_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A panic is no Exception: it would end the task that decodes, and no request would be taken any more."""
    monkeypatch.setattr(
        "receiver.decode.wire_columns._ALL_ONES", b"never there, so that nothing is looked at first"
    )
    with pytest.raises(MalformedRequestError):
        nested_requests(Signal.TRACES, [span_with(OVERFLOW)])


def test_warnings_about_metadata_of_metrics_are_told() -> None:
    """Invalid UTF-8 in it is repaired like anywhere else, and said."""
    decoding = Decoding()
    try:
        bad = field(1, b"k") + field(2, field(1, b"a\xff"))
        body = field(1, field(2, field(2, make_gauge(1).SerializeToString() + field(12, bad))))
        decoded, rows = decoding.group(Signal.METRICS, body)
    finally:
        decoding.close()
    (verdict,) = decoded.verdicts
    assert isinstance(verdict, Verdict)
    assert "UTF-8" in verdict.outcome.message
    assert "\ufffd" in rows["metrics"][0]["metadata"]
