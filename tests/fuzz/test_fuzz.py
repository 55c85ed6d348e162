"""A few seconds of damaged input for the decoders and for a real receiver; ``python -m tests.fuzz`` does millions."""

from __future__ import annotations

import pytest

from tests.fuzz.decoders import DecoderFuzz
from tests.fuzz.sockets import GrpcFuzz, HttpFuzz

_EXAMPLES = 40
_DECODER_BATCHES = 8
_SOCKET_BATCHES = 9


def test_damaged_requests_get_a_verdict_and_harm_nobody_beside_them() -> None:
    """Protobuf, JSON and compressed bodies: never another exception, rows as announced, the same after a replay."""
    fuzz = DecoderFuzz(2026, examples=_EXAMPLES)
    try:
        assert sum(fuzz.run(number) for number in range(_DECODER_BATCHES)) > 1000
    finally:
        fuzz.close()


@pytest.mark.parametrize("kind", [HttpFuzz, GrpcFuzz])
def test_damaged_bytes_leave_the_listeners_well(kind: type[HttpFuzz | GrpcFuzz]) -> None:
    """Well-formed answers or none, each connection ends, nothing is left open, nothing is in the log."""
    fuzz = kind(2026)
    try:
        assert sum(fuzz.run(number) for number in range(_SOCKET_BATCHES)) > 500
        fuzz.check()
    finally:
        fuzz.close()
