"""A client that keeps sending numbered records and looks closely at each refusal.

    python -m tests.faults.strict_client GRPC_ENDPOINT HTTP_ENDPOINT FIRST RECORDS PADDING

Traces go over gRPC, logs and metrics over HTTP, each signal in a thread of its own. ``PADDING`` bytes that do not
compress are in each request. A line ``SIGNAL REQUEST`` says that it was accepted, ``SIGNAL REQUEST refused`` that
the client was asked to come again, which it does, with the same bytes. It ends with an error when an answer is not
one of these: a refusal must be UNAVAILABLE with RetryInfo, or 503 with Retry-After, and come before the deadline.
Ends, with what is in hand, when standard input is closed.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import cast

import grpc
from google.rpc import error_details_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.exporting_client import request_of

_DEADLINE_S = 10.0
"""What exporters have by default; wherever the disk hangs, the answer must come before."""
_AGAIN_S = 0.1
Send = Callable[[bytes], bool]
"""Returns whether it was accepted; False: the client is asked to come again."""


def _padded(signal: str, number: int, records: int, padding: int) -> bytes:
    body = request_of(signal, number, records)
    text = os.urandom(padding // 2).hex()
    if signal == "traces":
        traces = ExportTraceServiceRequest.FromString(body)
        traces.resource_spans[0].scope_spans[0].spans[0].attributes.add(
            key="padding"
        ).value.string_value = text
        return traces.SerializeToString()
    if signal == "logs":
        logs = ExportLogsServiceRequest.FromString(body)
        logs.resource_logs[0].scope_logs[0].log_records[0].attributes.add(
            key="padding"
        ).value.string_value = text
        return logs.SerializeToString()
    metrics = ExportMetricsServiceRequest.FromString(body)
    point = metrics.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.attributes.add(key="padding").value.string_value = text
    return metrics.SerializeToString()


def _over_grpc(endpoint: str) -> Send:
    export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = grpc.insecure_channel(endpoint).unary_unary(
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    )

    def send(body: bytes) -> bool:
        try:
            export(body, timeout=_DEADLINE_S)
        except grpc.RpcError as error:
            _check_refusal(error)
            return False
        return True

    return send


def _check_refusal(error: grpc.RpcError) -> None:
    assert error.code() is grpc.StatusCode.UNAVAILABLE, f"{error.code()}: {error.details()}"
    trailers = dict(cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ()))
    info = error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
    assert info.retry_delay.ToNanoseconds() > 0
    assert "grpc-status-details-bin" in trailers


def _over_http(endpoint: str, path: str) -> Send:
    connection = http.client.HTTPConnection(endpoint, timeout=_DEADLINE_S)

    def send(body: bytes) -> bool:
        connection.request("POST", path, body, {"content-type": "application/x-protobuf"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 200:
            return True
        assert answer.status == 503, f"{answer.status}: {said!r}"
        assert int(answer.headers["Retry-After"]) >= 1
        return False

    return send


def _keep_sending(signal: str, send: Send, first: int, records: int, padding: int) -> None:
    number = first
    while not _ending.is_set():
        body = _padded(signal, number, records, padding)
        while not send(body):
            print(f"{signal} {number} refused\n", end="", flush=True)
            time.sleep(_AGAIN_S)
        print(f"{signal} {number}\n", end="", flush=True)
        number += 1


_ending = threading.Event()


def _end_with(failure: threading.ExceptHookArgs) -> None:
    """End the whole process with what one thread found."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def main() -> None:
    """Run from the command line."""
    over_grpc, over_http, *numbers = sys.argv[1:]
    first, records, padding = map(int, numbers)
    sends = {
        "traces": _over_grpc(over_grpc),
        "logs": _over_http(over_http, "/v1/logs"),
        "metrics": _over_http(over_http, "/v1/metrics"),
    }
    threading.excepthook = _end_with
    threads = [
        threading.Thread(target=_keep_sending, args=(signal, send, first, records, padding))
        for signal, send in sends.items()
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    _ending.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
