"""What clients do to a receiver all day, each kind in a thread with a pace of its own.

A steady load, calls that are cancelled, new and half-open connections, requests that are none, questions.

A request that was cancelled, cut off or refused for the moment is sent again, the same bytes, until it is
acknowledged, as exporters do. So what was acknowledged can be counted exactly.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

import grpc

from receiver.signals import Signal
from tests.faults.soak_requests import ChurnRequest, ChurnRequests
from tests.support.receiver_process import ReceiverProcess

_METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_PATIENCE_S = 60.0
_AGAIN_S = 0.1
_HALF_OPEN = 16
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: no FIN, but RST
_LOCAL_SUBCHANNELS = [("grpc.use_local_subchannel_pool", 1)]  # else new channels share old connections
_QUESTIONS = ("/traces?limit=20", "/services", "/stats", "/search?q=disk%20full&limit=5", "/sessions")
_SQL = "SELECT name, count(*) FROM spans GROUP BY ALL ORDER BY 2 DESC LIMIT 10"


class Acknowledged:
    """Counts what clients were told, from all threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self.records: Counter[Signal] = Counter()
        """Acknowledged records; a request that was sent again counts once."""
        self.done: Counter[str] = Counter()
        """How often each kind of churn was done."""

    def add(self, kind: str, request: ChurnRequest | None = None) -> None:
        """Count one more of a kind, and the records of a request that was acknowledged."""
        with self._lock:
            self.done[kind] += 1
            if request is not None:
                self.records[request.signal] += request.records


