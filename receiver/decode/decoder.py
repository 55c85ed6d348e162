"""Groups of requests in, columns and verdicts out: implements ``receiver.ports.Decoder``.

The usual request passes three vectorised steps: columnar decoding, inspection, counting. Whatever shows a
fault is treated on its own and decoded again, so one client's bad request costs its neighbours nothing but time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from receiver.config import LimitsConfig
from receiver.decode.anyvalue import INVALID_UTF8, TOO_DEEP
from receiver.decode.density import is_dense
from receiver.decode.inspection import Findings, byte_lengths, inspect, messages
from receiver.decode.json_request import protobuf_from_json
from receiver.decode.message_count import MessageLimit, refuse_too_many
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import (
    POINT_KINDS,
    RecordColumns,
    from_nested,
    lengths,
    point_lists,
    right_sized,
)
from receiver.decode.redact import Redactor
from receiver.decode.repair import normalized, without_bad_records
from receiver.decode.split import split_request
from receiver.decode.utf8 import repair_utf8
from receiver.decode.wire_columns import nested_requests
from receiver.errors import MalformedRequestError, PermanentError, TooManyRecordsError
from receiver.ports import DecodedGroup, Encoding, ExportRequest, Outcome, Verdict
from receiver.signals import Signal

_CHUNK_BYTES = 1 << 20  # of small requests in one columnar call: about 6 ms with the GIL held
_PIECE_BYTES = 512 << 10  # of one large request: even 2-byte messages then cost less than 30 MB of Arrow
_DENSE_PIECE_BYTES = 64 << 10
_QUICK_BYTES = 64 << 10  # what Python treats in about 0.1 s at worst: 32,000 empty records
_MESSAGE_BYTES = 1024  # rule C11: a partial_success message stays short
_REASONS = 5


@dataclass
class _Draft:
    """A request on its way to a verdict."""

    original: bytes
    pieces: list[bytes] = field(default_factory=list)
    dense: bool = False
    """Messages of a few bytes each: in smaller pieces."""
    changed: bool = False
    error: PermanentError | None = None
    warnings: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    all_redacted: bool = False
    redacted: set[int] = field(default_factory=set)
    """The pieces that the rules were applied to; a second time would hash hashes."""
    records: int = 0
    identifiable: bool = False


@dataclass(frozen=True)
class _Chunk:
    """Pieces decoded in one call: which draft each belongs to, and which piece of it it is."""

    places: list[tuple[int, int]]
    columns: RecordColumns


class ColumnDecoder:
    """Decodes on Arrow columns; one call at a time."""

    def __init__(
        self,
        limits: LimitsConfig,
        nested: NestedValues,
        *,
        patient: bool = True,
        redactor: Redactor | None = None,
        message_limit: MessageLimit = refuse_too_many,
    ) -> None:
        """Use the limits of one request and the shared cache of nested values.

        Args:
            limits: Of one request.
            nested: Shared with the flattener.
            patient: False: requests that need more than a moment of Python are given back without a verdict.
            redactor: Takes out of requests what must not be stored; None where nothing is, and for what was
                stored before.
            message_limit: Counts the messages of large requests.
        """
        self._limits = limits
        self._nested = nested
        self._patient = patient
        self._redactor = redactor
        self._message_limit = message_limit

    def decode(self, requests: Sequence[ExportRequest]) -> DecodedGroup:
        """Return a verdict for each request and the columns of what was accepted; see the port."""
        if not requests:
            return DecodedGroup([], [])
        signal = requests[0].signal
        drafts = [self._draft(request) for request in requests]
        if self._redactor is not None:
            self._redact(self._redactor, signal, drafts)
        for draft in drafts:
            self._cut(signal, draft)
        chunks = [chunk for batch in _batches(drafts) for chunk in self._decode_batch(signal, batch)]
        columns = [right_sized(chunk.columns) for chunk in chunks if len(chunk.columns.resources)]
        for each in columns:
            each.measure()
        return DecodedGroup(verdicts=[_verdict(draft) for draft in drafts], columns=[*columns])

    def _decode_batch(self, signal: Signal, drafts: list[_Draft]) -> list[_Chunk]:
        chunks: list[_Chunk] = []
        for _ in range(4):  # each pass mends one kind of fault for good; a clean pass ends it
            chunks = self._decode_chunks(signal, drafts)
            if not self._mend(signal, drafts, chunks):
                break
            chunks = []  # before they are decoded again: both at once would be twice the memory
        else:
            for draft in drafts:
                draft.error = draft.error or MalformedRequestError(
                    "the request cannot be brought into a storable form"
                )
        for chunk in chunks:
            self._count(chunk, drafts)
        return chunks

    def _draft(self, request: ExportRequest) -> _Draft:
        draft = _Draft(original=request.body)
        if request.encoding is Encoding.JSON and self._takes_long(request.body):
            draft.error = _NOT_HERE
            return draft
        if request.encoding is Encoding.JSON:
            try:
                converted = protobuf_from_json(
                    request.signal,
                    request.body,
                    max_objects=self._limits.json_objects,
                    quote=self._redactor is None,
                )
            except PermanentError as error:
                draft.error = error
            else:
                draft.original = converted.payload
                draft.warnings.update(converted.warnings)
        return draft

    def _redact(self, redactor: Redactor, signal: Signal, drafts: list[_Draft]) -> None:
        """Redact the whole requests that a rule may concern; all of their pieces count as redacted."""
        whole = [draft for draft in drafts if not draft.error]
        for draft, concerned in zip(whole, redactor.concerned([d.original for d in whole]), strict=True):
            if not concerned:
                continue
            if self._takes_long(draft.original):
                draft.error = _NOT_HERE
                continue
            try:
                draft.original = self._redacted(redactor, signal, draft, draft.original)
            except PermanentError as error:
                draft.error = error
            draft.all_redacted = True

    def _redacted(self, redactor: Redactor, signal: Signal, draft: _Draft, body: bytes) -> bytes:
        redacted = redactor.redacted(signal, body, max_messages=self._limits.request_messages)
        if redacted.too_deep:
            draft.warnings[_REDACTED_TOO_DEEP] += redacted.too_deep
        return redacted.body

    def _cut(self, signal: Signal, draft: _Draft) -> None:
        """Cut a request into pieces that are decoded one by one."""
        if draft.error:
            return
        draft.dense = len(draft.original) > _QUICK_BYTES and is_dense(draft.original)
        if draft.dense and not self._patient:
            draft.error = _NOT_HERE
            return
        try:
            draft.pieces = split_request(
                signal,
                draft.original,
                max_piece_bytes=_DENSE_PIECE_BYTES if draft.dense else _PIECE_BYTES,
                max_messages=self._limits.request_messages,
                message_limit=self._message_limit,
            )
        except PermanentError as error:
            draft.error = error
        if draft.all_redacted:
            draft.redacted.update(range(len(draft.pieces)))

    def _takes_long(self, body: bytes) -> bool:
        """Return True if treating these bytes in Python is not for this decoder."""
        return not self._patient and len(body) > _QUICK_BYTES

    def _decode_chunks(self, signal: Signal, drafts: list[_Draft]) -> list[_Chunk]:
        chunks: list[_Chunk] = []
        places: list[tuple[int, int]] = []
        size = 0
        for number, draft in enumerate(drafts):
            if draft.error:
                continue
            limit = _DENSE_PIECE_BYTES if draft.dense else _CHUNK_BYTES
            for place, piece in enumerate(draft.pieces):
                if places and size + len(piece) > limit:
                    chunks += self._decode_chunk(signal, drafts, places)
                    places, size = [], 0
                places.append((number, place))
                size += len(piece)
        if places:
            chunks += self._decode_chunk(signal, drafts, places)
        self._bound(drafts, chunks)
        return self._without_failed(signal, drafts, chunks)

    def _decode_chunk(
        self, signal: Signal, drafts: list[_Draft], places: list[tuple[int, int]]
    ) -> list[_Chunk]:
        places = [p for p in places if not drafts[p[0]].error]
        if not places:
            return []
        try:
            nested = nested_requests(signal, [drafts[n].pieces[p] for n, p in places])
        except MalformedRequestError:
            if len(places) > 1:
                return [c for place in places for c in self._decode_chunk(signal, drafts, [place])]
            return self._decode_damaged(signal, drafts, places[0])
        return [_Chunk(places, from_nested(signal, nested))]

    def _decode_damaged(self, signal: Signal, drafts: list[_Draft], place: tuple[int, int]) -> list[_Chunk]:
        """Repair the one piece that the columnar decoder refuses, or give its request up with the reason."""
        draft, piece = drafts[place[0]], place[1]
        if self._takes_long(draft.pieces[piece]):
            draft.error = _NOT_HERE
            return []
        try:
            repaired = repair_utf8(signal, draft.pieces[piece])
            draft.pieces[piece] = repaired.body
            draft.changed = True
            self._redact_piece(signal, draft, piece)
            nested = nested_requests(signal, [draft.pieces[piece]])
        except PermanentError as error:
            draft.error = error
            return []
        draft.warnings[_UTF8] += repaired.strings
        return [_Chunk([place], from_nested(signal, nested))]

    def _redact_piece(self, signal: Signal, draft: _Draft, piece: int) -> None:
        """Redact a piece that says something else than the bytes that were searched; once."""
        if self._redactor is not None and piece not in draft.redacted:
            draft.pieces[piece] = self._redacted(self._redactor, signal, draft, draft.pieces[piece])
            draft.redacted.add(piece)
            draft.changed = True

    def _bound(self, drafts: list[_Draft], chunks: list[_Chunk]) -> None:
        """Refuse large requests that turn out to hold too many messages (a small one cannot)."""
        totals: Counter[int] = Counter()
        for chunk in chunks:
            large = {n for n, _ in chunk.places if len(drafts[n].pieces) > 1}
            if large:
                totals.update(dict.fromkeys(large, messages(chunk.columns)))
        for number, total in totals.items():
            if total > self._limits.request_messages:
                drafts[number].error = too_many(total, self._limits.request_messages)

    def _without_failed(self, signal: Signal, drafts: list[_Draft], chunks: list[_Chunk]) -> list[_Chunk]:
        """Decode again those chunks that hold pieces of requests which failed meanwhile."""
        result: list[_Chunk] = []
        for chunk in chunks:
            alive = [p for p in chunk.places if not drafts[p[0]].error]
            if len(alive) == len(chunk.places):
                result.append(chunk)
            elif alive:
                result += self._decode_chunk(signal, drafts, alive)
        return result

    def _mend(self, signal: Signal, drafts: list[_Draft], chunks: list[_Chunk]) -> bool:
        """Repair what the inspection of the chunks finds; return True if anything has to be decoded again."""
        again = False
        warnings: list[tuple[_Chunk, Findings]] = []
        for chunk in chunks:
            found = inspect(chunk.columns, self._nested)
            warnings.append((chunk, found))
            unseen = self._unseen(chunk, drafts, found)
            again = again or found.needs_repair or bool(unseen)
            for place in found.malformed.keys() | found.doubled | found.bad_records | unseen:
                number, piece = chunk.places[place]
                draft = drafts[number]
                if draft.error:
                    continue
                if place in found.malformed:
                    draft.error = found.malformed[place]
                    continue
                if self._takes_long(draft.pieces[piece]):
                    draft.error = _NOT_HERE
                    continue
                try:
                    if place in unseen:
                        self._redact_piece(signal, draft, piece)
                    draft.changed |= place in found.doubled or place in found.bad_records
                    if place in found.doubled:
                        draft.pieces[piece] = normalized(signal, draft.pieces[piece])
                    if place in found.bad_records:
                        filtered = without_bad_records(signal, draft.pieces[piece])
                        draft.pieces[piece] = filtered.payload
                        draft.reasons.update(filtered.reasons)
                except PermanentError as error:
                    draft.error = error
        if not again:
            for chunk, found in warnings:
                for place, counts in found.warnings.items():
                    drafts[chunk.places[place][0]].warnings.update(counts)
        return again

    def _unseen(self, chunk: _Chunk, drafts: list[_Draft], found: Findings) -> set[int]:
        """Return the places of values that say something else than their bytes, and that no rule saw yet."""
        if self._redactor is None:
            return set()
        repaired = {place for place, warnings in found.warnings.items() if warnings.keys() & _UNSEEN}
        return {
            place
            for place, (number, piece) in enumerate(chunk.places)
            if place in repaired and piece not in drafts[number].redacted
        }

    def _count(self, chunk: _Chunk, drafts: list[_Draft]) -> None:
        columns = chunk.columns
        requests = columns.request_of_rows()
        size = len(chunk.places)
        if columns.signal is Signal.METRICS:
            weights = sum(lengths(point_lists(columns.rows, kind)) for kind in POINT_KINDS)
            counts = np.bincount(requests, weights=weights, minlength=size)
            identifiable = counts > 0
        elif columns.signal is Signal.TRACES:
            counts = np.bincount(requests, minlength=size)
            identifiable = counts > 0
        else:
            counts = np.bincount(requests, minlength=size)
            marked = columns.rows.field("time_unix_nano").to_numpy() != 0
            marked = marked | (columns.rows.field("observed_time_unix_nano").to_numpy() != 0)
            marked = marked | (byte_lengths(columns.rows.field("trace_id")) == 16)
            identifiable = np.bincount(requests, weights=marked, minlength=size) > 0
        for (number, _), count, marked_request in zip(chunk.places, counts, identifiable, strict=True):
            drafts[number].records += int(count)
            drafts[number].identifiable |= bool(marked_request)


_NOT_HERE = PermanentError("this request is for the patient decoder")


def _batches(drafts: list[_Draft]) -> Iterator[list[_Draft]]:
    """Yield the drafts in runs of about one chunk.

    Each run is decoded and mended before the next: of small bytes that are huge in records most are rejected,
    and the columns of what is rejected never pile up.
    """
    batch: list[_Draft] = []
    size = 0
    for draft in drafts:
        length = sum(map(len, draft.pieces))
        # One in pieces stays alone: what stands beside it must not count towards its limit of messages.
        alone = any(len(one.pieces) > 1 for one in (draft, *batch[-1:]))
        if batch and (alone or size + length > _CHUNK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(draft)
        size += length
    if batch:
        yield batch


_UNSEEN = frozenset({INVALID_UTF8, TOO_DEEP})
_REDACTED_TOO_DEEP = "values nested too deep for the redaction rules replaced by ***"
_UTF8 = "strings had invalid UTF-8, replaced by U+FFFD"


def too_many(found: int, limit: int) -> TooManyRecordsError:
    """Return the error for a request with more messages than may be decoded at once."""
    return TooManyRecordsError(
        f"the request holds at least {found} records, attributes, events and links; the limit is {limit}",
        hint="send smaller batches, or raise limits.request_messages",
    )


def _verdict(draft: _Draft) -> Verdict | PermanentError | None:
    if draft.error is _NOT_HERE:
        return None
    if draft.error:
        return draft.error
    return Verdict(
        payload=b"".join(draft.pieces) if draft.changed else draft.original,
        records=draft.records,
        outcome=Outcome(draft.reasons.total(), _message(draft)),
        identifiable=draft.identifiable,
    )


def _message(draft: _Draft) -> str:
    """Return why records were rejected and what was repaired: the commonest reasons, at most 1 KiB."""
    parts = []
    if draft.reasons:
        listed = draft.reasons.most_common(_REASONS)
        parts.append("rejected: " + "; ".join(f"{count} × {reason}" for reason, count in listed))
        if len(draft.reasons) > len(listed):
            parts.append(f"and {len(draft.reasons) - len(listed)} more reasons")
    parts += [f"{count} × {text}" for text, count in draft.warnings.most_common(_REASONS)]
    return "; ".join(parts).encode()[:_MESSAGE_BYTES].decode(errors="ignore")
