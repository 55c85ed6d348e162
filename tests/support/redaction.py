"""A decoder with redaction rules, and the keys and strings that stand in a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from receiver.config import LimitsConfig, RedactRule
from receiver.decode.nested_values import NestedValues
from receiver.decode.redact import Redactor
from receiver.decode.redact_rules import compile_rules
from receiver.decode.routes import open_decoder
from receiver.errors import PermanentError
from receiver.ports import Encoding, ExportRequest, Verdict
from receiver.signals import Signal
from tests.support.decode_routes import verdicts_of

HASH_KEY = b"0123456789abcdef"
REQUEST_TYPES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def rule(action: str, *keys: str, values: tuple[str, ...] = ()) -> RedactRule:
    """Return a rule as the settings hold it."""
    return RedactRule.model_validate({"action": action, "keys": keys, "values": values})


class Redacting:
    """Decodes with rules, on both routes; ``counts`` tells how many values one treated, by action."""

    def __init__(self, *rules: RedactRule, hash_key: bytes = HASH_KEY, patient: bool = True) -> None:
        """Use the rules in their order."""
        self.counts: Counter[str] = Counter()
        compiled = compile_rules(rules)
        self.redactor = Redactor(compiled, hash_key=hash_key, counted=self._count)
        uncounted = Redactor(compiled, hash_key=hash_key, counted=lambda *_: None)
        limits, nested = LimitsConfig(), NestedValues()
        self._decoder = open_decoder(limits, nested, patient=patient, redactor=self.redactor)
        self._python = open_decoder(limits, nested, compiled=False, patient=patient, redactor=uncounted)

    def _count(self, action: str, values: int) -> None:
        self.counts[action] += values

    def verdict(
        self, signal: Signal, body: bytes, encoding: Encoding = Encoding.PROTOBUF
    ) -> Verdict | PermanentError | None:
        """Return the verdict on one request, the same on both routes."""
        request = ExportRequest(signal, body, encoding)
        found, expected = self._decoder.decode([request]), self._python.decode([request])
        assert verdicts_of(found) == verdicts_of(expected)
        return found.verdicts[0]

    def payload(self, signal: Signal, body: bytes, encoding: Encoding = Encoding.PROTOBUF) -> bytes:
        """Return what would be written to disk of an acceptable request."""
        verdict = self.verdict(signal, body, encoding)
        assert isinstance(verdict, Verdict), verdict
        return verdict.payload

    def message(self, signal: Signal, body: bytes) -> Any:
        """Return the same as a message."""
        return REQUEST_TYPES[signal].FromString(self.payload(signal, body))


def texts_of(message: Message) -> Iterator[str]:
    """Yield every string of a message, keys of attributes and of entities left out."""
    for field, content in message.ListFields():
        each = content if field.is_repeated else [content]
        if field.type == field.TYPE_MESSAGE:
            for one in each:
                yield from texts_of(one)
        elif field.type == field.TYPE_STRING and field.name not in ("key", "id_keys", "description_keys"):
            yield from each


def keys_of(message: Message) -> Iterator[str]:
    """Yield every attribute key of a message, nested ones included."""
    if isinstance(message, KeyValue):
        yield message.key
    for field, content in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for one in content if field.is_repeated else [content]:
                yield from keys_of(one)


def names(rule: RedactRule, key: str) -> bool:
    """Return whether a rule names a key, the simple way."""
    return any(
        re.fullmatch(
            ".*".join(map(re.escape, glob.split("*"))).encode(), key.encode(), re.IGNORECASE | re.DOTALL
        )
        for glob in rule.keys
    )
