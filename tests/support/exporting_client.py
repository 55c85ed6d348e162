"""A client that sends numbered records of all three signals over gRPC and prints which were acknowledged.

    python -m tests.support.exporting_client ENDPOINT FIRST REQUESTS RECORDS [PAUSE_S] [--retry]

Each signal has a thread. Record ``n`` of a signal has span id ``n + 1`` (a log record its observed time, a data
point its value), so that no two requests have the same bytes. A line ``SIGNAL REQUEST`` is printed after an
answer OK and not before. Without ``--retry`` a signal ends with its first failure; with it, a request is
repeated, with the same bytes, until it is answered OK. Each signal waits PAUSE_S between two requests.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_METHOD = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
_SERVICES = {"traces": ("trace", "Trace"), "metrics": ("metrics", "Metrics"), "logs": ("logs", "Logs")}
METHODS = {signal: _METHOD.format(*names) for signal, names in _SERVICES.items()}
"""The gRPC method of each signal's export."""
_RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_TIME = 1_790_000_000_000_000_000


def request_of(signal: str, number: int, records: int) -> bytes:
    """Return request ``number``, which holds the records from ``number * records`` on."""
    numbers = range(number * records, (number + 1) * records)
    if signal == "traces":
        traces = ExportTraceServiceRequest()
        spans = traces.resource_spans.add().scope_spans.add().spans
        for each in numbers:
            spans.add(
                trace_id=(each + 1).to_bytes(16, "big"), span_id=(each + 1).to_bytes(8, "big"), name=f"span {each % 7}",
                start_time_unix_nano=_TIME + each, end_time_unix_nano=_TIME + each + 1,
            )  # fmt: skip
        return traces.SerializeToString()
    if signal == "logs":
        logs = ExportLogsServiceRequest()
        log_records = logs.resource_logs.add().scope_logs.add().log_records
        for each in numbers:
            log_records.add(time_unix_nano=_TIME, observed_time_unix_nano=each + 1).body.string_value = "said"
        return logs.SerializeToString()
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="counted")
    for each in numbers:
        metric.gauge.data_points.add(time_unix_nano=_TIME + each, as_int=each + 1)
    return metrics.SerializeToString()


def _send(
    channel: grpc.Channel, signal: str, numbers: range, records: int, *, pause_s: float, retry: bool
) -> None:
    export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHODS[signal])
    for number in numbers:
        body = request_of(signal, number, records)
        while True:
            try:
                export(body, timeout=10)
            except grpc.RpcError as error:
                if not retry:
                    return
                if error.code() not in _RETRYABLE:
                    raise
                time.sleep(0.05)  # as a client does that was told to come again
            else:
                sys.stdout.write(f"{signal} {number}\n")  # one write, so that lines of threads do not mix
                sys.stdout.flush()
                time.sleep(pause_s)
                break


def main() -> None:
    """Run from the command line."""
    retry = "--retry" in sys.argv
    endpoint, first, requests, records, *pause = [word for word in sys.argv[1:] if word != "--retry"]
    pause_s = float(pause[0]) if pause else 0.0
    numbers = range(int(first), int(first) + int(requests))
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
    with grpc.insecure_channel(endpoint, options) as channel, ThreadPoolExecutor() as threads:
        sent = [
            threads.submit(_send, channel, signal, numbers, int(records), pause_s=pause_s, retry=retry)
            for signal in _SERVICES
        ]
        for each in sent:
            each.result()


if __name__ == "__main__":
    main()
