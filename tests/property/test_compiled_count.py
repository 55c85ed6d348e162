"""The compiled count of messages is the Python one, whatever the bytes."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.decode.compiled.library import compiled_library
from receiver.decode.compiled.message_limit import CompiledMessageLimit
from receiver.decode.message_count import MessageLimit, refuse_too_many
from receiver.decode.wire import encode_varint
from receiver.errors import PermanentError
from receiver.signals import Signal
from tests.support.receiver_process import REPOSITORY
from tests.support.wire_bytes import field, nested_value

pytestmark = pytest.mark.skipif(compiled_library() is None, reason="the compiled decoder was not built")

_SIGNALS = st.sampled_from(list(Signal))
_LIMITS = st.one_of(st.integers(0, 12), st.integers(0, 80_000))
_TIMES = st.sampled_from([1, 1, 1, 2, 40, 1100])  # values are gone through above 1 KiB, records above 64 KiB


def _scalar(number: int, kind: int, value: bytes) -> bytes:
    return encode_varint(number << 3 | kind) + value


_SCALARS = st.one_of(
    st.builds(_scalar, st.integers(1, 20), st.just(0), st.integers(0, (1 << 64) - 1).map(encode_varint)),
    st.builds(_scalar, st.integers(1, 20), st.just(1), st.binary(min_size=8, max_size=8)),
    st.builds(_scalar, st.integers(1, 20), st.just(5), st.binary(min_size=4, max_size=4)),
    st.builds(
        lambda number, inner: _scalar(number, 3, inner + encode_varint(number << 3 | 4)),
        st.integers(1, 20), st.binary(max_size=6),
    ),
    st.sampled_from([b"\x8a\x80\x00\x00", b"\x92\x00\x82\x00ab", b"\x13\x1b\x1c\x14", b"\x13\x12\x02ab\x14", b"\x07"]),
    st.binary(max_size=4),
)  # fmt: skip


def _message(fields: list[tuple[bytes, int]]) -> bytes:
    return b"".join(one * times for one, times in fields)


def _messages(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    one = st.one_of(
        st.builds(field, st.integers(1, 15), inner), st.builds(field, st.integers(1, 2), inner), _SCALARS
    )
    return st.lists(st.tuples(one, _TIMES), max_size=3).map(_message)


_BODIES = st.recursive(st.one_of(st.just(b""), st.binary(max_size=5)), _messages, max_leaves=8).filter(
    lambda body: len(body) < 1 << 20
)


def _outcome(limit: MessageLimit, signal: Signal, body: bytes, most: int) -> tuple[str, str]:
    try:
        limit(signal, body, most)
    except PermanentError as error:
        return type(error).__name__, str(error)
    return "", ""


def _compare(signal: Signal, body: bytes, most: int) -> tuple[str, str]:
    library = compiled_library()
    assert library is not None
    expected = _outcome(refuse_too_many, signal, body, most)
    assert _outcome(CompiledMessageLimit(library), signal, body, most) == expected
    return expected


@given(_SIGNALS, _BODIES, _LIMITS)
@example(Signal.LOGS, field(1, field(2, field(2, field(5, nested_value(300, 5)) * 30))), 40)
@example(Signal.TRACES, field(1, field(2, b"\x12\x00" * 40_000)), 39_999)
@example(Signal.TRACES, field(1, field(2, field(2, b"\x4a\x00" * 70_000))), 100)
@example(Signal.METRICS, field(1, field(2, field(2, field(9, b"\x0a\x00" * 50)))), 51)
@settings(max_examples=300)
def test_generated_messages_are_counted_as_in_python(signal: Signal, body: bytes, most: int) -> None:
    """Nested lists of every length, odd tags, groups and noise: the same refusal in the same words, or none."""
    _compare(signal, body, most)


@pytest.mark.parametrize("signal", list(Signal))
def test_the_limit_is_reached_at_the_same_message(signal: Signal) -> None:
    """Of a body of every kind of message, the smallest limit that it fits is the same, one less is refused."""
    body = _of_everything(signal, random.Random(7), 0)
    low, high = 0, len(body)
    while low < high:
        middle = (low + high) // 2
        if _compare(signal, body, middle)[0]:
            low = middle + 1
        else:
            high = middle
    assert low > 100
    assert _compare(signal, body, low - 1)[0] == "TooManyRecordsError"


@pytest.mark.parametrize("signal", list(Signal))
def test_damaged_bytes_are_counted_as_in_python(signal: Signal) -> None:
    """Cut off anywhere, or with any byte changed, both say the same."""
    chance = random.Random(11)
    body = _of_everything(signal, chance, 0)
    seen = set()
    for _ in range(40):
        damaged = bytearray(body[: chance.randrange(len(body))] if chance.random() < 0.2 else body)
        for _ in range(chance.randrange(3)):
            if damaged:
                damaged[min(int(chance.expovariate(0.01)), len(damaged) - 1)] = chance.randrange(256)
        seen.add(_compare(signal, bytes(damaged), chance.choice([100, 10_000, 1_000_000]))[0])
    assert seen == {"", "MalformedRequestError", "TooManyRecordsError"}


def _of_everything(signal: Signal, chance: random.Random, depth: int) -> bytes:
    """Return a message with some of each field that could hold messages, long ones among them."""
    if depth == 5:
        return b"\x0a\x01k" * chance.choice([1, 2, 700])
    numbers = [1, 2, 3]
    if depth > 1:
        numbers = [2, 3, 4, 5, 6, 7] if depth == 4 else [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13]
    return b"".join(
        field(number, _of_everything(signal, chance, depth + 1))
        for number in numbers
        for _ in range(chance.choice([1, 1, 2]))
    )


_EMPTY_SPANS = """
import resource
from receiver.config import LimitsConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder
from receiver.ports import ExportRequest
from receiver.signals import Signal
from tests.support.wire_bytes import field
decoder = open_decoder(LimitsConfig(), NestedValues())
body = field(1, field(2, bytes((0x12, 0)) * (24 << 20)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(verdict,) = decoder.decode([ExportRequest(Signal.TRACES, body)]).verdicts
print(type(verdict).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_request_of_empty_spans_costs_no_memory_beyond_its_own() -> None:
    """48 MiB of spans of 2 bytes: the place of each alone would be 384 MiB."""
    run = subprocess.run(
        [sys.executable, "-c", _EMPTY_SPANS], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    name, grown = run.stdout.split()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, see getrusage(2)
    assert name == "TooManyRecordsError"
    assert int(grown) * unit < 32 << 20
