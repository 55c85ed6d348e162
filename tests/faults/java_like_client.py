"""A client that keeps sending numbered records over gRPC and retries as the Java SDK's exporters do.

    python -m tests.faults.java_like_client ENDPOINT FIRST RECORDS PAUSE_S

At most 5 attempts, 1 s and then 1.5 times as long between them (±20 %), all within 10 s; a delay that the server asks
for is not read. A status is seen only where an answer has no initial metadata (Trailers-Only); anything else is given
up. Lines and end as :mod:`tests.faults.sdk_client`.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time

import grpc

from tests.support.exporting_client import METHODS, request_of

_ATTEMPTS = 5
_FIRST_BACKOFF_S, _FACTOR, _LONGEST_BACKOFF_S, _JITTER = 1.0, 1.5, 5.0, 0.2
_TOTAL_S = 10.0
_RETRIED = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
# Reconnects at once when it is asked to send, as OkHttp does; gRPC's own waits would hide the attempts.
_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
]


def _exported(export: grpc.UnaryUnaryMultiCallable[bytes, bytes], body: bytes) -> bool:
    deadline = time.monotonic() + _TOTAL_S
    backoff_s = _FIRST_BACKOFF_S
    for _ in range(_ATTEMPTS):
        call = export.future(body, timeout=max(deadline - time.monotonic(), 0))
        error = call.exception()
        if error is None:
            return True
        if call.code() not in _RETRIED or call.initial_metadata():
            return False
        wait_s = min(backoff_s, _LONGEST_BACKOFF_S) * random.uniform(1 - _JITTER, 1 + _JITTER)
        if time.monotonic() + wait_s > deadline:
            return False
        time.sleep(wait_s)
        backoff_s *= _FACTOR
    return False


def _send(channel: grpc.Channel, signal: str, first: int, end: threading.Event) -> None:
    records, pause_s = int(sys.argv[3]), float(sys.argv[4])
    export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHODS[signal])
    for number in itertools.count(first):
        done = _exported(export, request_of(signal, number, records))
        sys.stdout.write(f"{signal} {number}{'' if done else ' gave-up'}\n")  # one write: lines do not mix
        sys.stdout.flush()
        if end.wait(pause_s):
            return


def main() -> None:
    """Run from the command line."""
    end = threading.Event()
    with grpc.insecure_channel(sys.argv[1], _OPTIONS) as channel:
        threads = [
            threading.Thread(target=_send, args=(channel, signal, int(sys.argv[2]), end))
            for signal in METHODS
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        end.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
