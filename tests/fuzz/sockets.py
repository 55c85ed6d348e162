"""Damaged bytes for the listeners of a real receiver: HTTP/1.1 on two ports, HTTP/2 on the third.

What must hold: every connection ends soon after its client has said that nothing more comes; what came back on an
HTTP connection is a row of well-formed answers, none of them a 500; an honest client is served all the time; the
log holds no error and no traceback; and afterwards the receiver has as many open files as before.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import shutil
import tempfile
from pathlib import Path

import grpc

from receiver.signals import Signal
from tests.fuzz.corpus import json_requests, protobuf_requests
from tests.fuzz.mutations import Mutator
from tests.support.otlp_requests import span_request
from tests.support.raw_http import chunk, request_bytes
from tests.support.raw_http2 import PREFACE, frame, message
from tests.support.receiver_process import ReceiverProcess

BATCH = 64
"""Connections of one batch, all open at a time."""
_EXAMPLES = 40
_ENDS_WITHIN_S = 30.0
_LISTENS_S = 0.02
_REVIVED_S = 10.0
_TOO_MANY = 256 << 10
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"(?i)content-length: (\d+)\r\n")
_ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:INFO|WARNING) receiver[.\w]*: ")
# What grpc.aio prints by itself: where a health check cannot be read and its client does not wait for the answer.
_OF_GRPC = re.compile(
    r"Traceback \(most recent call last\):\n(?:  File .*\n)+grpc\S*ExecuteBatchError: .*\n"
    # Its server's last words at a path that is not UTF-8; another server listens then.
    r"|.* ERROR asyncio: Task exception was never retrieved.*UnicodeDecodeError.*\n"
)
_BODYLESS = (100, 204, 304)
_HEADS = (
    b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 3\r\nContent-Length: 4",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: xchunked", b"Expect: 100-continue",
    b"Content-Encoding: gzip", b"Content-Encoding: gzip, gzip", b"Content-Encoding: br", b"Connection: close",
    b"Connection: upgrade\r\nUpgrade: websocket", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", b"Host:", b"Origin: null",
    b"Host: \xff\x00", b"Origin: http://localhost\xe9", b"Access-Control-Request-Headers: \xff", b"A" * 70_000 + b": 1",
    b"Content-Type: application/json; charset=\xff", b": empty", b" folded: yes", b"Name : space", b"Cookie: " + b"a=b;" * 5000,
)  # fmt: skip
_TARGETS = (
    "/v1/traces", "/v1/metrics", "/v1/logs", "/v1/traces/", "/", "*", "http://localhost/v1/traces", "/%00", "//", "/..",
    "/api/v1/traces", "/api/v1/traces?limit=x", "/api/v1/traces/%ff", "/api/v1/traces?where=%00&where=a%3D%ed%a0%80", "/api/v1/sql",
    "/api/v1/search?q=%F0%9F%A6%86&limit=-1", "/api/v1/stats?x", "/metrics", "/readyz", "/mcp", "/api/v1/openapi.json", "/api/v1/imports",
    "/api/v1/logs?since=99999999999999999999d", "/api/v1/spans?until=-1", "/api/v1/attributes/%22%27", "/" + "a" * 70_000,
)  # fmt: skip
_METHODS = (
    "POST",
    "POST",
    "POST",
    "GET",
    "OPTIONS",
    "HEAD",
    "PUT",
    "CONNECT",
    "TRACE",
    "PRI",
    "po\x00st",
    "",
)


class _Sockets:
    """A receiver of its own, and batches of connections to it."""

    name = ""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._folder = Path(tempfile.mkdtemp(prefix="otlp-receiver-fuzz-"))
        self.receiver = ReceiverProcess(self._folder / "data")
        self.receiver.start()
        self._honest()
        self._files = self._open_files()
        self._number = 0

    def run(self, number: int) -> int:
        """Do batch ``number``; return how many inputs that were.

        Raises:
            AssertionError: Something does not hold; any other exception is a finding too.
        """
        chance = random.Random(f"{self._seed} {self.name} {number}")
        inputs = [self._input(chance) for _ in range(BATCH)]
        asyncio.run(self._all(inputs, chance))
        if number % 8 == 0:
            self.check()
        return BATCH

    def check(self) -> None:
        """Assert that the receiver is as well as before.

        Raises:
            AssertionError: It is not.
        """
        self._honest()
        wrong = [line for line in _OF_GRPC.sub("", self.receiver.log).splitlines() if not _ENTRY.match(line)]
        assert not wrong, wrong[:40]
        opened = self._open_files()
        assert opened <= self._files + 8, f"{self._files} files were open, now {opened}"

    def close(self) -> None:
        """End the receiver and remove its data."""
        self.receiver.__exit__(None, None, None)
        shutil.rmtree(self._folder)

    def _input(self, chance: random.Random) -> tuple[int, bytes]:
        """Return a port and what to write to it."""
        raise NotImplementedError

    def _look(self, answered: bytes, *, was_cut: bool) -> None:
        """Judge what came back."""

    def _honest(self) -> None:
        raise NotImplementedError

    def _open_files(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.receiver.pid}/fd").iterdir())

    async def _all(self, inputs: list[tuple[int, bytes]], chance: random.Random) -> None:
        seeds = [chance.random() for _ in inputs]
        async with asyncio.TaskGroup() as group:
            for (port, data), drawn in zip(inputs, seeds, strict=True):
                group.create_task(self._one(port, data, random.Random(drawn)))

    async def _one(self, port: int, data: bytes, chance: random.Random) -> None:
        reader, writer = await _connected(port)
        answered, was_cut = b"", False
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                cut = chance.randrange(len(data) + 1)
                for piece in (data[:cut], data[cut:]):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if chance.random() < 0.7:
                    answered = await _heard(reader)
                if chance.random() < 0.1:
                    writer.transport.abort()
                    return
                if writer.can_write_eof():
                    writer.write_eof()
                while piece := await reader.read(1 << 16):
                    answered = (answered + piece)[:_TOO_MANY]
        except TimeoutError:
            raise AssertionError(f"the connection does not end: {data[:2000]!r}") from None
        except OSError:  # reset, or gone before we said that nothing more comes
            was_cut = True
        finally:
            writer.transport.abort()
        try:
            self._look(answered, was_cut=was_cut or len(answered) == _TOO_MANY)
        except AssertionError as error:
            raise AssertionError(f"{error} for {data[:2000]!r}") from None


class HttpFuzz(_Sockets):
    """HTTP/1.1 on the OTLP and on the query port."""

    name = "http"

    def _input(self, chance: random.Random) -> tuple[int, bytes]:
        where = self.receiver.http if chance.random() < 0.6 else self.receiver.query
        port = int(where.rpartition(":")[2])
        if chance.random() < 0.05:
            return port, chance.randbytes(chance.choice((1, 20, 3000, 90_000)))
        signal = chance.choice(list(Signal))
        mutator = Mutator(chance, protobuf_requests(signal, _EXAMPLES), json_requests(signal, _EXAMPLES))
        wire = b"".join(_http_request(chance, mutator, signal) for _ in range(chance.choice((1, 1, 2, 5))))
        for _ in range(chance.choice((0, 1, 1, 3))):
            head = wire.find(b"\r\n\r\n") + 4  # most damage to the head: bodies are the decoders' business
            wire = (
                mutator.damaged(wire[:head]) + wire[head:] if chance.random() < 0.7 else mutator.damaged(wire)
            )
        return port, wire

    def _look(self, answered: bytes, *, was_cut: bool) -> None:
        if answered[:4] != b"HTTP":  # to what begins like HTTP/2 the OTLP port answers in HTTP/2
            assert not answered or answered[3:5] == b"\x04\x00", f"no HTTP: {answered[:200]!r}"
            return
        at = 0
        while at < len(answered):
            found = _ANSWER.match(answered, at)
            if found is None and was_cut:
                return
            assert found, f"no HTTP answer: {answered[at : at + 300]!r}"
            status = int(found[1])
            assert status < 500 or status in (501, 503), f"{answered[at : at + 300]!r}"
            at = found.end()
            length = _LENGTH.search(found[2])
            if length and status not in _BODYLESS and answered[at : at + 5] != b"HTTP/":  # that was a HEAD
                at += min(int(length[1]), len(answered) - at if at == len(answered) else int(length[1]))
                assert at <= len(answered) or was_cut, "an answer ends too early"
            elif not length and status not in _BODYLESS:
                return  # until the end of the connection

    def _honest(self) -> None:
        body = json.dumps({"resourceSpans": []}).encode()
        assert self.receiver.send("/v1/traces", body).status == 200
        assert self.receiver.get("/services") is not None


class GrpcFuzz(_Sockets):
    """HTTP/2 on the gRPC port."""

    name = "grpc"

    def _input(self, chance: random.Random) -> tuple[int, bytes]:
        port = int(self.receiver.grpc.rpartition(":")[2])
        if chance.random() < 0.05:
            return port, chance.randbytes(chance.choice((1, 24, 3000)))
        mutator = Mutator(chance, protobuf_requests(Signal.TRACES, _EXAMPLES), ())
        frames = [frame(4, 0, 0, b"")]
        for stream in range(1, chance.choice((1, 3, 9)) * 2, 2):
            frames += _grpc_call(chance, mutator, stream)
        for _ in range(chance.choice((0, 1, 3))):
            kind, flags = chance.randrange(14), chance.choice((0, 1, 4, 5, 8, 255))
            payload = chance.randbytes(chance.choice((0, 4, 5, 6, 8, 100)))
            stream = chance.choice((0, 1, 2, 3, 2**31 - 1))
            frames.insert(chance.randrange(len(frames) + 1), frame(kind, flags, stream, payload))
        for _ in range(chance.choice((0, 0, 1, 2))):
            place = chance.randrange(len(frames))
            frames[place] = mutator.damaged(frames[place])
        return port, (PREFACE if chance.random() < 0.95 else mutator.damaged(PREFACE)) + b"".join(frames)

    def _honest(self) -> None:
        with grpc.insecure_channel(self.receiver.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                Signal.TRACES.grpc_method
            )
            assert export(span_request(0).body, timeout=20, wait_for_ready=True) is not None


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; for a moment nobody listens where gRPC's server has died and another one takes its place."""
    deadline = asyncio.get_running_loop().time() + _REVIVED_S
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            assert asyncio.get_running_loop().time() < deadline, "nobody listens any more"
            await asyncio.sleep(0.02)


