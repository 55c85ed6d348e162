"""A gRPC client that hides nothing: HTTP/2 frames are written one by one, and every frame that comes back is kept.

It asks the server for no compression of names (a table of size 0) and for binary trailers as bytes
(GRPC_ALLOW_TRUE_BINARY_METADATA), so that a header block can be read without Huffman codes.

Source: RFC 9113 (frames), RFC 7541 (header blocks), gRPC over HTTP/2 (messages, trailers).
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
_PADDED, _PRIORITY = 0x8, 0x20
_TABLE_SIZE, _INITIAL_WINDOW, _MAX_FRAME, _TRUE_BINARY = 1, 4, 5, 0xFE03
_FRAME_BYTES = 16384
_WINDOW_BYTES = 65535
# Of the static table (RFC 7541, appendix A) the fields that a gRPC server sends.
_STATIC = {8: (b":status", b"200"), 16: (b"accept-encoding", b"gzip, deflate"), 31: (b"content-type", b"")}

Fields = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass(slots=True)
class GrpcAnswer:
    """All that came back on one stream."""

    frames: list[Frame] = field(default_factory=list)
    blocks: list[Fields] = field(default_factory=list)
    """Its header blocks, in their order."""
    data: bytes = b""

    @property
    def trailers(self) -> Fields:
        """Return the last header block."""
        return self.blocks[-1]

    @property
    def code(self) -> int:
        """Return the gRPC status code."""
        return int(self.trailers["grpc-status"])

    @property
    def is_trailers_only(self) -> bool:
        """Return True if the answer is one single HEADERS frame that ends the stream."""
        return [(f.kind, f.flags & END_STREAM) for f in self.frames] == [(HEADERS, END_STREAM)]

    @property
    def message(self) -> bytes:
        """Return the one message of the answer; it must be there, plain and whole."""
        assert self.data[:1] == b"\0", "a compressed message, or none"
        assert int.from_bytes(self.data[1:5], "big") == len(self.data) - 5
        return self.data[5:]


class GrpcConnection:
    """One HTTP/2 connection to 127.0.0.1; several calls may be open on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use an open connection; :func:`connection` makes one."""
        self._reader = reader
        self._writer = writer
        self._next_stream = 1
        self._answers: dict[int, GrpcAnswer] = {}
        self._ended: set[int] = set()
        self._pong = False
        self._window = _WINDOW_BYTES
        self._stream_window = _WINDOW_BYTES
        self._windows: dict[int, int] = {}

    async def greet(self) -> None:
        """Send the preface and what this client wants of the server."""
        wanted = _setting(_TABLE_SIZE, 0) + _setting(_TRUE_BINARY, 1)
        self._writer.write(PREFACE + frame(SETTINGS, 0, 0, wanted))
        while not self._windows:
            await self._take_frame()

    def open(self, path: str, *, fields: Sequence[tuple[str, str]] = ()) -> int:
        """Begin a call and return its stream; its message comes with :meth:`send`."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        pairs = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"), *fields,
        ]  # fmt: skip
        block = b"".join(_literal(name.encode(), value.encode()) for name, value in pairs)
        self._writer.write(frame(HEADERS, END_HEADERS, stream, block))
        self._answers[stream] = GrpcAnswer()
        self._windows[stream] = self._stream_window
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Write bytes of a stream, as fast as the server's windows allow; stop where it has ended the stream."""
        at = 0
        while at < len(data):
            room = min(self._window, self._windows[stream], _FRAME_BYTES)
            if stream in self._ended:
                return
            if room <= 0:
                await self._take_frame()
                continue
            piece = data[at : at + room]
            at += len(piece)
            self._window -= len(piece)
            self._windows[stream] -= len(piece)
            last = END_STREAM if end and at == len(data) else 0
            self._writer.write(frame(DATA, last, stream, piece))
            await self._writer.drain()

    async def answer(self, stream: int) -> GrpcAnswer:
        """Return the whole answer of a call."""
        while stream not in self._ended:
            await self._take_frame()
        return self._answers[stream]

    async def call(
        self, path: str, body: bytes, *, compressed: bool = False, deadline: str = "20S"
    ) -> GrpcAnswer:
        """Send one message and return the answer."""
        fields = [("grpc-timeout", deadline)]
        stream = self.open(path, fields=[*fields, ("grpc-encoding", "gzip")] if compressed else fields)
        await self.send(stream, message(body, compressed=compressed))
        return await self.answer(stream)

    async def ping(self) -> None:
        """Return when the server has read all that was written before."""
        self._pong = False
        self._writer.write(frame(PING, 0, 0, bytes(8)))
        while not self._pong:
            await self._take_frame()

    async def _take_frame(self) -> None:
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        got = Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)
        if got.kind == SETTINGS and not got.flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6])
                if name == _INITIAL_WINDOW:
                    self._windows = {s: w + value - self._stream_window for s, w in self._windows.items()}
                    self._stream_window = value
            self._windows.setdefault(0, 0)
            self._writer.write(frame(SETTINGS, ACK, 0, b""))
        elif got.kind == PING and got.flags & ACK:
            self._pong = True
        elif got.kind == PING:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif got.kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if got.stream:
                self._windows[got.stream] += more
            else:
                self._window += more
        elif got.kind == GOAWAY and any(payload[4:8]):  # no error: what is open goes on
            raise ConnectionError(f"the server ends the connection: {payload[8:]!r}")
        elif got.stream:
            self._take(self._answers[got.stream], got)

    def _take(self, answer: GrpcAnswer, got: Frame) -> None:
        if got.kind == RST_STREAM:  # after END_STREAM: the rest of the request is not wanted
            assert got.stream in self._ended, f"the stream was reset: {got.payload!r}"
            return
        answer.frames.append(got)
        assert not got.flags & (_PADDED | _PRIORITY)
        if got.kind == HEADERS:
            assert got.flags & END_HEADERS, "a header block in several frames"
            answer.blocks.append(dict(_fields(got.payload)))
        elif got.kind == DATA:
            answer.data += got.payload
        if got.flags & END_STREAM:
            self._ended.add(got.stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame as it goes on the wire."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """Return one gRPC message: a flag, a length, the bytes."""
    wire = gzip.compress(body, 1) if compressed else body
    return bytes((compressed,)) + len(wire).to_bytes(4, "big") + wire


def _setting(name: int, value: int) -> bytes:
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


def _literal(name: bytes, value: bytes) -> bytes:
    assert len(name) < 127
    assert len(value) < 127
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


def _fields(block: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the fields of a header block that uses neither a dynamic table nor Huffman codes."""
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            index, at = _integer(block, at, 7)
            name, value = _STATIC[index]
        elif first & 0xE0 == 0x20:  # a table size
            _, at = _integer(block, at, 5)
            continue
        else:
            index, at = _integer(block, at, 6 if first & 0x40 else 4)
            name, at = (_STATIC[index][0], at) if index else _string(block, at)
            value, at = _string(block, at)
        yield name.decode("ascii"), value.removeprefix(b"\0") if name.endswith(b"-bin") else value


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    number = block[at] & ((1 << bits) - 1)
    at += 1
    if number == (1 << bits) - 1:
        shift = 0
        while True:
            byte = block[at]
            at += 1
            number += (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
    return number, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    assert not block[at] & 0x80, "a Huffman code"
    length, at = _integer(block, at, 7)
    return block[at : at + length], at + length


@asynccontextmanager
async def connection(address: str) -> AsyncIterator[GrpcConnection]:
    """Open a connection to ``host:port`` for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    grpc = GrpcConnection(reader, writer)
    try:
        await grpc.greet()
        yield grpc
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def call(
    address: str, path: str, body: bytes, *, compressed: bool = False, deadline: str = "20S"
) -> GrpcAnswer:
    """Make one call on a connection of its own."""
    async with connection(address) as grpc:
        return await grpc.call(path, body, compressed=compressed, deadline=deadline)
