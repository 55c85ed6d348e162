"""OTLP/gRPC as a client sees it; the numbers are those of the server rules."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable

import anyio
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from receiver.errors import BusyError, MalformedRequestError, ReceiverError, SpoolUnavailableError
from receiver.ports import Encoding, ExportRequest, Outcome, Transport
from receiver.signals import Signal
from tests.integration.transport.conftest import Listeners, export_call
from tests.support.intake_double import IntakeDouble

Channels = Callable[..., grpc.aio.Channel]
BODY = b"\x0a\x00" + b"\x92\x84\x02\x03new"  # an empty envelope and a field that no version has yet
every_signal = pytest.mark.parametrize("signal", list(Signal), ids=lambda s: s.value)


async def export(
    channel: grpc.aio.Channel,
    signal: Signal = Signal.TRACES,
    body: bytes = BODY,
    *,
    timeout_s: float = 10.0,
    compression: grpc.Compression | None = None,
) -> bytes:
    """Send one request as raw bytes."""
    call = export_call(channel, signal.grpc_method)
    return await call(body, timeout=timeout_s, compression=compression)


async def refusal(channel: grpc.aio.Channel, **how: float) -> grpc.aio.AioRpcError:
    """Send one request that is refused and return the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(channel, **how)  # type: ignore[arg-type]  # only timeout_s is passed
    return caught.value


def trailers(error: grpc.aio.AioRpcError) -> dict[str, bytes]:
    """Return the binary trailers."""
    return {k: v for k, v in error.trailing_metadata() or () if isinstance(v, bytes)}


@every_signal
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_c1_g3_c8_bodies_arrive_inflated_and_byte_for_byte(
    listeners: Listeners, channels: Channels, signal: Signal, compression: grpc.Compression
) -> None:
    """Plain and gzip requests of every signal reach the intake as they were, unknown fields too."""
    listener = await listeners.grpc()
    body = BODY * 500
    assert await export(channels(listener.port), signal, body, compression=compression) == b""
    expected = ExportRequest(signal, body, Encoding.PROTOBUF, Transport.GRPC)
    assert listener.intake.requests == [expected]


@every_signal
async def test_c2_c3_c9_an_empty_request_is_answered_with_no_bytes(
    listeners: Listeners, channels: Channels, signal: Signal
) -> None:
    """Full success is the empty message: partial_success stays unset."""
    listener = await listeners.grpc()
    assert await export(channels(listener.port), signal, b"") == b""
    assert await export(channels(listener.port), signal, b"\x0a\x00") == b""


@pytest.mark.parametrize(("rejected", "message"), [(3, "no trace_id"), (0, "2 strings were repaired")])
async def test_c4_c5_c6_rejections_and_warnings_are_in_partial_success(
    listeners: Listeners, channels: Channels, rejected: int, message: str
) -> None:
    """A count and a text come back, or a text alone."""
    listener = await listeners.grpc()
    listener.intake.outcome = Outcome(rejected, message)
    answer = trace_service_pb2.ExportTraceServiceResponse.FromString(await export(channels(listener.port)))
    assert answer.partial_success.rejected_spans == rejected
    assert answer.partial_success.error_message == message


@pytest.mark.parametrize("error", [BusyError("full"), SpoolUnavailableError("disk full")])
async def test_c7_g4_g6_temporary_failures_are_unavailable_with_retry_info_twice(
    listeners: Listeners, channels: Channels, error: ReceiverError
) -> None:
    """Both places where exporters look hold 1.9 s."""
    listener = await listeners.grpc()
    listener.intake.error = error
    refused = await refusal(channels(listener.port))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.details() == error.message
    binary = trailers(refused)
    status = status_pb2.Status.FromString(binary["grpc-status-details-bin"])
    info = error_details_pb2.RetryInfo()
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert status.details[0].Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 1900
    assert error_details_pb2.RetryInfo.FromString(binary["google.rpc.retryinfo-bin"]) == info


async def test_g5_bad_data_is_invalid_argument_with_bad_request(
    listeners: Listeners, channels: Channels
) -> None:
    """A permanent failure names what is wrong and asks for no retry."""
    listener = await listeners.grpc()
    listener.intake.error = MalformedRequestError("not protobuf", hint="check the exporter")
    refused = await refusal(channels(listener.port))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.details() == "not protobuf; check the exporter"
    binary = trailers(refused)
    detail = error_details_pb2.BadRequest()
    assert status_pb2.Status.FromString(binary["grpc-status-details-bin"]).details[0].Unpack(detail)
    assert "google.rpc.retryinfo-bin" not in binary
    labels = {"signal": "traces", "transport": "grpc", "reason": "malformed"}
    assert listener.sample("otlp_receiver_refused_requests_total", **labels) == 1


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_g1_g2_oversize_is_resource_exhausted_without_retry_info(
    listeners: Listeners, channels: Channels, compression: grpc.Compression
) -> None:
    """The limit holds for inflated bytes and at exactly one byte more."""
    listener = await listeners.grpc(request_bytes=100_000)
    channel = channels(listener.port)
    assert await export(channel, body=b"\0" * 100_000, compression=compression) == b""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(channel, body=b"\0" * 100_001, compression=compression)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" not in trailers(caught.value)
    assert len(listener.intake.requests) == 1


