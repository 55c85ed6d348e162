"""What the loader does in its thread: decode from the spool, flatten, write; set aside what cannot be loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from receiver.errors import ReceiverError, RetryableError, StoreRejectedError, UnloadableRequestError
from receiver.loader.ahead import Ahead
from receiver.loader.batch import Batch
from receiver.loader.position_note import PositionNote
from receiver.ports import (
    Columns,
    Decoder,
    ExportRequest,
    Flattener,
    LoadBatch,
    Spool,
    SpooledRequest,
    StoreWriter,
    Verdict,
)
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)
READ_BYTES = 8 << 20
"""Payload that is read from the spool at a time."""


class Transactions:
    """Batches in, store transactions out. Threads: one at a time; every method blocks."""

    def __init__(
        self,
        *,
        spool: Spool,
        decoder: Decoder,
        flattener: Flattener,
        metrics: Metrics,
        note: PositionNote,
    ) -> None:
        """Keep the stages; :attr:`writer` is set when the store is open."""
        self._spool = spool
        self._note = note
        self._decoder = decoder
        self._flattener = flattener
        self._metrics = metrics
        self.writer: StoreWriter | None = None
        self._given_up = False
        self._ahead = Ahead("rows")
        self.crowded = False
        """True after a write if a checkpoint must not wait."""

    @property
    def spool(self) -> UUID:
        """Return the identity of the spool that is loaded from."""
        return self._spool.uuid

    def opened(self) -> StoreWriter:
        """Return the store's writer.

        Raises:
            RetryableError: The store is not open.
        """
        if self.writer is None:
            raise RetryableError("the store is not open yet", hint="see /readyz")
        return self.writer

    def decode_into(self, batch: Batch, requests: list[SpooledRequest]) -> None:
        """Add the spooled requests to the batch; one that decodes no more goes to quarantine."""
        for signal, run in groupby(requests, key=lambda r: r.signal):
            self._decode_run(batch, signal, list(run))

    def write(self, batch: Batch, grow: Callable[[], None]) -> None:
        """Load the batch's columns, which are used up, in one transaction.

        Args:
            batch: May be incomplete; it is complete after the call, unless that raises.
            grow: Adds to an incomplete batch, or completes it; called in the thread that makes rows. Blocks.

        Raises:
            StoreRejectedError: The rows can never be written.
            UnloadableRequestError: The columns cannot be turned into rows.
            StoreUnavailableError: It may work later.
        """
        with closing(self._ahead.parts(self._rows(batch, grow))) as parts:
            load = LoadBatch(self.spool, batch.position, (), batch.records)
            load.parts = self._counted(load, batch, parts)
            self._store(load)

    def close(self) -> None:
        """End the thread that makes rows; no write may follow."""
        self._ahead.close()

    def give_up(self) -> None:
        """Let a transaction in hand end without its rows, which are still in the spool; begin no other. Threads: any."""
        self._given_up = True

    def _rows(self, batch: Batch, grow: Callable[[], None]) -> Iterator[Mapping[str, pa.Table]]:
        yield from self._flattener.parts(batch.columns)
        while not batch.is_complete:
            grow()
            yield from self._flattener.parts(batch.columns)

    def _counted(
        self, load: LoadBatch, batch: Batch, parts: Iterator[Mapping[str, pa.Table]]
    ) -> Iterator[Mapping[str, pa.Table]]:
        """Yield the parts while they are wanted, then say what they bring the store to."""
        for part in parts:
            if self._given_up:
                raise RetryableError("the receiver stops")
            yield part
        load.position = batch.position  # its records were counted on in place

    def revived(self) -> int:
        """Return the position of a store that works, which may have given up before: it can be lower than it was.

        Raises:
            StoreUnavailableError: It does not work yet.
        """
        writer = self.opened()
        if writer.revive():
            self._metrics.store_reopened()
        writer.verify_writable()
        position = writer.position(self.spool)
        return position if position >= self._note.read(self.spool) else self.begin(writer)

    def load_by_halves(self, position: int) -> None:
        """Load what the store has not yet, up to ``position``, from the spool; set aside what it refuses."""
        requests: list[SpooledRequest] = []
        after = self.opened().position(self.spool)
        while found := self._spool.read(after, max_bytes=READ_BYTES, until=position):
            requests += found
            after = found[-1].sequence
        self._bisect(requests)
        self._store(LoadBatch(self.spool, position, (), {}))

    def begin(self, writer: StoreWriter) -> int:
        """Write to this store from now on; return its position.

        A store that has gone back, and requests that can come from nowhere any more, are said in the log.
        """
        self.writer = writer
        position, noted = writer.position(self.spool), self._note.read(self.spool)
        if position < noted:
            _LOG.warning(
                "the store has gone back from position %d to %d (its log was cut or lost, or it is an older copy);"
                " what the spool still has above that is loaded again",
                noted,
                position,
            )
        if missing := self._spool.missing_after(position):
            _LOG.error(
                "%d requests above the store's position %d have left the spool, so they were in a newer state of"
                " the store and are not in this one; if there is a newer copy of the store, stop, put it back and"
                " start again",
                missing,
                position,
            )
        return position

    def _store(self, batch: LoadBatch) -> None:
        writer = self.opened()
        try:
            writer.load(batch)
        finally:
            self.crowded = writer.is_crowded
        self._note.write(batch.spool, batch.position)

    def _decode_run(self, batch: Batch, signal: Signal, requests: list[SpooledRequest]) -> None:
        """Decode consecutive requests of one signal together; one by one only if there is one at fault."""
        decoded = self._decoder.decode([ExportRequest(signal, r.payload) for r in requests])
        counts = [v.records if isinstance(v, Verdict) else -1 for v in decoded.verdicts]
        if counts == [r.records for r in requests]:
            size = sum(len(r.payload) for r in requests)
            batch.add(requests[-1].sequence, decoded.columns, {signal: sum(counts)}, size)
            return
        for request in requests:
            try:
                columns = self._columns(request)
            except UnloadableRequestError as error:
                self._set_aside(request, error)
                columns, records = [], {}
            else:
                records = {request.signal: request.records}
            batch.add(request.sequence, columns, records, len(request.payload))

    def _columns(self, request: SpooledRequest) -> list[Columns]:
        decoded = self._decoder.decode([ExportRequest(request.signal, request.payload)])
        verdict = decoded.verdicts[0]
        if not isinstance(verdict, Verdict):
            raise UnloadableRequestError(f"it does not decode any more: {verdict}")
        if verdict.records != request.records:
            raise UnloadableRequestError(f"{verdict.records} records decode instead of {request.records}")
        return decoded.columns

    def _set_aside(self, request: SpooledRequest, error: ReceiverError) -> None:
        _LOG.error("request %d goes to quarantine: %s", request.sequence, error)
        self._spool.quarantine(request.sequence, str(error))

    def _bisect(self, requests: list[SpooledRequest]) -> None:
        if not requests:
            return
        try:
            part = Batch(requests[-1].sequence, is_complete=True)
            for request in requests:
                part.add(request.sequence, self._columns(request), {request.signal: request.records}, 0)
            self.write(part, lambda: None)
        except (StoreRejectedError, UnloadableRequestError) as error:
            if len(requests) == 1:
                self._set_aside(requests[0], error)
                return
            middle = len(requests) // 2
            self._bisect(requests[:middle])
            self._bisect(requests[middle:])
        else:
            self._metrics.loaded(part.records, 0.0)