async def _heard(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the receiver is silent for a moment."""
    heard = b""
    try:
        while len(heard) < _TOO_MANY:
            async with asyncio.timeout(_LISTENS_S):
                piece = await reader.read(1 << 16)
            if not piece:
                break
            heard += piece
    except TimeoutError:
        pass
    return heard


def _http_request(chance: random.Random, mutator: Mutator, signal: Signal) -> bytes:
    headers = {"Content-Type": "application/x-protobuf"}
    body = mutator.protobuf()
    match chance.randrange(5):
        case 0:
            headers, body = {"Content-Type": "application/json"}, mutator.json()
        case 1:
            headers["Content-Encoding"], body = mutator.compressed()
        case 2:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        case 3:
            headers = {"Content-Type": "application/json"}
            body = json.dumps(
                {"query": chance.choice(("SELECT 1", "SELECT '\x00'", "DROP TABLE spans", "["))}
            ).encode()
    target = signal.http_path if chance.random() < 0.5 else chance.choice(_TARGETS)
    method = "POST" if chance.random() < 0.6 else chance.choice(_METHODS)
    if chance.random() < 0.2:
        headers["Transfer-Encoding"] = "chunked"
        cut = chance.randrange(len(body) + 1)
        body = b"".join(chunk(part) for part in (body[:cut], body[cut:]) if part) + chunk(b"")
    wire = request_bytes(target, body, method=method, headers=headers)
    if chance.random() < 0.3:
        wire = wire.replace(b"\r\n", b"\r\n" + chance.choice(_HEADS) + b"\r\n", 1)
    return wire


def _grpc_call(chance: random.Random, mutator: Mutator, stream: int) -> list[bytes]:
    path = chance.choice([s.grpc_method for s in Signal] + ["/", "", "/grpc.health.v1.Health/Watch", "/a/b"])
    pairs = [
        (b":method", chance.choice((b"POST", b"POST", b"POST", b"GET"))), (b":scheme", b"http"), (b":path", path.encode()),
        (b":authority", b"localhost"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    ]  # fmt: skip
    if chance.random() < 0.3:
        pairs.append((b"grpc-encoding", chance.choice((b"gzip", b"deflate", b"br", b"identity"))))
    if chance.random() < 0.3:
        pairs.append((b"grpc-timeout", chance.choice((b"1S", b"0n", b"99999999H", b"x", b"-1S"))))
    if chance.random() < 0.2:
        pairs.append((chance.choice((b"x-bin", b"UPPER", b"a b", b":late", b"")), chance.randbytes(9)))
    block = b"".join(bytes((0, len(n))) + n + bytes((min(127, len(v)),)) + v[:127] for n, v in pairs)
    body = mutator.protobuf()[:15_000]
    data = message(body, compressed=chance.random() < 0.2)
    if chance.random() < 0.2:  # a message that is said to be of up to 4 GB
        data = data[:1] + chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0")) + data[5:]
    made = [frame(1, chance.choice((4, 4, 4, 0, 5)), stream, block), frame(0, 1, stream, data)]
    return made if chance.random() < 0.8 else [*made, frame(3, 0, stream, b"\0\0\0\x08")]
