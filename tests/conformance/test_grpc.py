"""Rules G1 to G9: OTLP/gRPC, frame by frame."""

from __future__ import annotations

import pytest

from receiver.decode.wire import encode_varint
from receiver.signals import Signal
from tests.conformance.conftest import LIMIT, Trouble, every_temporary_failure
from tests.support import raw_http2
from tests.support.otlp_exchange import GRPC, UNAVAILABLE, every_signal, send
from tests.support.otlp_messages import one_record
from tests.support.raw_http2 import message
from tests.support.receiver_process import ReceiverProcess

_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNIMPLEMENTED = 3, 8, 12
_RETRIED = {1, 4, 10, 11, 14, 15}
"""Codes that clients take for a reason to send again; 8 is one if RetryInfo comes with it."""
_PROFILES = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"


def body_of(size: int) -> bytes:
    """Return a request of exactly so many bytes, in a field of a later OTLP."""
    tag = encode_varint(4242 << 3 | 2)
    filling = size - len(tag) - len(encode_varint(size))
    body = tag + encode_varint(filling) + bytes(filling)
    assert len(body) == size
    return body


@every_signal
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_g1_a_request_of_exactly_the_limit_is_accepted(
    limited: ReceiverProcess, signal: Signal, compressed: bool
) -> None:
    """The limit counts inflated bytes."""
    answer = await send(limited, GRPC, signal, body_of(LIMIT), compressed=compressed)
    assert answer.partial_success(signal) is None


@every_signal
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_g2_one_byte_more_is_resource_exhausted_for_good(
    limited: ReceiverProcess, signal: Signal, compressed: bool
) -> None:
    """Without RetryInfo in either place: with one, clients would send it for ever."""
    answer = await send(limited, GRPC, signal, body_of(LIMIT + 1), compressed=compressed)
    answer.assert_permanent(code=_RESOURCE_EXHAUSTED, http_status=413)


async def test_g3_calls_of_all_signals_on_one_connection_do_not_wait_for_each_other(
    receiver: ReceiverProcess, service: str
) -> None:
    """A call that is opened first and completed last holds up none of those between."""
    bodies = [(signal, one_record(signal, service, number)) for number in range(10) for signal in Signal]
    async with raw_http2.connection(receiver.grpc) as grpc:
        first = grpc.open(Signal.TRACES.grpc_method)
        await grpc.send(first, message(b"\x0a\x00")[:6], end=False)
        calls = [grpc.open(signal.grpc_method) for signal, _ in bodies]
        for stream, (_, body) in reversed(list(zip(calls, bodies, strict=True))):
            await grpc.send(stream, message(body.SerializeToString()))
        answers = [await grpc.answer(stream) for stream in calls]
        assert {(answer.code, answer.message) for answer in answers} == {(0, b"")}
        await grpc.send(first, message(b"\x0a\x00")[6:])
        assert (await grpc.answer(first)).code == 0


@every_signal
@every_temporary_failure
async def test_g4_a_temporary_failure_is_unavailable_in_one_frame_of_trailers(
    trouble: Trouble, temporary: str, signal: Signal, service: str
) -> None:
    """Nothing is sent before them: some clients see a status that may be retried only so."""
    with trouble() as receiver:
        answer = await send(receiver, GRPC, signal, one_record(signal, service))
    assert answer.grpc is not None
    assert (answer.grpc.code, answer.grpc.is_trailers_only) == (UNAVAILABLE, True)
    assert answer.status.code == UNAVAILABLE
    assert answer.grpc.trailers["content-type"] == b"application/grpc"


@every_signal
async def test_g5_bad_data_is_invalid_argument_that_says_what_is_wrong(
    receiver: ReceiverProcess, signal: Signal
) -> None:
    """BadRequest is in the details, in one frame of trailers."""
    for body in (b"\xff\xff\xff", b"\x0a\x7f", b"plain text, no protobuf"):
        answer = await send(receiver, GRPC, signal, body)
        answer.assert_permanent(code=_INVALID_ARGUMENT, http_status=400)
        assert answer.grpc is not None
        assert answer.grpc.is_trailers_only
        assert answer.bad_request is not None
        assert answer.bad_request.field_violations[0].description == answer.status.message


@every_signal
@every_temporary_failure
async def test_g6_backpressure_asks_for_1_9_seconds_in_both_places(
    trouble: Trouble, temporary: str, signal: Signal, service: str
) -> None:
    """As long as exporters can wait without giving up: in the status's details and as a trailer of its own."""
    with trouble() as receiver:
        answer = await send(receiver, GRPC, signal, one_record(signal, service))
    assert answer.grpc is not None
    assert answer.retry_info is not None
    assert answer.retry_info.retry_delay.ToMilliseconds() == 1900
    assert answer.grpc.trailers["google.rpc.retryinfo-bin"] == answer.retry_info.SerializeToString()


@every_signal
async def test_g7_no_permanent_refusal_has_a_code_that_clients_retry(
    limited: ReceiverProcess, signal: Signal
) -> None:
    """Noise, too many bytes, a gzip body that is none, and a method that is not there."""
    service_of = signal.grpc_method.rpartition("/")[0]
    noise = b"\x1f\x8bnoise"
    async with raw_http2.connection(limited.grpc) as grpc:
        answers = [
            await grpc.call(signal.grpc_method, b"\xff"),
            await grpc.call(signal.grpc_method, body_of(LIMIT + 1)),
            await grpc.call(f"{service_of}/Import", b""),
        ]
        stream = grpc.open(signal.grpc_method, fields=[("grpc-encoding", "gzip")])
        await grpc.send(stream, b"\x01" + len(noise).to_bytes(4, "big") + noise)
        answers.append(await grpc.answer(stream))
    assert not _RETRIED & {answer.code for answer in answers}
    assert all(answer.code for answer in answers)
    assert not any("google.rpc.retryinfo-bin" in answer.trailers for answer in answers)


@pytest.mark.parametrize("path", [_PROFILES, "/no.such.Service/Export"])
async def test_g9_what_is_not_served_is_unimplemented(receiver: ReceiverProcess, path: str) -> None:
    """Profiles, and anything else that is no service of ours."""
    answer = await raw_http2.call(receiver.grpc, path, b"")
    assert (answer.code, answer.is_trailers_only) == (_UNIMPLEMENTED, True)
