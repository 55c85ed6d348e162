"""Exporters of the OpenTelemetry Python SDK that write to a store in the same process: no socket, no server.

    provider.add_span_processor(BatchSpanProcessor(StoreSpanExporter("data")))

Needs the extra ``sdk``. A data directory belongs to one process: where a receiver runs on it, send OTLP to that one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from receiver.app.receiver_thread import ReceiverThread
from receiver.config import Settings
from receiver.errors import ReceiverError
from receiver.signals import Signal

_LOG = logging.getLogger(__name__)


class StoreSpanExporter(SpanExporter):
    """Writes spans to the store of a data directory; they are synced to disk when ``export`` returns.

    Threads: any; ``export`` blocks until the spans are on disk, so use it behind a ``BatchSpanProcessor``.
    """

    def __init__(self, data_dir: str | PathLike[str] = "data", *, settings: Settings | None = None) -> None:
        """Open the data directory and start a receiver without listeners in a thread of its own.

        Args:
            data_dir: Made where it is missing; ``otlp-receiver search --data-dir`` reads it afterwards.
            settings: Instead of the defaults; its listeners are switched off, ``data_dir`` counts.

        Raises:
            StartError: The folder cannot be used, or belongs to a running receiver.
            StoreUnavailableError: Another process holds the database.
        """
        chosen = (settings or Settings()).model_copy(update={"data_dir": str(data_dir)})
        self._running = ReceiverThread(chosen.without_listeners())

    @property
    def receiver(self) -> ReceiverThread:
        """Return the receiver, to ask it while the exporter is open."""
        return self._running

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Return SUCCESS once all spans are on disk; FAILURE, with a line in the log, if any is not."""
        body = encode_spans(spans).SerializeToString()
        try:
            outcome = self._running.call(lambda access: access.export(Signal.TRACES, body))
        except (ReceiverError, TimeoutError) as error:
            _LOG.error("%d spans were not stored: %s", len(spans), error)
            return SpanExportResult.FAILURE
        if outcome.rejected:
            _LOG.error("%d of %d spans were rejected: %s", outcome.rejected, len(spans), outcome.message)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True once every exported span can be queried, False if that took longer."""
        try:
            self._running.call(lambda access: access.flush(), timeout_s=timeout_millis / 1000)
        except (ReceiverError, TimeoutError) as error:
            _LOG.warning("the flush did not complete: %s", error)
            return False
        return True

    def shutdown(self) -> None:
        """Store what was exported and close; spans exported afterwards fail. A second call changes nothing."""
        self._running.close()
