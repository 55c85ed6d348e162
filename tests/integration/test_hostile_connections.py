"""Clients that hold on to connections, on a real receiver: honest ones are answered, memory and files come back."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest

from receiver.signals import Signal
from tests.support.otlp_requests import span_request
from tests.support.raw_http import chunk, request_bytes
from tests.support.raw_http2 import PREFACE, frame
from tests.support.receiver_process import ReceiverProcess

IDLE = int(os.environ.get("HOSTILE_IDLE_CONNECTIONS", "2500"))
"""More than the HTTP listener keeps; HOSTILE_IDLE_CONNECTIONS=10000 is the long run."""
PROMPT_S = 3.0
"""Longest wait of an honest client: a second on a machine of its own."""
GROWTH_BYTES = 40_000 * IDLE + (100 << 20)
STORM_BYTES = 256 << 20
"""gRPC holds some ten times the bytes of a head without end until it gives the connection up; then it is free."""
SETTINGS = frame(4, 0, 0, b"")
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[None]:
    """Let this process open as many files as it may; the receiver starts with the usual 1024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Give a receiver that was started with the usual limit of files."""
    process = ReceiverProcess(tmp_path_factory.mktemp("connections") / "data")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, limits[1]), limits[1]))
    with ExitStack() as stack:
        try:
            stack.enter_context(process)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        process.flush()
        honest(process)
        yield process


def honest(receiver: ReceiverProcess) -> None:
    """Assert that a client of each listener is answered promptly."""
    began = time.monotonic()
    assert receiver.send("/v1/traces", json.dumps({"resourceSpans": []}).encode()).status == 200
    with urllib.request.urlopen(f"http://{receiver.query}/readyz", timeout=10) as answer:
        assert answer.status == 200
    with grpc.insecure_channel(receiver.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(Signal.TRACES.grpc_method)
        export(span_request(0).body, timeout=10)
    took = time.monotonic() - began
    assert took < PROMPT_S, f"honest clients waited {took:.1f} s"


def connected(address: str, stack: ExitStack) -> socket.socket:
    """Return a connection that the stack closes."""
    sock = stack.enter_context(socket.socket())
    sock.settimeout(20)
    sock.connect(("127.0.0.1", int(address.rpartition(":")[2])))
    return sock


def resident(receiver: ReceiverProcess) -> int:
    """Return the memory of the receiver in bytes."""
    return int(Path(f"/proc/{receiver.pid}/statm").read_bytes().split()[1]) * 4096


def open_files(receiver: ReceiverProcess) -> int:
    """Return how many files it has open."""
    return sum(1 for _ in Path(f"/proc/{receiver.pid}/fd").iterdir())


def until_given_back(receiver: ReceiverProcess, files: int) -> None:
    """Return when it has as many files open as before."""
    deadline = time.monotonic() + 30
    while (now := open_files(receiver)) > files + 8:
        assert time.monotonic() < deadline, f"{files} files were open, {now} still are"
        time.sleep(0.05)


@pytest.mark.parametrize("where", ["http", "query", "grpc", "grpc after its greeting"])
def test_idle_connections_keep_nobody_out(receiver: ReceiverProcess, where: str) -> None:
    """Thousands of them: the oldest idle ones make room on HTTP, and the process may open enough files for gRPC."""
    address = getattr(receiver, where.split(maxsplit=1)[0])
    files, memory = open_files(receiver), resident(receiver)
    with ExitStack() as stack:
        for _ in range(IDLE):
            sock = connected(address, stack)
            if where.endswith("greeting"):
                sock.sendall(PREFACE + SETTINGS)
        honest(receiver)
        assert resident(receiver) - memory < GROWTH_BYTES
    until_given_back(receiver, files)
    honest(receiver)


def test_a_used_connection_outlives_those_that_never_asked(receiver: ReceiverProcess) -> None:
    """An exporter that is between two exports is not closed for others that only hold on."""
    with ExitStack() as stack:
        kept = connected(receiver.http, stack)
        wire = request_bytes("/v1/traces", headers=PROTOBUF)
        kept.sendall(wire)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200")
        for _ in range(IDLE):
            connected(receiver.http, stack)
        honest(receiver)
        kept.sendall(wire)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200")


SLOW = {
    "heads of one byte": b"P",
    "heads without end": b"POST /v1/traces HTTP/1.1\r\n" + b"a: b\r\n" * 100,
    "bodies without end": request_bytes("/v1/traces", headers=PROTOBUF | {"Transfer-Encoding": "chunked"}) + chunk(b"x"),
    "bodies that were said to be long": request_bytes("/v1/traces", b"x", headers=PROTOBUF | {"Content-Length": "60000000"}),
}  # fmt: skip


@pytest.mark.parametrize("what", SLOW)
def test_slow_clients_keep_nobody_out(receiver: ReceiverProcess, what: str) -> None:
    """Each sends a byte now and then for as long as it is let."""
    files, memory = open_files(receiver), resident(receiver)
    with ExitStack() as stack:
        slow = [connected(receiver.http, stack) for _ in range(300)]
        for sock in slow:
            sock.sendall(SLOW[what])
        for byte in b"OST":
            for sock in slow:
                sock.sendall(bytes((byte,)) if "chunked" not in repr(SLOW[what]) else chunk(bytes((byte,))))
            honest(receiver)
        assert resident(receiver) - memory < 50 << 20
    until_given_back(receiver, files)


def test_messages_that_are_said_to_have_four_gigabytes_cost_nothing(receiver: ReceiverProcess) -> None:
    """The length is not believed: on gRPC, and on HTTP."""
    files, memory = open_files(receiver), resident(receiver)
    fields = {b":method": b"POST", b":scheme": b"http", b":path": Signal.TRACES.grpc_method.encode(), b"te": b"trailers", b"content-type": b"application/grpc"}  # fmt: skip
    block = b"".join(bytes((0, len(n))) + n + bytes((len(v),)) + v for n, v in fields.items())
    with ExitStack() as stack:
        for _ in range(20):
            sock = connected(receiver.grpc, stack)
            calls = [frame(1, 4, stream, block) + frame(0, 0, stream, b"\0\xff\xff\xff\xff" + bytes(9000)) for stream in (1, 3, 5)]  # fmt: skip
            sock.sendall(PREFACE + SETTINGS + b"".join(calls))
            connected(receiver.http, stack).sendall(
                request_bytes("/v1/traces", headers=PROTOBUF | {"Content-Length": str(2**32)})
            )
        honest(receiver)
        assert resident(receiver) - memory < 50 << 20
    until_given_back(receiver, files)


@pytest.mark.parametrize(
    "kind", ["goodbyes", "pings", "settings", "priorities", "empty data", "endless head"]
)
def test_a_storm_of_frames_keeps_nobody_out(receiver: ReceiverProcess, kind: str) -> None:
    """Frames that cost a client nothing: a hundred thousand of each, as fast as they are taken."""
    storm = {
        "goodbyes": frame(7, 0, 0, bytes(8)),
        "pings": frame(6, 0, 0, bytes(8)),
        "settings": SETTINGS,
        "priorities": frame(2, 0, 1, bytes(5)),
        "empty data": frame(0, 0, 1, b""),
        "endless head": frame(9, 0, 1, b"\0\x01a\x01b" * 50),
    }[kind]
    files, memory = open_files(receiver), resident(receiver)
    opening = {"endless head": frame(1, 0, 1, b"\x83"), "empty data": frame(1, 4, 1, b"\x83")}.get(kind, b"")
    for _ in range(10):
        with ExitStack() as stack:
            sock = connected(receiver.grpc, stack)
            sock.settimeout(1)
            with suppress(OSError):  # it was closed, or it is not read any more: both are right
                sock.sendall(PREFACE + SETTINGS + opening + storm * 10_000)
            honest(receiver)
    assert resident(receiver) - memory < STORM_BYTES
    until_given_back(receiver, files)


def test_nothing_of_it_stands_in_the_log(receiver: ReceiverProcess) -> None:
    """Clients cannot fill it."""
    assert len(receiver.log.splitlines()) < 5
