"""What a record says, as one line, and each distinct line once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.signals import Signal
from tests.support.decoding import Decoding
from tests.support.otlp_requests import logs, make_span, text_attribute, traces


@pytest.fixture
def decoding() -> Iterator[Decoding]:
    """Return a decoder and a flattener."""
    decoding = Decoding()
    yield decoding
    decoding.close()


def texts(decoding: Decoding, signal: Signal, body: bytes) -> list[str]:
    """Return each record's text, in the order of the records."""
    _, rows = decoding.group(signal, body)
    by_id = {row["text_id"]: row["text"] for row in rows["texts"]}
    return [by_id[row["text_id"]] for row in rows["spans" if signal is Signal.TRACES else "logs"]]


def test_a_span_tells_name_service_status_conventions_exceptions_and_the_rest(decoding: Decoding) -> None:
    """In this order, whatever the order of the attributes."""
    span = make_span(
        0,
        name="charge",
        status=Status(message="declined"),
        attributes=[
            text_attribute("app.card", "visa"),
            text_attribute("exception.message", "no funds"),
            text_attribute("rpc.method", "Charge"),
        ],
        events=[Span.Event(name="retry", attributes=[text_attribute("exception.type", "IOError")])],
    )
    (text,) = texts(decoding, Signal.TRACES, traces(span, service="payment"))
    words = ["charge", "payment", "declined", "Charge", "no funds", "IOError", "retry", "app.card visa"]
    assert [text.index(word) for word in words] == sorted(text.index(word) for word in words)


def test_rows_that_say_nothing_keep_their_places(decoding: Decoding) -> None:
    """A record without any word has the empty text; those beside it have theirs."""
    records = [
        LogRecord(time_unix_nano=1),
        LogRecord(time_unix_nano=2, body=AnyValue(string_value="hello")),
        LogRecord(time_unix_nano=3, body=AnyValue(string_value="")),
    ]
    assert texts(decoding, Signal.LOGS, logs(*records)) == ["", "hello", ""]


def test_a_text_is_kept_once_however_often_it_is_said(decoding: Decoding) -> None:
    """Records that differ only in noise share it."""
    body = traces(*(make_span(n, name=f"order {10_000_000 + n}") for n in range(50)))
    _, rows = decoding.group(Signal.TRACES, body)
    assert len(rows["texts"]) == 1
    assert len({row["text_id"] for row in rows["spans"]}) == 1


def test_noise_values_of_attributes_are_left_out(decoding: Decoding) -> None:
    """Ids and redacted values say nothing."""
    attributes = [
        text_attribute("app.note", "6f1c2d3e4b5a69788796a5b4c3d2e1f0"),
        text_attribute("app.secret", "<REDACTED>"),
        text_attribute("app.color", "green"),
    ]
    (text,) = texts(decoding, Signal.TRACES, traces(make_span(0, name="n", attributes=attributes)))
    assert "app.color green" in text
    assert "6f1c2d" not in text
    assert "REDACTED" not in text
