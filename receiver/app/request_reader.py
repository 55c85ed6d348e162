"""Reads the requests that stand in files, with the decoder of the listeners."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.config import LimitsConfig
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.errors import MalformedRequestError, PermanentError
from receiver.ports import Encoding, ExportRequest, Transport, Verdict
from receiver.signals import Signal
from receiver.sources.collector.otlp_file import ReadRequest


class DecodingRequestReader:
    """Implements ``receiver.sources.collector.otlp_file.RequestReader``. Threads: one at a time; blocks for the CPU only."""

    def __init__(self, limits: LimitsConfig | None = None) -> None:
        """Judge by the limits of one request; by default those of a receiver that nobody configured."""
        self._decoder = ColumnDecoder(limits or LimitsConfig(), NestedValues())

    def read(
        self, signal: Signal, bodies: Sequence[bytes], encoding: Encoding
    ) -> list[ReadRequest | PermanentError]:
        """Return for each request what of it can be stored, or why nothing of it can."""
        requests = [ExportRequest(signal, body, encoding, Transport.IMPORT) for body in bodies]
        return [_said(verdict) for verdict in self._decoder.decode(requests).verdicts]


def _said(verdict: Verdict | PermanentError | None) -> ReadRequest | PermanentError:
    if isinstance(verdict, PermanentError):
        return verdict
    if verdict is None:  # a patient decoder has a verdict for everything
        return MalformedRequestError("the request was not decided on")
    return ReadRequest(verdict.payload, verdict.records, verdict.outcome.rejected, verdict.outcome.message)
