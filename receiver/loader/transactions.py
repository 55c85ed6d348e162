"""What the loader does in its thread: decode from the spool, flatten, write; set aside what cannot be loaded."""

from __future__ import annotations

import logging
from itertools import groupby
from uuid import UUID

from receiver.errors import ReceiverError, RetryableError, StoreRejectedError, UnloadableRequestError
from receiver.loader.batch import Batch
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

_LOG = logging.getLogger(__name__)
READ_BYTES = 8 << 20
"""Payload that is read from the spool at a time."""


class Transactions:
    """Batches in, store transactions out. Threads: one at a time; every method blocks."""

    def __init__(self, *, spool: Spool, decoder: Decoder, flattener: Flattener, metrics: Metrics) -> None:
        """Keep the stages; :attr:`writer` is set when the store is open."""
        self._spool = spool
        self._decoder = decoder
        self._flattener = flattener
        self._metrics = metrics
        self.writer: StoreWriter | None = None

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

    def write(self, batch: Batch) -> None:
        """Load the batch's columns, which are used up, in one transaction.

        Raises:
            StoreRejectedError: The rows can never be written.
            UnloadableRequestError: The columns cannot be turned into rows.
            StoreUnavailableError: It may work later.
        """
        tables = self._flattener.flatten(batch.columns)
        self.opened().load(LoadBatch(self.spool, batch.position, tables, batch.records))

    def load_by_halves(self, position: int) -> None:
        """Load what the store has not yet, up to ``position``, from the spool; set aside what it refuses."""
        requests: list[SpooledRequest] = []
        after = self.opened().position(self.spool)
        while found := self._spool.read(after, max_bytes=READ_BYTES, until=position):
            requests += found
            after = found[-1].sequence
        self._bisect(requests)
        self.opened().load(LoadBatch(self.spool, position, {}, {}))

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
            part = Batch(requests[-1].sequence)
            for request in requests:
                part.add(request.sequence, self._columns(request), {request.signal: request.records}, 0)
            self.write(part)
        except (StoreRejectedError, UnloadableRequestError) as error:
            if len(requests) == 1:
                self._set_aside(requests[0], error)
                return
            middle = len(requests) // 2
            self._bisect(requests[:middle])
            self._bisect(requests[middle:])
        else:
            self._metrics.loaded(part.records, 0.0)
