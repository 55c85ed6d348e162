"""Outcomes as bytes."""

from __future__ import annotations

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from receiver.ports import Encoding, Outcome
from receiver.signals import Signal
from receiver.transport.errors import ResponseTooLargeError
from receiver.transport.responses import export_response

LIMIT = 4 << 20


@pytest.mark.parametrize("signal", list(Signal))
def test_c3_full_success_is_empty(signal: Signal) -> None:
    """partial_success stays unset in both encodings."""
    assert export_response(signal, Outcome(), Encoding.PROTOBUF, max_bytes=LIMIT) == b""
    assert export_response(signal, Outcome(), Encoding.JSON, max_bytes=LIMIT) == b"{}"


def test_c6_a_warning_is_a_text_with_the_count_zero() -> None:
    """And a warning whose text had to go is full success, never an empty partial_success."""
    warning = Outcome(0, "repaired")
    answer = export_response(Signal.LOGS, warning, Encoding.PROTOBUF, max_bytes=LIMIT)
    partial = logs_service_pb2.ExportLogsServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (0, "repaired")
    assert export_response(Signal.LOGS, warning, Encoding.PROTOBUF, max_bytes=5) == b""
    assert export_response(Signal.LOGS, warning, Encoding.JSON, max_bytes=5) == b"{}"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_c11_the_text_goes_before_the_count(encoding: Encoding) -> None:
    """What does not fit without the text either is an error of its own."""
    outcome = Outcome(5, "x" * 5000)
    assert 1024 < len(export_response(Signal.TRACES, outcome, encoding, max_bytes=LIMIT)) < 1200
    assert len(export_response(Signal.TRACES, outcome, encoding, max_bytes=100)) < 100
    with pytest.raises(ResponseTooLargeError):
        export_response(Signal.TRACES, outcome, encoding, max_bytes=3)


def test_c4_json_counts_are_text() -> None:
    """An int64 is a string in proto3 JSON."""
    answer = export_response(Signal.METRICS, Outcome(3, "bad"), Encoding.JSON, max_bytes=LIMIT)
    assert orjson.loads(answer) == {"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "bad"}}
