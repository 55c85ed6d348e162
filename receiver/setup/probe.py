"""One test signal of each kind, and the questions that find them again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from receiver import __version__
from receiver.otlp.encode import encode_spans
from receiver.otlp.encode_logs import LogDraft, encode_logs
from receiver.otlp.encode_metrics import MeterDraft, MetricDraft, NumberPoint, encode_metrics
from receiver.otlp.span import SpanDraft
from receiver.signals import Signal

SERVICE = "otlp-receiver-setup"
METRIC = "otlp_receiver.setup.check"
"""One metric for all checks: the attribute tells them apart, so that the list of metrics stays short."""
CHECK_ID = "setup.check.id"
_TEXT = "otlp-receiver setup check"
_RESOURCE = {"service.name": SERVICE, "service.version": __version__}
_INFO = 9


@dataclass(frozen=True, slots=True)
class Probe:
    """The signals of one check; its ids occur nowhere else."""

    trace_id: bytes
    span_id: bytes
    time_ns: int

    @classmethod
    def new(cls) -> Probe:
        """Return one of this moment with fresh ids."""
        return cls(os.urandom(16), os.urandom(8), time.time_ns())

    def body(self, signal: Signal) -> bytes:
        """Return the export request of one signal, with one record."""
        of_check = {CHECK_ID: self.trace_id.hex()}
        if signal is Signal.TRACES:
            span = SpanDraft(
                trace_id=self.trace_id,
                span_id=self.span_id,
                name=_TEXT,
                start_ns=self.time_ns,
                end_ns=self.time_ns + 1_000_000,
                attributes=of_check,
            )
            return encode_spans([span], resource=_RESOURCE, scope=SERVICE, scope_version=__version__)
        if signal is Signal.LOGS:
            log = LogDraft(
                time_ns=self.time_ns,
                observed_ns=self.time_ns,
                severity_number=_INFO,
                severity_text="INFO",
                body=_TEXT,
                attributes=of_check,
                trace_id=self.trace_id,
                span_id=self.span_id,
            )
            return encode_logs([log], resource=_RESOURCE, scope=SERVICE, scope_version=__version__)
        point = NumberPoint(time_ns=self.time_ns, value=1, attributes=of_check)
        metric = MetricDraft(name=METRIC, unit="1", description=_TEXT, numbers=[point])
        meter = MeterDraft(scope=SERVICE, scope_version=__version__, metrics=[metric])
        return encode_metrics([meter], resource=_RESOURCE)

    def question(self, signal: Signal) -> str:
        """Return the target of the query API's GET that finds the record."""
        trace_id = self.trace_id.hex()
        if signal is Signal.TRACES:
            return f"/api/v1/traces/{trace_id}"
        if signal is Signal.LOGS:
            return "/api/v1/logs?" + urlencode({"trace_id": trace_id})
        return f"/api/v1/metrics/{METRIC}?" + urlencode({"attribute": f'{CHECK_ID}="{trace_id}"'})

    @staticmethod
    def is_in(signal: Signal, answer: Mapping[str, Any]) -> bool:
        """Return whether the answer to that question holds the record."""
        member = {Signal.TRACES: "roots", Signal.LOGS: "logs", Signal.METRICS: "series"}[signal]
        return bool(answer.get(member))
