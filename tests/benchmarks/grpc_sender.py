"""Exports over gRPC: one channel, any number of calls under way.

Of what grpcio offers, ``grpc.aio`` on uvloop takes the least CPU time (docs/benchmarks.md has the comparison).
"""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2

from receiver.signals import Signal
from tests.benchmarks.answers import ACCEPTED, Answer

_RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""OTLP 1.10, "Failures"; RESOURCE_EXHAUSTED with or without RetryInfo, so that a run survives it."""
_DETAILS = "grpc-status-details-bin"
_OPTIONS = [("grpc.max_send_message_length", -1)]


class GrpcSender:
    """Implements ``Sender``."""

    def __init__(self, endpoint: str, signal: Signal, *, timeout_s: float) -> None:
        """Connect with the first call; needs a running event loop."""
        self._channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
        self._export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            signal.grpc_method
        )
        self._timeout_s = timeout_s

    async def send(self, body: bytes) -> Answer:
        """Export one request."""
        try:
            answer = await self._export(body, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            return Answer(
                code.name, accepted=False, retryable=code in _RETRYABLE, retry_after_s=_delay(error)
            )
        return ACCEPTED if not answer else Answer("OK", accepted=True, rejected=True)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def _delay(error: grpc.aio.AioRpcError) -> float | None:
    for key, value in error.trailing_metadata():
        if key == _DETAILS:
            details = value if isinstance(value, bytes) else str(value).encode()
            for detail in status_pb2.Status.FromString(details).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToNanoseconds()) / 1e9
    return None
