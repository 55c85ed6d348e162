"""What the services of the realistic payload do: their spans' names, kinds and attributes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.attributes import Pairs, Value, uuid_text

_INTERNAL, _SERVER, _CLIENT, _PRODUCER, _CONSUMER = 1, 2, 3, 4, 5
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "python-requests/2.32.3",
)
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "SEK")
_CATEGORIES = ("telescopes", "binoculars", "accessories", "books", "travel", "assembly")

Attributes = Callable[[random.Random], Pairs]


@dataclass(frozen=True)
class Operation:
    """One kind of span of a service."""

    service: str
    name: str
    kind: int
    attributes: Attributes
    milliseconds: float
    """Its median duration."""


def _http_server(method: str, route: str) -> Attributes:
    def attributes(chance: random.Random) -> Pairs:
        path = route.replace("{productId}", f"{chance.randrange(16**10):010X}")
        pairs: list[tuple[str, Value]] = [
            ("http.request.method", method),
            ("url.scheme", "http"),
            ("url.path", path),
            ("http.route", route),
            ("http.response.status_code", chance.choice((200, 200, 200, 200, 201, 204, 304, 404))),
            ("network.protocol.version", "1.1"),
            ("server.address", "shop.example"),
            ("server.port", 8080),
            ("client.address", f"10.0.{chance.randrange(256)}.{chance.randrange(256)}"),
            ("user_agent.original", chance.choice(_AGENTS)),
            ("http.response.body.size", chance.randrange(120, 48_000)),
        ]
        if chance.random() < 0.5:
            pairs.append(
                ("url.query", f"currencyCode={chance.choice(_CURRENCIES)}&sessionId={uuid_text(chance)}")
            )
        if chance.random() < 0.3:
            pairs += [("session.id", uuid_text(chance)), ("enduser.id", f"user-{chance.randrange(50_000)}")]
        if chance.random() < 0.1:
            pairs.append(("http.request.header.accept", ("text/html", "application/json", "*/*")))
        return pairs

    return attributes


def _http_client(method: str, host: str, path: str) -> Attributes:
    return lambda chance: [
        ("http.request.method", method),
        ("url.full", f"http://{host}:8080{path}?ref={chance.randrange(16**8):08x}"),
        ("server.address", host),
        ("server.port", 8080),
        ("http.response.status_code", chance.choice((200, 200, 200, 200, 200, 503))),
        ("network.peer.address", f"10.0.{chance.randrange(4)}.{chance.randrange(256)}"),
        ("network.protocol.version", "1.1"),
    ]


def _rpc(service: str, method: str, *more: Callable[[random.Random], tuple[str, Value]]) -> Attributes:
    return lambda chance: [
        ("rpc.system", "grpc"),
        ("rpc.service", service),
        ("rpc.method", method),
        ("rpc.grpc.status_code", 0 if chance.random() < 0.98 else chance.choice((4, 13, 14))),
        ("network.peer.address", f"10.0.{chance.randrange(4)}.{chance.randrange(256)}"),
        ("network.peer.port", chance.randrange(30_000, 60_000)),
        *(each(chance) for each in more),
    ]


def _sql(system: str, name: str, operation: str, table: str, query: str) -> Attributes:
    return lambda chance: [
        ("db.system.name", system),
        ("db.namespace", name),
        ("db.operation.name", operation),
        ("db.collection.name", table),
        ("db.query.text", query),
        ("server.address", f"{system}.shop.svc.cluster.local"),
        ("server.port", 5432),
        ("db.response.returned_rows", chance.randrange(60)),
    ]


def _redis(command: str) -> Attributes:
    return lambda chance: [
        ("db.system.name", "redis"),
        ("db.operation.name", command),
        ("db.query.text", f"{command} cart:?"),
        ("db.namespace", "0"),
        ("server.address", "valkey-cart"),
        ("server.port", 6379),
        ("network.peer.address", f"10.0.{chance.randrange(4)}.{chance.randrange(256)}"),
    ]


def _kafka(topic: str, operation: str) -> Attributes:
    return lambda chance: [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", operation),
        ("messaging.destination.name", topic),
        ("messaging.destination.partition.id", str(chance.randrange(12))),
        ("messaging.kafka.offset", chance.randrange(10**7)),
        ("messaging.message.body.size", chance.randrange(200, 4000)),
        ("messaging.client.id", f"{topic}-client-{chance.randrange(4)}"),
        ("messaging.consumer.group.name", f"{topic}-readers"),
        ("server.address", "kafka"),
        ("server.port", 9092),
    ]


def _product(chance: random.Random) -> tuple[str, Value]:
    return "app.product.id", f"{chance.randrange(16**10):010X}"


def _user(chance: random.Random) -> tuple[str, Value]:
    return "app.user.id", uuid_text(chance)


def _currency(chance: random.Random) -> tuple[str, Value]:
    return "app.user.currency", chance.choice(_CURRENCIES)


def _amount(chance: random.Random) -> tuple[str, Value]:
    return "app.order.amount", round(chance.uniform(5, 900), 2)


def _items(chance: random.Random) -> tuple[str, Value]:
    return "app.cart.items.count", chance.randrange(1, 12)


def _category(chance: random.Random) -> tuple[str, Value]:
    return "app.ads.category", chance.choice(_CATEGORIES)


def _shipping(chance: random.Random) -> tuple[str, Value]:
    return "app.shipping.tracking.id", uuid_text(chance)


def _flag(chance: random.Random) -> tuple[str, Value]:
    return "feature_flag.result.variant", chance.choice(("on", "off"))


def _thread(chance: random.Random) -> tuple[str, Value]:
    return "thread.name", f"grpc-default-executor-{chance.randrange(16)}"


def _retry(chance: random.Random) -> tuple[str, Value]:
    return "app.retry", chance.random() < 0.05


def _plain(*more: Callable[[random.Random], tuple[str, Value]]) -> Attributes:
    fixed: tuple[tuple[str, Value], ...] = (
        ("code.function.name", "handle"), ("code.file.path", "src/service/handlers.go"), ("thread.id", 17),
    )  # fmt: skip
    return lambda chance: [*fixed, *(each(chance) for each in more), _retry(chance)]


_PRODUCTS = (
    "SELECT id, name, description, picture, price_currency_code, price_units, price_nanos, categories"
    " FROM catalog.products WHERE id = $1"
)
_SEARCH = (
    "SELECT id, name FROM catalog.products WHERE lower(name) LIKE lower($1) OR lower(description) LIKE lower($1)"
    " ORDER BY name LIMIT 50"
)
_ORDER = 'INSERT INTO accounting."order" (order_id, user_id, total, created_at) VALUES ($1, $2, $3, $4)'
_SHIPPED = "INSERT INTO accounting.shipping (tracking_id, cost_units, street, city, zip_code) VALUES ($1,$2,$3,$4,$5)"
_SCORE = "SELECT score FROM fraud.scores WHERE user_id = $1 AND created_at > now() - interval '1 day'"

_SHOP = "oteldemo."

OPERATIONS = (
    Operation("frontend-proxy", "ingress", _SERVER, _http_server("GET", "/api/products/{productId}"), 24),
    Operation("frontend-proxy", "router frontend egress", _CLIENT, _http_client("GET", "frontend", "/"), 22),
    Operation("frontend-proxy", "router images egress", _CLIENT, _http_client("GET", "image-provider", "/img"), 4),
    Operation("frontend", "GET /", _SERVER, _http_server("GET", "/"), 12),
    Operation("frontend", "GET /api/products", _SERVER, _http_server("GET", "/api/products"), 18),
    Operation("frontend", "GET /api/products/{productId}", _SERVER, _http_server("GET", "/api/products/{productId}"), 14),
    Operation("frontend", "GET /api/cart", _SERVER, _http_server("GET", "/api/cart"), 9),
    Operation("frontend", "POST /api/cart", _SERVER, _http_server("POST", "/api/cart"), 11),
    Operation("frontend", "POST /api/checkout", _SERVER, _http_server("POST", "/api/checkout"), 180),
    Operation("frontend", "GET /api/recommendations", _SERVER, _http_server("GET", "/api/recommendations"), 26),
    Operation("frontend", "GET /api/data", _SERVER, _http_server("GET", "/api/data"), 8),
    Operation("frontend", "GET /api/currency", _SERVER, _http_server("GET", "/api/currency"), 6),
    Operation("frontend", "grpc.oteldemo.CartService/GetCart", _CLIENT, _rpc(_SHOP + "CartService", "GetCart", _user), 5),
    Operation("frontend", "grpc.oteldemo.ProductCatalogService/ListProducts", _CLIENT, _rpc(_SHOP + "ProductCatalogService", "ListProducts"), 7),
    Operation("frontend", "grpc.oteldemo.CheckoutService/PlaceOrder", _CLIENT, _rpc(_SHOP + "CheckoutService", "PlaceOrder", _user, _currency), 160),
    Operation("frontend", "grpc.oteldemo.AdService/GetAds", _CLIENT, _rpc(_SHOP + "AdService", "GetAds", _category), 6),
    Operation("frontend", "render route (app) /product/[productId]", _INTERNAL, _plain(_product, _currency), 31),
    Operation("frontend", "executing api route (pages) /api/checkout", _INTERNAL, _plain(_user, _items), 170),
    Operation("cart", "POST /oteldemo.CartService/AddItem", _SERVER, _rpc(_SHOP + "CartService", "AddItem", _user, _product, _items), 4),
    Operation("cart", "POST /oteldemo.CartService/GetCart", _SERVER, _rpc(_SHOP + "CartService", "GetCart", _user, _items), 3),
    Operation("cart", "POST /oteldemo.CartService/EmptyCart", _SERVER, _rpc(_SHOP + "CartService", "EmptyCart", _user), 3),
    Operation("cart", "HGET", _CLIENT, _redis("HGET"), 0.6),
    Operation("cart", "HMSET", _CLIENT, _redis("HMSET"), 0.7),
    Operation("cart", "EXPIRE", _CLIENT, _redis("EXPIRE"), 0.5),
    Operation("checkout", "oteldemo.CheckoutService/PlaceOrder", _SERVER, _rpc(_SHOP + "CheckoutService", "PlaceOrder", _user, _amount, _items, _currency), 150),
    Operation("checkout", "prepareOrderItemsAndShippingQuoteFromCart", _INTERNAL, _plain(_user, _items), 40),
    Operation("checkout", "chargeCard", _INTERNAL, _plain(_amount, _currency), 35),
    Operation("checkout", "oteldemo.PaymentService/Charge", _CLIENT, _rpc(_SHOP + "PaymentService", "Charge"), 33),
    Operation("checkout", "oteldemo.CurrencyService/Convert", _CLIENT, _rpc(_SHOP + "CurrencyService", "Convert"), 2),
    Operation("checkout", "oteldemo.ProductCatalogService/GetProduct", _CLIENT, _rpc(_SHOP + "ProductCatalogService", "GetProduct", _product), 4),
    Operation("checkout", "HTTP POST", _CLIENT, _http_client("POST", "shipping", "/get-quote"), 8),
    Operation("checkout", "orders publish", _PRODUCER, _kafka("orders", "publish"), 2),
    Operation("payment", "grpc.oteldemo.PaymentService/Charge", _SERVER, _rpc(_SHOP + "PaymentService", "Charge", _amount, _currency, _flag), 28),
    Operation("payment", "charge", _INTERNAL, _plain(_amount, _flag, _retry), 25),
    Operation("payment", "POST", _CLIENT, _http_client("POST", "api.bank.example", "/v2/charges"), 21),
    Operation("product-catalog", "oteldemo.ProductCatalogService/ListProducts", _SERVER, _rpc(_SHOP + "ProductCatalogService", "ListProducts", _items), 5),
    Operation("product-catalog", "oteldemo.ProductCatalogService/GetProduct", _SERVER, _rpc(_SHOP + "ProductCatalogService", "GetProduct", _product, _flag), 3),
    Operation("product-catalog", "oteldemo.ProductCatalogService/SearchProducts", _SERVER, _rpc(_SHOP + "ProductCatalogService", "SearchProducts", _category), 9),
    Operation("product-catalog", "SELECT catalog.products", _CLIENT, _sql("postgresql", "catalog", "SELECT", "products", _PRODUCTS), 2),
    Operation("product-catalog", "sql.conn.query", _CLIENT, _sql("postgresql", "catalog", "SELECT", "products", _SEARCH), 4),
    Operation("recommendation", "/oteldemo.RecommendationService/ListRecommendations", _SERVER, _rpc(_SHOP + "RecommendationService", "ListRecommendations", _items), 15),
    Operation("recommendation", "get_product_list", _INTERNAL, _plain(_items, _flag), 12),
    Operation("recommendation", "/oteldemo.ProductCatalogService/ListProducts", _CLIENT, _rpc(_SHOP + "ProductCatalogService", "ListProducts"), 7),
    Operation("shipping", "POST /get-quote", _SERVER, _http_server("POST", "/get-quote"), 7),
    Operation("shipping", "POST /ship-order", _SERVER, _http_server("POST", "/ship-order"), 3),
    Operation("shipping", "POST", _CLIENT, _http_client("POST", "quote", "/getquote"), 5),
    Operation("shipping", "create tracking number", _INTERNAL, _plain(_shipping), 1),
    Operation("currency", "Currency/Convert", _SERVER, _rpc(_SHOP + "CurrencyService", "Convert", _currency), 0.4),
    Operation("currency", "Currency/GetSupportedCurrencies", _SERVER, _rpc(_SHOP + "CurrencyService", "GetSupportedCurrencies"), 0.3),
    Operation("ad", "oteldemo.AdService/GetAds", _SERVER, _rpc(_SHOP + "AdService", "GetAds", _category, _thread, _flag), 5),
    Operation("ad", "getAdsByCategory", _INTERNAL, _plain(_category, _thread), 2),
    Operation("ad", "SELECT ads.campaigns", _CLIENT, _sql("mysql", "ads", "SELECT", "campaigns", "SELECT * FROM campaigns WHERE category = ? AND active = 1"), 3),
    Operation("accounting", "orders process", _CONSUMER, _kafka("orders", "process"), 12),
    Operation("accounting", "INSERT accounting.order", _CLIENT, _sql("postgresql", "accounting", "INSERT", "order", _ORDER), 3),
    Operation("accounting", "INSERT accounting.shipping", _CLIENT, _sql("postgresql", "accounting", "INSERT", "shipping", _SHIPPED), 3),
    Operation("fraud-detection", "orders receive", _CONSUMER, _kafka("orders", "receive"), 9),
    Operation("fraud-detection", "score order", _INTERNAL, _plain(_amount, _flag, _thread), 7),
    Operation("fraud-detection", "SELECT fraud.scores", _CLIENT, _sql("postgresql", "fraud", "SELECT", "scores", _SCORE), 4),
    Operation("email", "POST /send_order_confirmation", _SERVER, _http_server("POST", "/send_order_confirmation"), 60),
    Operation("email", "render order_confirmation.erb", _INTERNAL, _plain(_items), 18),
    Operation("email", "smtp deliver", _CLIENT, _http_client("POST", "mail.example", "/v1/messages"), 38),
)  # fmt: skip
