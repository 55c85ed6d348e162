"""The outfile of Qwen Code and Gemini CLI: dumped spans, log records and metrics, one JSON object after another.

Each becomes the request that would have been sent live: the same ids, resource and scope. A model call's repeated
history is left out. Where the file holds no spans of the agent, its events become a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from receiver.otlp.encode import encode_spans
from receiver.otlp.encode_logs import encode_logs
from receiver.otlp.encode_metrics import encode_metrics
from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.contents.document import maybe_json, text
from receiver.sources.contents.messages import REPEATED, SeenMessages, as_text
from receiver.sources.documents import parsed_object
from receiver.sources.outfiles.js_telemetry import (
    is_log,
    is_metrics,
    is_span,
    log_of,
    resource_of,
    scope_of,
    span_of,
)
from receiver.sources.outfiles.metrics import Collection, latest_of
from receiver.sources.outfiles.turns import Events
from receiver.sources.source import MalformedDocumentError, unit_key

_HISTORY = ("request_text", "gen_ai.input.messages")
"""Attributes that hold a whole conversation as JSON, again with every model call."""
_SESSIONS = 64
"""Sessions whose messages are remembered; an older one that goes on repeats its history once."""
_SHAPE = re.compile(rb'"(?:_spanContext|hrTime|scopeMetrics|_rawAttributes|_performanceStartTime)"\s*:')
_OTLP = re.compile(rb'"(?:resourceSpans|resourceLogs|resourceMetrics)"\s*:')


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One of the agents that write such files."""

    format: str
    service: str
    prefix: str
    """What its events' names begin with."""
    provider: str = ""
    """Of its models, where the events do not say it."""
    whole_output: bool = False
    """Whether output tokens hold the thoughts, which Google counts apart."""
    marks: re.Pattern[bytes]
    """What only its files hold."""


QWEN_CODE = Agent(
    format="qwen_code",
    service="qwen-code",
    prefix="qwen-code.",
    whole_output=True,
    marks=re.compile(rb'"qwen-code["./]'),
)
GEMINI_CLI = Agent(
    format="gemini_cli",
    service="gemini-cli",
    prefix="gemini_cli.",
    provider="gcp.gemini",
    marks=re.compile(rb'"gemini[-_]cli["./]'),
)


def recognises_outfile(head: bytes, agent: Agent) -> bool:
    """Return True if a file that begins so is the agent's outfile and not another agent's."""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{" or _OTLP.search(head) or not _SHAPE.search(head):
        return False
    found = agent.marks.search(head)
    if not found:
        return False
    # An agent may be asked about the other one; the name of its service or scope comes before any prompt.
    rivals = [each.marks.search(head) for each in (QWEN_CODE, GEMINI_CLI) if each is not agent]
    return all(rival is None or found.start() < rival.start() for rival in rivals)


class OutfileParser:
    """Implements ``receiver.sources.source.Parser``."""

    def __init__(self, agent: Agent) -> None:
        """Know no session and no span."""
        self._agent = agent
        self._sessions: dict[str, None] = {}
        self._seen: dict[tuple[str, str], SeenMessages] = {}
        self._events = Events(
            agent.format,
            agent.service,
            agent.prefix,
            provider=agent.provider,
            whole_output=agent.whole_output,
        )

    @property
    def session_ids(self) -> list[str]:
        """Return the sessions that were met."""
        return list(self._sessions)

    def feed(self, document: bytes) -> Iterable[ImportUnit]:
        """Return the unit of this record, and those that its time completes."""
        record = parsed_object(document)
        try:
            if is_span(record):
                return self._span(record)
            if is_log(record):
                return self._log(record)
            if is_metrics(record):
                return self._metrics(record)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise MalformedDocumentError(f"a record with a value that OTLP cannot say: {error}") from error
        raise MalformedDocumentError(
            "neither a span nor a log record nor metrics", hint="the other records are read"
        )

    def flush(self, *, finished: bool, settled: bool = True) -> Iterator[ImportUnit]:  # noqa: ARG002 - the contract's
        """Return the open spans that events became; whether spans follow is not known before the end."""
        return iter(self._events.rest() if finished else [])

    def _span(self, record: Mapping[str, Any]) -> list[ImportUnit]:
        draft = span_of(record)
        scope, version = scope_of(record)
        resource = self._resource(record)
        encode_spans(
            [draft], resource=resource
        )  # what it raises must be raised before anything is remembered
        draft = replace(draft, attributes=self._without_history("span", draft.name, draft.attributes))
        payload = encode_spans([draft], resource=resource, scope=scope, scope_version=version)
        # Spans of HTTP requests come from instrumentation, and from versions that have no spans of their own.
        if not scope.startswith("@opentelemetry/instrumentation"):
            self._events.spans_exist()
        key = unit_key(draft.trace_id.hex(), draft.span_id.hex())
        return [ImportUnit(key, Signal.TRACES, payload), *self._events.past(draft.end_ns)]

    def _log(self, record: Mapping[str, Any]) -> list[ImportUnit]:
        whole = log_of(record)
        scope, version = scope_of(record)
        resource = self._resource(record)
        encode_logs([whole], resource=resource)
        name = whole.event_name or text(whole.attributes.get("event.name"))
        draft = replace(whole, attributes=self._without_history("log", name, whole.attributes))
        payload = encode_logs([draft], resource=resource, scope=scope, scope_version=version)
        self._events.take(whole, resource)
        return [
            ImportUnit(self._content_key(draft.attributes, payload), Signal.LOGS, payload),
            *self._events.past(whole.time_ns),
        ]

    def _metrics(self, record: Mapping[str, Any]) -> list[ImportUnit]:
        meters = Collection().meters(record)
        if not meters:
            return []
        payload = encode_metrics(meters, resource=self._resource(record))
        unit = ImportUnit(self._content_key({}, payload), Signal.METRICS, payload)
        return [unit, *self._events.past(latest_of(meters))]

    def _resource(self, record: Mapping[str, Any]) -> dict[str, AttributeInput]:
        return {"service.name": self._agent.service, **resource_of(record)}

    def _content_key(self, attributes: Mapping[str, AttributeInput], payload: bytes) -> bytes:
        """Return the key of a record without an id: two that say the same are one."""
        session = text(attributes.get("session.id"))
        return unit_key(f"{self._agent.format}\0{session}", xxhash.xxh3_128_hexdigest(payload))

    def _without_history(
        self, carrier: str, name: str, attributes: Mapping[str, AttributeInput]
    ) -> dict[str, AttributeInput]:
        session = text(attributes.get("session.id")) or text(attributes.get("gen_ai.conversation.id"))
        if session:
            self._sessions.setdefault(session)
        kept = dict(attributes)
        for key in _HISTORY:
            value = kept.get(key)
            messages = maybe_json(value) if isinstance(value, str) else value
            if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
                continue
            new, repeated = self._memory(session, f"{carrier}\0{name}\0{key}").new(messages)
            if repeated:
                kept[REPEATED] = repeated
                kept[key] = _as_given(value, new) if new else None
        return kept

    def _memory(self, session: str, carrier: str) -> SeenMessages:
        found = self._seen.pop((session, carrier), None) or SeenMessages()
        self._seen[session, carrier] = found  # the last one used stands last
        if len(self._seen) > _SESSIONS:
            self._seen.pop(next(iter(self._seen)))
        return found


def _as_given(value: AttributeInput, messages: list[dict[str, Any]]) -> AttributeInput:
    return as_text(messages) if isinstance(value, str) else messages
