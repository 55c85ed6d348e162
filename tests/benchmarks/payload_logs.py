"""Log requests of the shop: varied bodies, exceptions with their stack traces, structured bodies."""

from __future__ import annotations

import random
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.benchmarks.attributes import Value, add_attributes, set_value, uuid_text
from tests.benchmarks.services import SERVICES, resource_of
from tests.benchmarks.template import Marks

_DEBUG, _INFO, _WARN, _ERROR = (5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR")
_BODIES = (
    (_INFO, "[PlaceOrder] user_id={uuid} user_currency={currency}"),
    (_INFO, "payment went through (transaction_id: {uuid})"),
    (_INFO, "order confirmation email sent to {user}@shop.example"),
    (_INFO, "order placed: id={uuid} items={small} total={money} {currency}"),
    (_INFO, "Targeted ad request received for [{category}]"),
    (_INFO, "Receive ListRecommendations for product ids:['{hex}', '{hex}', '{hex}']"),
    (_INFO, "GetCartAsync called with userId={uuid}"),
    (_INFO, "AddItemAsync called with userId={uuid}, productId={hex}, quantity={small}"),
    (_INFO, "Convert conversion successful"),
    (_INFO, "Sent quote response: {money}"),
    (_INFO, "Tracking ID Created: {uuid}"),
    (_INFO, "Order details: OrderId {uuid}, shipped to {category} street {small}"),
    (_INFO, "Consumed record with orderId: {uuid}, and updated total count to: {number}"),
    (_INFO, "Product Found - ID: {hex}, Name: {category} {small}"),
    (_INFO, 'POST /get-quote HTTP/1.1" 200 {number} "-" "reqwest/0.12" 0.00{small}'),
    (
        _INFO,
        'GET /api/products/{hex} HTTP/1.1" 200 - via_upstream - "-" 0 {number} {small} {small} "-" "{uuid}"',
    ),
    (_INFO, "Started Application in {small}.{number} seconds (process running for {small}.{number})"),
    (_INFO, "Connection pool {category}: total={small}, active={small}, idle={small}, waiting={small}"),
    (_INFO, "Flag evaluated: key=adFailure, variant=off, reason=STATIC"),
    (_INFO, "checkpoint complete: wrote {number} buffers; sync={small}.{small} s, distance={number} kB"),
    (_DEBUG, "cache hit for key product:{hex} (ttl {number} s)"),
    (_DEBUG, "SELECT id, name FROM catalog.products WHERE id = '{hex}' took {small} ms"),
    (_DEBUG, "heartbeat to group coordinator kafka:9092 (id: {number}) answered"),
    (_DEBUG, "GC pause {small} ms, heap {number} MB of 512 MB"),
    (_WARN, "slow query: {number} ms for orders of user {user}"),
    (_WARN, "retrying request to shipping after {number} ms (attempt {small})"),
    (_WARN, "Circuit breaker for recommendation is half open"),
    (_WARN, "token of {user} expires in {small} minutes"),
    (_WARN, "consumer lag of partition {small} is {number} messages"),
    (_ERROR, "failed to charge card: could not charge the card: rpc error: code = DeadlineExceeded"),
    (_ERROR, "Can't access cart storage: connection to valkey-cart:6379 refused"),
    (_ERROR, "could not send confirmation to {user}@shop.example: mailbox unavailable"),
)
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "SEK")
_CATEGORIES = ("telescopes", "binoculars", "accessories", "books", "travel", "assembly")
_TRACE = (
    "java.util.concurrent.TimeoutException: Did not observe any item or terminal signal within 2000ms\n"
    "\tat reactor.core.publisher.FluxTimeout$TimeoutMainSubscriber.handleTimeout(FluxTimeout.java:296)\n"
    "\tat reactor.core.scheduler.SchedulerTask.call(SchedulerTask.java:68)\n"
    "\tat java.base/java.util.concurrent.FutureTask.run(FutureTask.java:317)\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:1583)\n"
)
_EXCEPTIONS, _STRUCTURED, _CORRELATED = 0.02, 0.03, 0.7


