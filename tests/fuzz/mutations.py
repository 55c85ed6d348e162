"""Valid requests in, damaged ones out: bytes that are hit at random, and messages that are changed with knowledge.

Damage to bytes ends nearly always in the outermost parser. So most mutations walk down the fields of a message,
change one, and write the lengths above it anew: what comes out is still protobuf, or still JSON, and wrong further
inside.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import zstandard

from receiver.decode.wire import FIXED32, FIXED64, LENGTH, VARINT, encode_varint, read_fields, tag_of
from receiver.errors import MalformedRequestError
from tests.support.wire_bytes import field, nested_value

_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x22, 0x2C, 0x7B, 0xC0, 0xED)
_NUMBERS = (0, 1, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
_TEXTS = (
    b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xc3", b"'; DROP TABLE spans; --",
    b"\x1b]0;x\x07", "\u202e".encode(), b"@bytes", b"@duplicates", b"service.name", b"{", b"x" * 3000,
)  # fmt: skip
_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.5, 1e308, "", "0", "-1", "18446744073709551616",
    "NaN", "Infinity", "-Infinity", "nan", "1e3", "0x10", "\x00", "\ud800", "\udfff\ud800", "zz", "é" * 9, "=", [], {},
    [[]], [None], {"": None}, {"value": {"stringValue": 1}}, {"arrayValue": {}}, {"kvlistValue": {"values": [{}]}},
    {"intValue": "9223372036854775808"}, {"bytesValue": "%%"}, {"doubleValue": "x"}, {"intValue": 1, "boolValue": True},
)  # fmt: skip
_JSON_DEEP = (200, 600, 2000, 20_000)


class Mutator:
    """Makes inputs of one signal. Everything that is random comes from one source."""

    def __init__(
        self, chance: random.Random, requests: Sequence[bytes], documents: Sequence[dict[str, Any]]
    ) -> None:
        """Begin with valid requests, as protobuf and as JSON."""
        self._chance = chance
        self._requests = requests
        self._documents = documents

    def protobuf(self) -> bytes:
        """Return a request with one to four changes."""
        body = self._chance.choice(self._requests)
        for _ in range(self._chance.choice((1, 1, 1, 2, 2, 4))):
            change = self._chance.random()
            if change < 0.6:
                body = self._inside(body, 0)
            elif change < 0.92:
                body = self.damaged(body)
            elif change < 0.96:
                body += self._chance.choice(
                    self._requests
                )  # messages that stand one behind the other are one
            else:
                body = self._tower(body)
        if self._chance.random() < 0.002:
            body *= self._chance.choice((20, 300))
        return body

    def json(self) -> bytes:
        """Return a request with one to four changes, as JSON."""
        document: Any = json.loads(json.dumps(self._chance.choice(self._documents)))
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            document = self._inside_json(document)
        text = json.dumps(document, ensure_ascii=self._chance.random() < 0.5)
        if self._chance.random() < 0.01:
            text = self._deep(text)
        body = text.encode(errors="surrogatepass")
        return self.damaged(body) if self._chance.random() < 0.35 else body

    def compressed(self) -> tuple[str, bytes]:
        """Return a content coding and a damaged body in it, or one that is not in it at all."""
        body = self._chance.choice(self._requests) * self._chance.choice((1, 1, 1, 50))
        coding = self._chance.choice(("gzip", "deflate", "zstd"))
        made = _CODERS[coding](body, self._chance)
        if self._chance.random() < 0.1:
            made += _CODERS[self._chance.choice(tuple(_CODERS))](body, self._chance)
        for _ in range(self._chance.choice((0, 1, 1, 2))):
            made = self.damaged(made)
        return coding, made

    def damaged(self, body: bytes) -> bytes:
        """Return bytes with one change that knows nothing of what they are."""
        if not body:
            return self._chance.randbytes(self._chance.randrange(1, 20))
        at = self._chance.randrange(len(body))
        end = min(len(body), at + self._chance.choice((1, 1, 2, 4, 16, 64)))
        match self._chance.randrange(8):
            case 0:
                return body[:at] + bytes((body[at] ^ 1 << self._chance.randrange(8),)) + body[at + 1 :]
            case 1:
                return body[:at] + bytes((self._chance.choice(_BYTES),)) + body[at + 1 :]
            case 2:
                return body[:at] + body[end:]
            case 3:
                return body[:end] + body[at:end] * self._chance.choice((1, 2, 30)) + body[end:]
            case 4:
                return body[:at] + self._chance.randbytes(end - at) + body[end:]
            case 5:
                return body[:at]
            case 6:
                other = self._chance.choice(self._requests)
                return body[:at] + other[self._chance.randrange(len(other)) :]
            case _:
                return body[:at] + encode_varint(self._chance.choice(_NUMBERS)) + body[end:]

    def _inside(self, message: bytes, depth: int) -> bytes:
        """Change one field somewhere below; every length above it is right again."""
        try:
            fields = list(read_fields(message))
        except MalformedRequestError:
            return self.damaged(message)
        if not fields:
            return self._new_field()
        tag, begin, value, end = self._chance.choice(fields)
        if tag & 7 == LENGTH and depth < 30 and self._chance.random() < 0.85:
            inner = self._inside(message[value:end], depth + 1)
            changed = encode_varint(tag) + encode_varint(len(inner)) + inner
        else:
            changed = self._changed(tag, message[begin:end], message[value:end])
        return message[:begin] + changed + message[end:]

    def _changed(self, tag: int, whole: bytes, value: bytes) -> bytes:
        match self._chance.randrange(8):
            case 0:
                return b""
            case 1:
                return whole * self._chance.choice((2, 3, 40))
            case 2:
                return whole + self._new_field()
            case 3:  # the same number with another wire type
                return encode_varint(tag_of(tag >> 3, self._chance.randrange(8))) + value
            case 4:
                return encode_varint(tag_of(self._chance.randrange(1, 20), tag & 7)) + whole[-len(value) :]
            case 5 if tag & 7 == LENGTH:
                return field(tag >> 3, self._chance.choice(_TEXTS))
            case 6 if tag & 7 == LENGTH:  # ids that are too long, too short, all zero
                return field(tag >> 3, bytes(self._chance.choice((0, 7, 8, 9, 15, 16, 17))))
            case _:
                return self._number_for(tag)

    def _number_for(self, tag: int) -> bytes:
        number = self._chance.choice(_NUMBERS)
        sizes = {FIXED64: 8, FIXED32: 4}
        kind = tag & 7
        if kind in sizes:
            return encode_varint(tag) + (number % 256 ** sizes[kind]).to_bytes(sizes[kind], "little")
        return encode_varint(tag) + encode_varint(number)

    def _new_field(self) -> bytes:
        number = self._chance.randrange(1, 24)
        if self._chance.random() < 0.5:
            return field(number, self._chance.choice(_TEXTS))
        return self._number_for(tag_of(number, self._chance.choice((VARINT, FIXED64, FIXED32))))

    def _tower(self, body: bytes) -> bytes:
        """Put values within values somewhere into a request; as an attribute it is one of a resource."""
        levels = self._chance.choice((1, 15, 16, 30, 33, 34, 60, 100, 101, 300))
        tower = nested_value(levels, self._chance.choice((5, 6)))
        pair = field(1, self._chance.choice(_TEXTS[:4])) + field(2, tower)
        return body + field(1, field(1, field(1, pair)))

    def _inside_json(self, document: Any) -> Any:
        path: list[tuple[Any, Any]] = []
        part = document
        while isinstance(part, dict | list) and part and (not path or self._chance.random() < 0.85):
            key = self._chance.choice(list(part) if isinstance(part, dict) else range(len(part)))
            path.append((part, key))
            part = part[key]
        if not path:
            return copy.deepcopy(self._chance.choice(_JSON_VALUES))
        container, key = path[-1]
        change = self._chance.randrange(5)
        if change == 0 and isinstance(container, dict):
            del container[key]
        elif change == 1 and isinstance(container, dict):
            name = self._chance.choice((key.upper(), "value", "_" + key, "", "\ud800", "spans"))
            container[name] = copy.deepcopy(part)
        elif change == 2 and isinstance(container, list):
            container.extend(copy.deepcopy(part) for _ in range(self._chance.choice((1, 3, 30))))
        else:
            container[key] = copy.deepcopy(self._chance.choice(_JSON_VALUES))
        return document

    def _deep(self, text: str) -> str:
        levels = self._chance.choice(_JSON_DEEP)
        opened = self._chance.choice(
            ("[", '{"a":', '{"arrayValue":{"values":[', '{"kvlistValue":{"values":[{"value":')
        )
        at = text.find(":") + 1
        return text[:at] + opened * levels + text[at:]


def _gzip(body: bytes, chance: random.Random) -> bytes:
    return gzip.compress(body, chance.choice((0, 6)), mtime=0)


def _deflate(body: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return zlib.compress(body)
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return raw.compress(body) + raw.flush()


def _zstd(body: bytes, chance: random.Random) -> bytes:
    made: bytes = zstandard.ZstdCompressor(
        write_checksum=chance.random() < 0.5, write_content_size=chance.random() < 0.5
    ).compress(body)
    return made


_CODERS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
