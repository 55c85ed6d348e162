"""Reads the requests that stand in files, with the decoder of the listeners."""

from __future__ import annotations

from receiver.config import LimitsConfig
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.errors import MalformedRequestError, PermanentError
from receiver.ports import Encoding, ExportRequest, Transport
from receiver.signals import Signal
from receiver.sources.otlp_file import ReadRequest


class DecodingRequestReader:
    """Implements ``receiver.sources.otlp_file.RequestReader``. Threads: one at a time; blocks for the CPU only."""

    def __init__(self, limits: LimitsConfig | None = None) -> None:
        """Judge by the limits of one request; by default those of a receiver that nobody configured."""
        self._decoder = ColumnDecoder(limits or LimitsConfig(), NestedValues())

    def read(self, signal: Signal, body: bytes, encoding: Encoding) -> ReadRequest:
        """Return what of the request can be stored.

        Raises:
            PermanentError: Nothing.
        """
        (verdict,) = self._decoder.decode([ExportRequest(signal, body, encoding, Transport.IMPORT)]).verdicts
        if isinstance(verdict, PermanentError):
            raise verdict
        if verdict is None:  # a patient decoder has a verdict for everything
            raise MalformedRequestError("the request was not decided on")
        return ReadRequest(
            verdict.payload, verdict.records, verdict.outcome.rejected, verdict.outcome.message
        )

    def protobuf(self, body: bytes) -> bytes:
        """Return an OTLP/JSON request of traces as protobuf.

        Raises:
            PermanentError: It is none, or not all of it can be stored.
        """
        read = self.read(Signal.TRACES, body, Encoding.JSON)
        if read.rejected:
            raise MalformedRequestError(read.message)
        return read.payload