def log_request(
    records: int, chance: random.Random, text_share: float
) -> tuple[ExportLogsServiceRequest, Marks]:
    """Return a request of so many log records.

    Args:
        records: How many.
        chance: Decides everything.
        text_share: Share of records whose body never repeats.
    """
    marks, request = Marks(), ExportLogsServiceRequest()
    scopes: dict[tuple[str, int], Any] = {}
    services = SERVICES if records > 100 else (chance.choice(SERVICES),)
    for _ in range(records):
        service = chance.choice(services)
        instance = chance.randrange(service.instances)
        if (service.name, instance) not in scopes:
            resource = request.resource_logs.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
            add_attributes(resource.resource.attributes, resource_of(service, instance))
            scopes[service.name, instance] = [
                resource.scope_logs.add(scope={"name": f"{service.name}.{part}", "version": service.version})
                for part in ("access", "domain", "client")
            ]
        record = chance.choice(scopes[service.name, instance]).log_records.add()
        _fill(record, marks, chance, never_repeats=chance.random() < text_share)
    return request, marks


def _fill(record: LogRecord, marks: Marks, chance: random.Random, *, never_repeats: bool) -> None:
    age = chance.randrange(1000 * 1000 * 1000)
    record.time_unix_nano, record.observed_time_unix_nano = marks.time(age), marks.time(age - age // 100)
    if chance.random() < _CORRELATED:
        record.trace_id, record.span_id, record.flags = marks.trace_id(), marks.span_id(), 1
    (number, word), body = _BODIES[min(int(chance.paretovariate(0.6)) - 1, len(_BODIES) * 40) % len(_BODIES)]
    record.severity_number, record.severity_text = number, word  # type: ignore[assignment]
    text = body.format(
        uuid=uuid_text(chance), hex=f"{chance.randrange(16**10):010X}", user=f"user{chance.randrange(50_000)}",
        currency=chance.choice(_CURRENCIES), category=chance.choice(_CATEGORIES), small=chance.randrange(100),
        number=chance.randrange(10_000), money=f"{chance.uniform(5, 900):.2f}",
    )  # fmt: skip
    if never_repeats:
        text = f"customer writes: {marks.text()}and waits for an answer"
    if chance.random() < _STRUCTURED and not never_repeats:
        for key, value in (("message", text), ("order", uuid_text(chance)), ("amount", chance.random())):
            set_value(record.body.kvlist_value.values.add(key=key).value, value)
    else:
        record.body.string_value = text
    pairs: list[tuple[str, Value]] = [
        ("code.function.name", chance.choice(("handle", "PlaceOrder", "GetCartAsync", "charge", "convert"))),
        ("code.file.path", chance.choice(("src/main.go", "index.js", "CartService.cs", "AdService.java"))),
        ("code.line.number", chance.randrange(10, 600)),
        ("thread.name", f"worker-{chance.randrange(16)}"),
        ("log.iostream", "stdout"),
    ]
    if chance.random() < 0.4:
        pairs += [
            ("http.request.method", chance.choice(("GET", "POST"))),
            ("url.path", f"/api/products/{chance.randrange(16**10):010X}"),
            ("http.response.status_code", chance.choice((200, 200, 200, 404, 500))),
            ("client.address", f"10.0.{chance.randrange(256)}.{chance.randrange(256)}"),
            ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        ]
    if chance.random() < 0.3:
        pairs += [("app.order.id", uuid_text(chance)), ("enduser.id", f"user-{chance.randrange(50_000)}")]
    if chance.random() < _EXCEPTIONS:
        pairs += [
            ("exception.type", "java.util.concurrent.TimeoutException"),
            ("exception.message", "Did not observe any item or terminal signal within 2000ms"),
            ("exception.stacktrace", _TRACE * chance.randint(1, 4)),
        ]
    add_attributes(record.attributes, pairs)
