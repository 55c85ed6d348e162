"""Requests made of next to nothing are told from real ones."""

from __future__ import annotations

import pytest

from receiver.decode.density import is_dense
from tests.support.wire_bytes import field

EMPTY_SPAN = b"\x12\x00"
SPAN_OF_A_ZERO = b"\x12\x02\x30\x00"


@pytest.mark.parametrize(
    "record", [EMPTY_SPAN, SPAN_OF_A_ZERO, b"\x4a\x00"], ids=["empty", "zero", "attribute"]
)
def test_messages_of_a_few_bytes_are_dense(record: bytes) -> None:
    """Whatever the records are, a tag is everywhere."""
    assert is_dense(field(1, field(2, record * 50_000)))


def test_a_usual_request_is_not() -> None:
    """Spans with ids, a name and attributes are mostly content."""
    pair = field(1, b"http.route") + field(2, field(1, b"/api/products/{id}"))
    span = (
        field(1, bytes(range(16)))
        + field(2, bytes(range(8)))
        + field(5, b"GET /api/products")
        + field(9, pair) * 8
    )
    assert not is_dense(field(1, field(2, field(2, span) * 400)))
