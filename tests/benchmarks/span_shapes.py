"""What a system of a dozen services sends in one stretch of time: the template that a store is filled from.

Services have skewed shares, traces 1 to 50 spans, spans 5 to 20 attributes, one to two in a hundred fail. About two
thirds of the spans say what they are about in an attribute whose value is :data:`SUBJECT`, a mark that each copy of
the template replaces by words (:func:`subjects`): that makes the distinct texts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from receiver.times import NS

SUBJECT = "qzsubjectzq"
RARE_KEY = "app.order.id"
"""An attribute that has no column of its own; each value stands in a few spans of the whole store."""
_SPANS_A_REQUEST = 512
_SERVICES = (
    ("frontend", 24), ("gateway", 18), ("checkout", 12), ("cart", 10), ("catalog", 9), ("payments", 7),
    ("shipping", 5), ("currency", 5), ("recommendations", 4), ("ads", 3), ("email", 2), ("assistant", 1),
)  # fmt: skip
_ROUTES = (
    "/api/products/{id}", "/api/cart", "/api/checkout", "/api/ads", "/api/orders/{id}", "/api/search",
    "/api/recommendations", "/api/currency", "/api/shipping/quote", "/api/users/{id}/profile",
)  # fmt: skip
_FAILURES = (
    ("TimeoutError", "upstream request timed out after 3000 ms"),
    ("ConnectionRefusedError", "connection to the payment provider was refused"),
    ("OutOfStockError", "the product is out of stock"),
    ("ValidationError", "the card number is not valid"),
)
_TABLES = ("orders", "products", "carts", "users", "shipments", "prices")
_VERBS = (
    "refund", "reserve", "deliver", "charge", "recommend", "translate", "cancel", "compare", "inspect", "repair",
    "rank", "schedule", "approve", "reject", "archive", "restore", "summarize", "forward", "collect", "measure",
)  # fmt: skip
_QUALITIES = (
    "damaged", "late", "heavy", "fragile", "express", "foreign", "frozen", "urgent", "duplicate", "secret",
    "seasonal", "broken", "golden", "wooden", "electric", "empty", "quiet", "modern", "antique", "organic",
    "portable", "annual", "digital", "anonymous", "temporary",
)  # fmt: skip
_THINGS = (
    "parcel", "invoice", "telescope", "camera", "lens", "coupon", "voucher", "basket", "warehouse", "shelf",
    "password", "mailbox", "calendar", "bicycle", "guitar", "lamp", "carpet", "window", "garden", "kitchen",
    "ticket", "passport", "luggage", "engine", "battery", "printer", "keyboard", "blanket", "mirror", "umbrella",
    "novel", "recipe", "vaccine", "contract", "survey", "donation", "festival", "museum", "harbor", "airport",
)  # fmt: skip


def subjects() -> Iterator[str]:
    """Yield 20,000 distinct phrases of words, in an order that does not change."""
    phrases = [f"{verb} {quality} {thing}" for verb in _VERBS for quality in _QUALITIES for thing in _THINGS]
    random.Random(5).shuffle(phrases)
    yield from phrases


@dataclass(frozen=True, slots=True)
class _Sent:
    """A span and the service that sends it, when it ends."""

    at: int
    service: str
    span: trace_pb2.Span


def template_requests(spans: int, *, begin_ns: int, stretch_ns: int, seed: int) -> list[bytes]:
    """Return export requests of exactly ``spans`` spans in about the order in which they would be sent.

    Args:
        spans: In all of them together.
        begin_ns: Unix time at which the first trace begins.
        stretch_ns: Traces begin within so long.
        seed: The same seed gives the same bytes.
    """
    chance = random.Random(seed)
    sent: list[_Sent] = []
    while len(sent) < spans:
        begin = begin_ns + int(stretch_ns * len(sent) / spans)
        sent.extend(_trace(begin, min(_size(chance), spans - len(sent)), chance))
    sent.sort(key=lambda each: each.at)
    return [_request(sent[at : at + _SPANS_A_REQUEST]) for at in range(0, len(sent), _SPANS_A_REQUEST)]


def _size(chance: random.Random) -> int:
    return min(50, 1 + int(chance.expovariate(1 / 9)))


def _trace(begin: int, size: int, chance: random.Random) -> Iterator[_Sent]:
    trace_id = chance.randbytes(16)
    names, shares = zip(*_SERVICES, strict=True)
    ids: list[bytes] = []
    user = f"user-{int(50_000 * chance.random() ** 2)}"
    for number in range(size):
        service: str = names[0] if not number else chance.choices(names, shares)[0]
        parent = ids[max(0, number - 1 - int(chance.expovariate(0.5)))] if ids else b""
        ids.append(chance.randbytes(8))
        start = begin + number * 1_500_000 + chance.randrange(1_000_000)
        span = trace_pb2.Span(
            trace_id=trace_id,
            span_id=ids[-1],
            parent_span_id=parent,
            start_time_unix_nano=start,
            end_time_unix_nano=start + int(chance.lognormvariate(15.5, 1.3)),
        )
        _describe(span, service, root=not number, user=user, chance=chance)
        # what is sent a moment later than it ended makes the slight disorder
        yield _Sent(span.end_time_unix_nano + chance.randrange(2 * NS), service, span)


def _describe(span: trace_pb2.Span, service: str, *, root: bool, user: str, chance: random.Random) -> None:
    kind = "http" if root else chance.choices(("http", "rpc", "db", "internal", "ai"), (35, 20, 25, 18, 2))[0]
    attributes: dict[str, Any] = {"thread.id": chance.randrange(1, 64)}
    code = 200
    failed = chance.random() < 0.015
    if kind == "http":
        route = _ROUTES[min(int(chance.expovariate(0.35)), len(_ROUTES) - 1)]
        method = "POST" if route in {"/api/checkout", "/api/cart"} else "GET"
        code = chance.choice((500, 503, 504)) if failed else 404 if chance.random() < 0.01 else 200
        span.name, span.kind = f"{method} {route}", trace_pb2.Span.SPAN_KIND_SERVER
        attributes |= {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": code,
            "url.path": route.replace("{id}", str(chance.randrange(10**6))),
            "url.scheme": "https",
            "server.address": f"{service}.shop.example",
            "server.port": 8080,
            "network.peer.address": f"10.0.{chance.randrange(8)}.{chance.randrange(256)}",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
        }
    elif kind == "rpc":
        span.name, span.kind = f"shop.{service.title()}Service/Get", trace_pb2.Span.SPAN_KIND_CLIENT
        attributes |= {
            "rpc.system": "grpc",
            "rpc.service": f"shop.{service.title()}Service",
            "rpc.method": "Get",
            "rpc.grpc.status_code": 14 if failed else 0,
            "network.peer.address": f"10.0.{chance.randrange(8)}.{chance.randrange(256)}",
        }
    elif kind == "db":
        table = chance.choice(_TABLES)
        span.name, span.kind = f"SELECT {table}", trace_pb2.Span.SPAN_KIND_CLIENT
        attributes |= {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.collection.name": table,
            "db.query.text": f"SELECT * FROM {table} WHERE id = $1 ORDER BY created_at DESC LIMIT 20",
            "db.response.returned_rows": chance.randrange(20),
        }
    elif kind == "ai":
        span.name, span.kind = "chat assistant-large", trace_pb2.Span.SPAN_KIND_CLIENT
        attributes |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "assistant-large",
            "gen_ai.conversation.id": f"conversation-{chance.randrange(10**6)}",
            "gen_ai.usage.input_tokens": chance.randrange(4000),
            "gen_ai.usage.output_tokens": chance.randrange(900),
        }
    else:
        span.name, span.kind = f"{service} step", trace_pb2.Span.SPAN_KIND_INTERNAL
    if chance.random() < 0.65:
        attributes["app.subject"] = SUBJECT
    if chance.random() < 0.3:
        attributes |= {"enduser.id": user, RARE_KEY: f"order-{chance.getrandbits(48):012x}"}
    for number in range(max(0, 5 - len(attributes) + int(chance.expovariate(0.7)))):
        attributes[f"app.measure_{number}"] = round(chance.random(), 6)
    for key, value in attributes.items():
        _attribute(span.attributes.add(), key, value)
    if failed:
        _fail(span, chance)
    elif chance.random() < 0.05:
        event = span.events.add(name="cache.miss", time_unix_nano=span.start_time_unix_nano + 1000)
        _attribute(event.attributes.add(), "cache.key", f"product:{chance.randrange(10**6)}")


def _fail(span: trace_pb2.Span, chance: random.Random) -> None:
    kind, message = chance.choice(_FAILURES)
    span.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    span.status.message = message
    _attribute(span.attributes.add(), "error.type", kind)
    event = span.events.add(name="exception", time_unix_nano=span.end_time_unix_nano)
    trace = f"{kind}: {message}\n" + "\n".join(
        f"    at shop.module{n}.call(Module.java:{n})" for n in range(12)
    )
    for key, value in (
        ("exception.type", kind),
        ("exception.message", message),
        ("exception.stacktrace", trace),
    ):
        _attribute(event.attributes.add(), key, value)


def _request(sent: list[_Sent]) -> bytes:
    request = trace_service_pb2.ExportTraceServiceRequest()
    scopes: dict[str, Any] = {}
    for each in sent:
        if each.service not in scopes:
            resource = request.resource_spans.add()
            for key, value in (
                ("service.name", each.service),
                ("service.namespace", "shop"),
                ("service.instance.id", f"{each.service}-7d9f"),
                ("k8s.pod.name", f"{each.service}-7d9f-x2x4q"),
                ("telemetry.sdk.language", "java"),
            ):
                _attribute(resource.resource.attributes.add(), key, value)
            scopes[each.service] = resource.scope_spans.add()
            scopes[each.service].scope.name = "io.opentelemetry.shop"
        scopes[each.service].spans.append(each.span)
    return request.SerializeToString()


def _attribute(pair: Any, key: str, value: str | float) -> None:
    pair.key = key
    kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, kind, value)