async def test_g3_concurrent_calls_on_one_channel_are_in_hand_together(
    listeners: Listeners, channels: Channels
) -> None:
    """Calls do not wait for each other."""
    listener = await listeners.grpc()
    listener.intake.block()
    channel = channels(listener.port)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(export(channel, body=b"\x0a\x00" * n)) for n in range(900)]
        await listener.intake.arrived(900)
        listener.intake.release()
    assert {call.result() for call in calls} == {b""}
    assert listener.intake.used_bytes == 0


async def test_g4_an_unexpected_exception_is_retryable_and_its_text_stays_inside(
    listeners: Listeners, channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    """The client reads a sentence of ours; the log has the traceback; a counter counts."""
    listener = await listeners.grpc()
    listener.intake.error = ValueError("secret of the inside")
    refused = await refusal(channels(listener.port))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert "google.rpc.retryinfo-bin" in trailers(refused)
    assert "secret" not in (refused.details() or "")
    assert not any(b"secret" in value for value in trailers(refused).values())
    assert "secret of the inside" in caplog.text
    labels = {"signal": "traces", "transport": "grpc", "reason": "internal"}
    assert listener.sample("otlp_receiver_refused_requests_total", **labels) == 1


async def test_g4_unavailable_comes_before_the_clients_deadline(
    listeners: Listeners, channels: Channels
) -> None:
    """A client that can wait a second hears UNAVAILABLE, not its own deadline; the work goes on."""
    listener = await listeners.grpc()
    listener.intake.block()
    refused = await refusal(channels(listener.port), timeout_s=1.0)
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert listener.intake.waits_s[0] < 0.75  # half a second less, and gRPC rounds deadlines up
    assert listener.intake.used_bytes == len(BODY)
    listener.intake.release()
    await listener.intake.done(1)
    await anyio.wait_all_tasks_blocked()
    assert listener.intake.used_bytes == 0


async def test_g6_the_wait_is_bounded_without_a_deadline_too(
    listeners: Listeners, channels: Channels
) -> None:
    """Without a deadline the configured wait counts; a hurried client gets the least one."""
    listener = await listeners.grpc(wait_s=3.0)
    channel = channels(listener.port)
    await export_call(channel, Signal.LOGS.grpc_method)(b"")
    await export(channel, timeout_s=0.5)
    assert listener.intake.waits_s[0] == pytest.approx(3.0, abs=0.5)
    assert listener.intake.waits_s[1] == pytest.approx(0.05, abs=0.001)


async def test_g6_a_used_up_budget_is_unavailable(listeners: Listeners, channels: Channels) -> None:
    """Backpressure is UNAVAILABLE; nothing was handed in."""
    listener = await listeners.grpc(IntakeDouble(budget_bytes=1000), wait_s=0.05)
    async with listener.intake.budget.held(1000, wait_s=1):
        refused = await refusal(channels(listener.port))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert listener.intake.requests == []
    assert listener.intake.used_bytes == 0


async def test_a_client_that_leaves_does_not_stop_the_commit(
    listeners: Listeners, channels: Channels
) -> None:
    """The call is cancelled, the intake finishes, and only then the bytes are given back."""
    listener = await listeners.grpc()
    listener.intake.block()
    call = export_call(channels(listener.port))(BODY)
    sent = asyncio.ensure_future(call)
    await listener.intake.arrived(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sent
    assert listener.intake.used_bytes == len(BODY)
    listener.intake.release()
    await listener.intake.done(1)
    await anyio.wait_all_tasks_blocked()
    assert listener.intake.used_bytes == 0


async def test_g7_a_refusal_is_trailers_only(listeners: Listeners, channels: Channels) -> None:
    """No initial metadata was sent of its own: some clients see a retryable status only then."""
    listener = await listeners.grpc()
    listener.intake.error = BusyError("full")
    call = export_call(channels(listener.port))(BODY)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert tuple(await call.initial_metadata()) == ()


async def test_g9_profiles_are_unimplemented(listeners: Listeners, channels: Channels) -> None:
    """A signal that is not served is told apart from a failure."""
    listener = await listeners.grpc()
    method = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export_call(channels(listener.port), method)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_c11_a_long_text_is_cut(listeners: Listeners, channels: Channels) -> None:
    """Neither an answer nor a refusal carries more than 1 KiB of text."""
    listener = await listeners.grpc()
    listener.intake.outcome = Outcome(1, "é" * 100_000)
    answer = trace_service_pb2.ExportTraceServiceResponse.FromString(await export(channels(listener.port)))
    assert 1000 < len(answer.partial_success.error_message.encode()) <= 1024
    listener.intake.error = BusyError("é" * 100_000)
    refused = await refusal(channels(listener.port))
    assert 1000 < len((refused.details() or "").encode()) <= 1024


async def test_g1_a_gzip_bomb_is_refused(listeners: Listeners, channels: Channels) -> None:
    """A small frame that inflates to 200 MB never reaches the handler."""
    listener = await listeners.grpc(request_bytes=1_000_000)
    assert len(gzip.compress(b"\0" * 200_000_000)) < 1_000_000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(
            channels(listener.port, max_send_message_length=-1),
            body=b"\0" * 200_000_000,
            compression=grpc.Compression.Gzip,
        )
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert listener.intake.requests == []
