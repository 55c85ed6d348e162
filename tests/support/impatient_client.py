"""Clients that never retry and never stop sending: what is refused or reset is lost for them, and told.

    python -m tests.support.impatient_client GRPC_ENDPOINT HTTP_ENDPOINT FIRST RECORDS PAUSE_S

Four of them, each in a thread: a gRPC channel, a gRPC channel for each request, an HTTP connection that is kept
alive, an HTTP connection for each request. Lines as :mod:`tests.faults.sdk_client`: ``SIGNAL REQUEST`` after an
answer that says OK, ``SIGNAL REQUEST gave-up`` after anything else, which is also told on standard error. A last
line ``longest SECONDS`` on standard error is the longest that any request took. Ends when standard input is closed.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import grpc

from tests.support.exporting_client import METHODS, request_of

APART = 10**6
"""Requests of two clients that send the same signal are this far apart."""
_TIMEOUT_S = 30.0
_NO_RETRIES = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
Send = Callable[[bytes], None]
Connection = AbstractContextManager[Send]


@contextmanager
def _grpc(endpoint: str, signal: str) -> Iterator[Send]:
    with grpc.insecure_channel(endpoint, _NO_RETRIES) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHODS[signal])
        yield lambda body: void(export(body, timeout=_TIMEOUT_S))


@contextmanager
def _http(endpoint: str, signal: str) -> Iterator[Send]:
    connection = http.client.HTTPConnection(endpoint, timeout=_TIMEOUT_S)

    def send(body: bytes) -> None:
        connection.request("POST", f"/v1/{signal}", body, {"content-type": "application/x-protobuf"})
        with connection.getresponse() as answer:
            answer.read()
            if answer.status != 200:
                raise http.client.HTTPException(f"answered {answer.status}")

    with contextlib.closing(connection):
        yield send


def void(_answer: object) -> None:
    """Take an answer that says no more than OK."""


class Client:
    """One of the four. Threads: its own."""

    def __init__(
        self, name: str, signal: str, first: int, connect: Callable[[], Connection], *, anew: bool
    ) -> None:
        """Prepare; ``anew``: with a connection for each request."""
        self.name, self._signal, self._first, self._connect, self._anew = name, signal, first, connect, anew
        self.longest_s = 0.0

    def run(self, records: int, pause_s: float, end: threading.Event) -> None:
        """Send until the end."""
        numbers = itertools.count(self._first)
        while not end.is_set():
            with self._connect() as send:
                for number in numbers:
                    self._one(send, number, records)
                    if self._anew or end.wait(pause_s):
                        break
            end.wait(pause_s)

    def _one(self, send: Send, number: int, records: int) -> None:
        body = request_of(self._signal, number, records)
        begun = time.monotonic()
        try:
            send(body)
            failed = ""
        except (grpc.RpcError, OSError, http.client.HTTPException) as error:
            failed = " gave-up"
            sys.stderr.write(f"{self.name}: {error!r}\n")
        self.longest_s = max(self.longest_s, time.monotonic() - begun)
        sys.stdout.write(f"{self._signal} {number}{failed}\n")  # one write: lines do not mix
        sys.stdout.flush()


def main() -> None:
    """Run from the command line."""
    grpc_endpoint, http_endpoint, first, records, pause_s = sys.argv[1:6]
    clients = [
        Client("gRPC", "traces", int(first), lambda: _grpc(grpc_endpoint, "traces"), anew=False),
        Client("gRPC, connection each", "logs", int(first), lambda: _grpc(grpc_endpoint, "logs"), anew=True),
        Client("HTTP", "metrics", int(first), lambda: _http(http_endpoint, "metrics"), anew=False),
        Client(
            "HTTP, connection each",
            "logs",
            int(first) + APART,
            lambda: _http(http_endpoint, "logs"),
            anew=True,
        ),
    ]
    end = threading.Event()
    threads = [
        threading.Thread(target=client.run, args=(int(records), float(pause_s), end)) for client in clients
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    end.set()
    for thread in threads:
        thread.join()
    sys.stderr.write(f"longest {max(client.longest_s for client in clients):.3f}\n")


if __name__ == "__main__":
    main()
