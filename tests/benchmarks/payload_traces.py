"""Trace requests of the shop: traces of a dozen services, with errors, events and links."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.benchmarks.attributes import add_attributes
from tests.benchmarks.operations import OPERATIONS, Operation
from tests.benchmarks.services import BY_NAME, resource_of
from tests.benchmarks.template import Marks

_TRACE_SPANS = (3, 14)
_ERRORS, _MESSAGES, _LINKS = 0.02, 0.10, 0.02
_MILLISECOND = 1_000_000
_FAULTS = (
    ("System.InvalidOperationException", "Can't access cart storage. StackExchange.Redis.RedisConnectionException"),
    ("java.util.concurrent.TimeoutException", "Did not observe any item or terminal signal within 2000ms"),
    ("ConnectionResetError", "[Errno 104] Connection reset by peer"),
    ("Error", "Payment request failed. Invalid token. app.loyalty.level=gold"),
    ("*errors.errorString", "failed to charge card: could not charge the card: context deadline exceeded"),
)  # fmt: skip
_FRAMES = (
    "  at Object.handle (/usr/src/app/node_modules/shop/charge.js:37:13)\n"
    "  at Server.<anonymous> (/usr/src/app/index.js:42:22)\n"
    "  at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\n"
)
_BY_SERVICE: dict[str, list[Operation]] = defaultdict(list)
for _operation in OPERATIONS:
    _BY_SERVICE[_operation.service].append(_operation)


@dataclass
class _Trace:
    identity: bytes
    started_ns: int
    """Before now."""
    spans: list[bytes]


def trace_request(
    spans: int, chance: random.Random, text_share: float
) -> tuple[ExportTraceServiceRequest, Marks]:
    """Return a request of so many spans, as a collector that batches all services would send it.

    Args:
        spans: How many.
        chance: Decides everything.
        text_share: Share of spans with a text that never repeats.
    """
    marks, request = Marks(), ExportTraceServiceRequest()
    scopes: dict[tuple[str, int], Any] = {}
    trace = _Trace(b"", 0, [])
    left_in_trace = 0
    services = list(_BY_SERVICE)
    if spans <= 100:  # one process's own batches
        services = [chance.choice(services)]
    for _ in range(spans):
        if not left_in_trace:
            left_in_trace = chance.randint(*_TRACE_SPANS)
            trace = _Trace(marks.trace_id(), chance.randrange(500, 4000) * _MILLISECOND, [])
            if chance.random() < 0.5 or spans == 1:  # its root is in another process's batch
                trace.spans.append(marks.span_id())
        left_in_trace -= 1
        operation = chance.choice(_BY_SERVICE[chance.choice(services)])
        span = _scope(request, scopes, operation.service, chance).spans.add()
        _fill(span, operation, trace, marks, chance)
        if chance.random() < text_share:
            add_attributes(span.attributes, [("app.search.query", marks.text())])
    return request, marks


def _scope(
    request: ExportTraceServiceRequest, scopes: dict[tuple[str, int], Any], name: str, chance: random.Random
) -> Any:
    service = BY_NAME[name]
    instance = chance.randrange(service.instances)
    if (name, instance) not in scopes:
        resource = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
        add_attributes(resource.resource.attributes, resource_of(service, instance))
        scopes[name, instance] = [
            resource.scope_spans.add(scope={"name": library, "version": service.version})
            for library in service.libraries
        ]
    return chance.choice(scopes[name, instance])


def _fill(span: Span, operation: Operation, trace: _Trace, marks: Marks, chance: random.Random) -> None:
    span.trace_id, span.span_id = trace.identity, marks.span_id()
    if trace.spans:
        span.parent_span_id = chance.choice(trace.spans)
    trace.spans.append(span.span_id)
    span.name, span.kind = operation.name, operation.kind  # type: ignore[assignment]
    span.flags = 0x101
    started = trace.started_ns - chance.randrange(1, 400) * 1000 * 1000
    duration = min(int(chance.lognormvariate(0, 0.7) * operation.milliseconds * _MILLISECOND), started)
    span.start_time_unix_nano = marks.time(started)
    span.end_time_unix_nano = marks.time(started - duration)
    add_attributes(span.attributes, operation.attributes(chance))
    roll = chance.random()
    if roll < _ERRORS:
        kind, message = chance.choice(_FAULTS)
        span.status.code, span.status.message = 2, message  # type: ignore[assignment]
        add_attributes(span.attributes, [("error.type", kind)])
        event = span.events.add(name="exception", time_unix_nano=marks.time(started - duration // 2))
        add_attributes(
            event.attributes,
            [
                ("exception.type", kind),
                ("exception.message", message),
                ("exception.stacktrace", f"{kind}: {message}\n" + _FRAMES * chance.randint(2, 6)),
            ],
        )
    elif roll < _ERRORS + _MESSAGES:
        event = span.events.add(name=chance.choice(("message", "Acquiring lock", "Order is prepared")))
        event.time_unix_nano = marks.time(started - duration // 3)
        add_attributes(
            event.attributes, [("rpc.message.type", "SENT"), ("rpc.message.id", chance.randrange(9))]
        )
    elif chance.random() < 0.3:
        span.status.code = 1  # type: ignore[assignment]
    if chance.random() < _LINKS:
        link = span.links.add(trace_id=marks.trace_id(), span_id=marks.span_id())
        add_attributes(link.attributes, [("messaging.operation.name", "publish")])
