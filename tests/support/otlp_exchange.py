"""Each way into a receiver, used alike: a body goes out over a socket of its own, what comes back is one answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from google.protobuf.json_format import Parse, ParseDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from receiver.ports import Encoding, Transport
from receiver.signals import Signal
from tests.support import raw_http, raw_http2
from tests.support.otlp_messages import written
from tests.support.receiver_process import ReceiverProcess

CONTENT_TYPES = {Encoding.PROTOBUF: "application/x-protobuf", Encoding.JSON: "application/json"}
UNAVAILABLE = 14
M = TypeVar("M", bound=Message)
_RESPONSES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}


@dataclass(frozen=True)
class Way:
    """A transport and an encoding."""

    transport: Transport
    encoding: Encoding

    def __str__(self) -> str:
        """Return a name for the ids of tests."""
        return "grpc" if self.transport is Transport.GRPC else f"http-{self.encoding.value}"


GRPC = Way(Transport.GRPC, Encoding.PROTOBUF)
HTTP_PROTOBUF = Way(Transport.HTTP, Encoding.PROTOBUF)
HTTP_JSON = Way(Transport.HTTP, Encoding.JSON)
every_way = pytest.mark.parametrize("way", [GRPC, HTTP_PROTOBUF, HTTP_JSON], ids=str)
every_http_way = pytest.mark.parametrize("way", [HTTP_PROTOBUF, HTTP_JSON], ids=str)
every_signal = pytest.mark.parametrize("signal", list(Signal), ids=lambda signal: signal.value)


@dataclass(frozen=True)
class Answer:
    """What a client was told, in the words of both transports."""

    way: Way
    body: bytes
    """The message of gRPC, the body of HTTP."""
    grpc: raw_http2.GrpcAnswer | None = None
    http: raw_http.RawAnswer | None = None

    @property
    def accepted(self) -> bool:
        """Return True for OK and 200."""
        return self.grpc.code == 0 if self.grpc else self.http is not None and self.http.status == 200

    def partial_success(self, signal: Signal) -> tuple[int, str] | None:
        """Return what an accepted request was told: how many were rejected and why; None where it is unset."""
        assert self.accepted, self
        response = _RESPONSES[signal]()
        if self.way.encoding is Encoding.JSON:
            Parse(self.body, response)
        else:
            response.ParseFromString(self.body)
        if not response.HasField("partial_success"):
            return None
        counts = {
            Signal.TRACES: "rejected_spans",
            Signal.METRICS: "rejected_data_points",
            Signal.LOGS: "rejected_log_records",
        }
        partial = response.partial_success
        return getattr(partial, counts[signal]), partial.error_message

    @property
    def status(self) -> status_pb2.Status:
        """Return the google.rpc.Status of a refusal, from where its way puts it."""
        assert not self.accepted, self
        if self.grpc:
            return status_pb2.Status.FromString(self.grpc.trailers["grpc-status-details-bin"])
        if self.way.encoding is Encoding.PROTOBUF:
            return status_pb2.Status.FromString(self.body)
        return ParseDict(json.loads(self.body), status_pb2.Status())

    @property
    def retry_info(self) -> error_details_pb2.RetryInfo | None:
        """Return the RetryInfo in the details of a refusal, or None."""
        return _detail(self.status, error_details_pb2.RetryInfo())

    @property
    def bad_request(self) -> error_details_pb2.BadRequest | None:
        """Return the BadRequest in the details of a refusal, or None."""
        return _detail(self.status, error_details_pb2.BadRequest())

    def assert_retryable(self) -> None:
        """Check that every exporter sends again, and when: rules C7, G4, G6, H9 and H11."""
        if self.grpc:
            assert self.grpc.code == UNAVAILABLE
            assert self.grpc.is_trailers_only
            bare = error_details_pb2.RetryInfo.FromString(self.grpc.trailers["google.rpc.retryinfo-bin"])
            assert bare == self.retry_info
        else:
            assert self.http is not None
            assert (self.http.status, self.http.headers["retry-after"]) == (503, "2")
        assert self.status.code == UNAVAILABLE
        assert self.status.message
        info = self.retry_info
        assert info is not None
        assert info.retry_delay.ToMilliseconds() == 1900

    def assert_permanent(self, *, code: int, http_status: int) -> None:
        """Check that no exporter sends again: a code and a status that are not retried, and nothing about when."""
        if self.grpc:
            assert self.grpc.code == code
            assert "google.rpc.retryinfo-bin" not in self.grpc.trailers
            if "grpc-status-details-bin" not in self.grpc.trailers:
                return  # refused by gRPC itself, below the handlers
        else:
            assert self.http is not None
            assert self.http.status == http_status
            assert "retry-after" not in self.http.headers
            assert self.http.headers["content-type"] == CONTENT_TYPES[self.way.encoding]
        assert self.status.code == code
        assert self.status.message
        assert self.retry_info is None


async def send(
    receiver: ReceiverProcess,
    way: Way,
    signal: Signal,
    body: bytes | Message,
    *,
    compressed: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a connection of its own and return the answer.

    Args:
        receiver: To whom.
        way: How.
        signal: To which method or path.
        body: Bytes as they are, a message in the way's encoding.
        compressed: With gzip.
        headers: More headers, over HTTP.
    """
    data = body if isinstance(body, bytes) else written(body, way.encoding)
    if way.transport is Transport.GRPC:
        grpc = await raw_http2.call(receiver.grpc, signal.grpc_method, data, compressed=compressed)
        return Answer(way, grpc.message if grpc.code == 0 else b"", grpc=grpc)
    fields = {"Content-Type": CONTENT_TYPES[way.encoding], **(headers or {})}
    if compressed:
        data, fields["Content-Encoding"] = gzip.compress(data, 1), "gzip"
    http = await raw_http.request(http_port(receiver), signal.http_path, data, headers=fields)
    return Answer(way, http.body, http=http)


def http_port(receiver: ReceiverProcess) -> int:
    """Return the port of the OTLP/HTTP listener."""
    return int(receiver.http.rpartition(":")[2])


def _detail(status: status_pb2.Status, wanted: M) -> M | None:
    return next((wanted for detail in status.details if detail.Unpack(wanted)), None)