class Churn:
    """Threads that do all this to one receiver until they are stopped; a context manager."""

    def __init__(self, receiver: ReceiverProcess, chance: random.Random, *, pace_s: float) -> None:
        """Prepare; nothing runs yet.

        Args:
            receiver: Running.
            chance: Decides everything that is random.
            pace_s: Pause between two requests of the steady load, for each signal; the rest goes with it.
        """
        self.acknowledged = Acknowledged()
        self.failures: list[str] = []
        """What no client may meet; empty in a soak that went well."""
        self._receiver = receiver
        self._stopping = threading.Event()
        parts: list[tuple[str, Callable[[], None], float]] = [
            *(("steady load", self._steady(signal, self._requests(chance)), pace_s) for signal in Signal),
            ("cancelled call", self._cancelled(self._requests(chance), chance), pace_s),
            ("new channel", self._new_channel(self._requests(chance)), 4 * pace_s),
            ("new connection", self._new_connection(self._requests(chance)), 2 * pace_s),
            ("half-open connection", self._half_open(chance), 4 * pace_s),
            ("bad request", self._bad(chance), 4 * pace_s),
            ("question", self._question, 4 * pace_s),
        ]
        self._threads = [
            threading.Thread(target=self._go_on, args=part, name=f"soak {part[0]}") for part in parts
        ]
        self._open: deque[socket.socket] = deque()
        self._channel: grpc.Channel

    def __enter__(self) -> Self:
        """Begin."""
        self._channel = grpc.insecure_channel(self._receiver.grpc, _LOCAL_SUBCHANNELS)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; every request that was begun is acknowledged."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._channel.close()
        while self._open:
            self._open.popleft().close()

    @staticmethod
    def _requests(chance: random.Random) -> ChurnRequests:
        return ChurnRequests(random.Random(chance.getrandbits(64)))

    def _go_on(self, kind: str, once: Callable[[], None], pause_s: float) -> None:
        while not self._stopping.wait(pause_s):
            try:
                once()
            except Exception as error:  # noqa: BLE001 - a thread's boundary: the soak has failed, and says why
                self.failures.append(f"{kind}: {type(error).__name__}: {error}")
                return

    def _steady(self, signal: Signal, requests: ChurnRequests) -> Callable[[], None]:
        def once() -> None:
            request = requests.next(signal)
            self._until_acknowledged(self._channel, request)
            self.acknowledged.add("steady load", request)

        return once

    def _cancelled(self, requests: ChurnRequests, chance: random.Random) -> Callable[[], None]:
        chance = random.Random(chance.getrandbits(64))

        def once() -> None:
            request = requests.next()
            # From before it leaves the client to after its answer.
            after_s = chance.choice([0.0, 0.0005, 0.002, 0.005, 0.02])
            export = _export(self._channel, request.signal)
            if chance.random() < 0.5:
                with suppress(grpc.RpcError):
                    export(request.body, timeout=after_s)
            else:
                call: Any = export.future(request.body, timeout=_PATIENCE_S)
                self._stopping.wait(after_s)
                call.cancel()
            self._until_acknowledged(self._channel, request)
            self.acknowledged.add("cancelled call", request)

        return once

    def _new_channel(self, requests: ChurnRequests) -> Callable[[], None]:
        def once() -> None:
            request = requests.next()
            with grpc.insecure_channel(self._receiver.grpc, _LOCAL_SUBCHANNELS) as channel:
                self._until_acknowledged(channel, request)
            self.acknowledged.add("new channel", request)

        return once

    def _until_acknowledged(self, channel: grpc.Channel, request: ChurnRequest) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                _export(channel, request.signal)(request.body, timeout=_PATIENCE_S)
            except grpc.RpcError as error:
                if error.code() not in _RETRYABLE or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)  # as a client does that was told to come again
            else:
                return

    def _new_connection(self, requests: ChurnRequests) -> Callable[[], None]:
        def once() -> None:
            request = requests.next()
            deadline = time.monotonic() + _PATIENCE_S
            while (status := self._post(f"/v1/{request.signal}", request.body)) == 503:
                assert time.monotonic() < deadline, "503 all the time"
                time.sleep(_AGAIN_S)
            assert status == 200, status
            self.acknowledged.add("new connection", request)

        return once

    def _post(self, path: str, body: bytes, content_type: str = "application/x-protobuf") -> int:
        connection = http.client.HTTPConnection(self._receiver.http, timeout=_PATIENCE_S)
        try:
            connection.request("POST", path, body, {"content-type": content_type})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def _half_open(self, chance: random.Random) -> Callable[[], None]:
        chance = random.Random(chance.getrandbits(64))
        beginnings = (
            b"",
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000",
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nhalf",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        )

        def once() -> None:
            receiver = self._receiver
            host, _, port = chance.choice([receiver.grpc, receiver.http, receiver.query]).rpartition(":")
            opened = socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S)
            opened.sendall(chance.choice(beginnings))
            self._open.append(opened)
            if len(self._open) > _HALF_OPEN:
                oldest = self._open.popleft()
                if chance.random() < 0.5:
                    oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                oldest.close()
            self.acknowledged.add("half-open connection")

        return once

    def _bad(self, chance: random.Random) -> Callable[[], None]:
        chance = random.Random(chance.getrandbits(64))
        bad: Sequence[tuple[str, bytes, str, int]] = (
            ("/v1/traces", b"\xff\xff\xff", "application/x-protobuf", 400),
            ("/v1/logs", b'{"resourceLogs":[{]}', "application/json", 400),
            ("/v1/nothing", b"", "application/x-protobuf", 404),
            ("/v1/metrics", b"", "text/plain", 415),
        )

        def once() -> None:
            path, body, content_type, expected = chance.choice(bad)
            status = self._post(
                path, body + chance.randbytes(8) if body[:1] == b"\xff" else body, content_type
            )
            assert status in (expected, 503), (path, status)
            with suppress(grpc.RpcError):
                _export(self._channel, Signal.LOGS)(b"\xff" + chance.randbytes(8), timeout=_PATIENCE_S)
            self.acknowledged.add("bad request")

        return once

    def _question(self) -> None:
        connection = http.client.HTTPConnection(self._receiver.query, timeout=_PATIENCE_S)
        try:
            for path in (*(f"/api/v1{each}" for each in _QUESTIONS), "/metrics", "/readyz"):
                connection.request("GET", path)
                _answered(connection, path)
            body = json.dumps({"query": _SQL})
            connection.request("POST", "/api/v1/sql", body, {"content-type": "application/json"})
            _answered(connection, "sql")
        finally:
            connection.close()
        self.acknowledged.add("question")


def _answered(connection: http.client.HTTPConnection, what: str) -> None:
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in (200, 503), f"{what}: {answer.status} {said[:200]!r}"


def _export(channel: grpc.Channel, signal: Signal) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHODS[signal])
    return call
