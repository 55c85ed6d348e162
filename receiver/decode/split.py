"""Large requests cut into pieces, so that no step works on more than about one piece's worth of memory.

In: one serialized export request. Out: pieces that are export requests themselves, in the order of the
records, each with the resource, scope, schema URL and metric that its records stand under. Promised:

- no record is lost, doubled or changed; what has no records (a resource without scopes, a metric without
  points) stays and is there once; a header never goes out without what stood under it;
- a piece is at most ``max_piece_bytes`` long, unless one record is longer or its headers are longer than
  half of that: then it carries as many bytes of records as of headers, so that all pieces together stay
  within a small multiple of the request;
- before anything is cut the messages are counted (:mod:`receiver.decode.message_count`).

What the bytes of a record say is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from receiver.decode.message_count import MessageLimit, refuse_too_many
from receiver.decode.wire import encode_varint, read_fields, tag_of
from receiver.signals import Signal

_FRAME_BYTES = 6
"""What one level costs a piece beside its header: tag and length of the message that holds the rest."""


def split_request(
    signal: Signal,
    body: bytes,
    *,
    max_piece_bytes: int,
    max_messages: int,
    message_limit: MessageLimit = refuse_too_many,
) -> list[bytes]:
    """Return the request in pieces that can be decoded one by one; a small one is returned as it is.

    Args:
        signal: What kind of request it is.
        body: The serialized request.
        max_piece_bytes: About how long a piece may be; a body within it is not even looked at.
        max_messages: How many messages a longer body may hold: records, what they stand under, attributes,
            events, links, exemplars, quantiles, and the elements of long nested values.
        message_limit: Counts them.

    Raises:
        MalformedRequestError: The bytes above the records are not such a request.
        TooManyRecordsError: It holds more than ``max_messages``.

    Threads: any; blocks for about a microsecond a record, and for at most about a second.
    """
    if len(body) <= max_piece_bytes:
        return [body]
    message_limit(signal, body, max_messages)
    return list(_pieces(_LEVELS[signal], body, 0, len(body), _Room(max_piece_bytes)))


@dataclass(frozen=True, slots=True)
class _Level:
    """A message on the way down to the records: which of its fields lead there."""

    parts: Mapping[int, _Level | None]
    """The next level by tag; None stands for a record."""
    one_part: bool = False
    """True for a oneof: whoever sets it twice means the last one, and cutting would bring back the first."""


_RECORD_LISTS = _Level({tag_of(2): None})  # ScopeSpans.spans, ScopeLogs.log_records
_POINT_LISTS = _Level({tag_of(1): None})  # data_points, in each of the five kinds of metric
_METRIC = _Level({tag_of(number): _POINT_LISTS for number in (5, 7, 9, 10, 11)}, one_part=True)
_METRIC_LISTS = _Level({tag_of(2): _METRIC})  # ScopeMetrics.metrics

# Every request holds its resources in field 1, and every resource its scopes in field 2.
_LEVELS = {
    Signal.TRACES: _Level({tag_of(1): _Level({tag_of(2): _RECORD_LISTS})}),
    Signal.LOGS: _Level({tag_of(1): _Level({tag_of(2): _RECORD_LISTS})}),
    Signal.METRICS: _Level({tag_of(1): _Level({tag_of(2): _METRIC_LISTS})}),
}


@dataclass(frozen=True, slots=True)
class _Room:
    """How many bytes a piece may have and how many of them the headers above take."""

    piece_bytes: int
    headers_bytes: int = 0

    def below(self, header_bytes: int) -> _Room:
        return _Room(self.piece_bytes, self.headers_bytes + header_bytes + _FRAME_BYTES)

    @property
    def left(self) -> int:
        return max(self.piece_bytes - self.headers_bytes, self.headers_bytes)


def _pieces(level: _Level, body: bytes, start: int, end: int, room: _Room) -> Iterator[bytes]:
    """Yield the message between ``start`` and ``end`` as pieces of itself, header included in each."""
    header, parts = _header(level, body, start, end)
    if parts == 0 or (level.one_part and parts > 1):
        yield body[start:end]
        return
    room = room.below(len(header))
    run = _Run(body)
    # Tags come twice: the header first, since a schema URL stands behind the records. Keeping the places of
    # all records between the two would cost more memory than the records.
    for tag, begin, value, stop in read_fields(body, start, end):
        if tag not in level.parts:
            continue
        below = level.parts[tag]
        size = stop - begin
        if below is None or size <= room.left:
            if run.size and run.size + size > room.left:
                yield header + run.take()
            run.add(begin, stop)
            continue
        if run.size:
            yield header + run.take()
        for piece in _pieces(below, body, value, stop, room):
            yield b"".join((header, encode_varint(tag), encode_varint(len(piece)), piece))
    if run.size:
        yield header + run.take()


def _header(level: _Level, body: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Return the fields that every piece repeats, later fields of OTLP included, and the number of others."""
    run = _Run(body)
    parts = 0
    for tag, begin, _, stop in read_fields(body, start, end):
        if tag in level.parts:
            parts += 1
        else:
            run.add(begin, stop)
    return run.take(), parts


class _Run:
    """Fields to be copied together; neighbours are one range."""

    __slots__ = ("_body", "_ranges", "size")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._ranges: list[list[int]] = []
        self.size = 0

    def add(self, begin: int, end: int) -> None:
        if self._ranges and self._ranges[-1][1] == begin:
            self._ranges[-1][1] = end
        else:
            self._ranges.append([begin, end])
        self.size += end - begin

    def take(self) -> bytes:
        """Return the bytes and start anew."""
        joined = b"".join([self._body[begin:end] for begin, end in self._ranges])
        self._ranges = []
        self.size = 0
        return joined
