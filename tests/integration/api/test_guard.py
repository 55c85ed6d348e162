"""What keeps other sites' pages, and broken clients, out of the query listener."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest

from receiver.api import guard
from receiver.transport.asgi_server import AsgiServer, Receive, Send
from tests.support import raw_http
from tests.support.query_listener import Client
from tests.support.store_rows import StoreRows

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("target", ["/api/v1/stats", "/metrics", "/healthz", "/readyz", "/api/v1/openapi.json", "/nothing"])  # fmt: skip
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "127.0.0.1.evil.example:{port}", "localhost:{port}.evil.example", "169.254.169.254:{port}", ""])  # fmt: skip
async def test_a_host_that_is_not_its_own_is_refused(client: Client, target: str, host: str) -> None:
    """A page whose name was pointed at 127.0.0.1 (DNS rebinding) reads nothing, whatever the path."""
    answer = await client.ask(target, headers={"Host": host.format(port=client.port)})
    assert answer.status in {400, 403}
    assert b"records" not in answer.body


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}", "telemetry.internal:{port}"])  # fmt: skip
async def test_its_own_names_are_served(client: Client, host: str) -> None:
    """Loopback names with the listener's port, and what is configured."""
    answer = await client.ask("/api/v1/services", headers={"Host": host.format(port=client.port)})
    assert answer.status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost", "file://", "http://localhost:{port}.evil.example"])  # fmt: skip
async def test_a_page_of_another_origin_is_refused(client: Client, origin: str) -> None:
    """A browser says where a page is from; only the listener's own may ask."""
    headers = {"Origin": origin.format(port=client.port)}
    assert (await client.ask("/api/v1/stats", headers=headers)).status == 403
    sent = await client.ask("/api/v1/flush", method="POST", body={}, headers=headers)
    assert sent.status == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: localhost:{port}", 200),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nHost: localhost:{port}", 403),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil.example", 403),
        ("GET /healthz HTTP/1.1", 403),
        ("GET /healthz HTTP/1.0", 403),
        ("GET /healthz HTTP/1.0\r\nHost: localhost:{port}", 200),
        ("GET /healthz HTTP/1.1\r\nHost: localhost.:{port}", 403),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost:{port}", 403),
        ("GET http://localhost:{port}/healthz HTTP/1.1\r\nHost: evil.example", 200),
        ("GET http://localhost:{port}@evil.example/healthz HTTP/1.1\r\nHost: localhost:{port}", 403),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost:{port}", 403),
    ],
)
async def test_the_host_of_a_request_is_one_and_its_own(sent: str, status: int) -> None:
    """Twice, missing, in the target: what a proxy before us may read otherwise than we do is refused."""

    async def guarded(scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        refused = guard.refusal(scope["headers"], (), scope["server"][1])
        head = {"type": "http.response.start", "status": 403 if refused else 200}
        await send({**head, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    server = AsgiServer(guarded, name="test", connections=10, keep_alive_s=10)
    (port,) = await server.start("127.0.0.1:0")
    try:
        async with raw_http.connection(port) as wire:
            await wire.write(sent.format(port=port).encode() + b"\r\n\r\n")
            answer = await wire.answer()
    finally:
        await server.stop(1.0)
    assert answer.status in ({400, 403} if status == 403 else {status})


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, False),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, True),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
        ({}, True),
    ],
)
async def test_a_browser_that_asks_for_another_site_is_refused(
    client: Client, headers: dict[str, str], passes: bool
) -> None:
    """Not even a question whose answer the page could not read; a link may be followed."""
    assert ((await client.ask("/api/v1/services", headers=headers)).status == 200) is passes


def test_a_name_with_a_default_port_is_its_own_with_and_without_it() -> None:
    """Behind a proxy that ends TLS browsers say the name alone."""
    host = [(b"host", b"telemetry.example")]
    assert guard.refusal(host, ["telemetry.example:443"], 8888) is None
    assert (
        guard.refusal([*host, (b"origin", b"https://telemetry.example")], ["telemetry.example:443"], 8888)
        is None
    )
    assert guard.refusal(host, ["telemetry.example"], 8888) is not None
    assert guard.refusal([(b"host", b"a"), (b"host", b"b")], ["*"], 8888) is not None


async def test_a_page_of_its_own_origin_is_served(client: Client) -> None:
    """The web page of this listener asks itself."""
    headers = {"Origin": f"http://localhost:{client.port}"}
    assert (await client.ask("/api/v1/stats", headers=headers)).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"])  # fmt: skip
async def test_a_post_without_json_is_415(client: Client, kind: str) -> None:
    """A form on another site cannot send application/json."""
    answer = await client.ask(
        "/api/v1/sql", method="POST", body=b'{"query":"SELECT 1"}', headers={"content-type": kind}
    )
    assert answer.status == 415
    assert "application/json" in answer.json["error"]["hint"]


async def test_a_compressed_body_is_415(client: Client) -> None:
    """Nothing is inflated here."""
    headers = JSON | {"content-encoding": "gzip"}
    assert (await client.ask("/api/v1/sql", method="POST", body=b"x", headers=headers)).status == 415


async def test_a_body_over_a_mebibyte_is_413(client: Client) -> None:
    """No question is that long."""
    answer = await client.ask("/api/v1/sql", method="POST", body=b" " * ((1 << 20) + 1), headers=JSON)
    assert answer.status == 413


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"query": 1.5}', b'{"query": ["SELECT 1"]}', b'{"limit": 1}', b'{"query": "SELECT 1", "Limit": 1}', b"", b"[" * 100_000])  # fmt: skip
async def test_a_body_that_is_not_the_expected_object_is_400(client: Client, body: bytes) -> None:
    """The message says what is expected."""
    answer = await client.ask("/api/v1/sql", method="POST", body=body, headers=JSON)
    assert answer.status == 400
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/api/v1/stats", "GET, HEAD"),
        ("GET", "/api/v1/sql", "POST"),
        ("GET", "/api/v1/flush", "POST"),
        ("DELETE", "/api/v1/traces", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
        ("OPTIONS", "/api/v1/sql", "POST"),
    ],
)
async def test_a_wrong_method_is_405_with_the_right_ones(
    client: Client, method: str, target: str, allowed: str
) -> None:
    """Nothing that changes anything hides behind another method."""
    answer = await client.ask(target, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("target", ["/", "/api", "/api/v1", "/api/v1/", "/api/v2/stats", "/api/v1/stats/", "/api/v1/traces/", "/api/v1/traces/a/b", "/metrics/", "/../etc/passwd"])  # fmt: skip
async def test_an_unknown_path_is_404_in_json(client: Client, target: str) -> None:
    """The hint names the description of what there is."""
    answer = await client.ask(target)
    assert answer.status == 404
    assert "openapi.json" in answer.json["error"]["hint"]


@pytest.mark.parametrize("target", ["/api/v1/services", "/metrics", "/healthz", "/nothing"])
async def test_every_answer_has_the_security_headers(client: Client, target: str) -> None:
    """No sniffing of types, no cache on disk, no referrer, and no scripts."""
    headers = (await client.ask(target)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


async def test_head_is_answered_like_get_without_a_body(client: Client) -> None:
    """Probes use it."""
    answer = await client.ask("/healthz", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_failure_inside_is_500_without_its_details(rows: StoreRows, client: Client) -> None:
    """The words of an unexpected error stay in the log, and the listener lives on."""
    rows.connection.execute("DROP TABLE scopes; DROP TABLE record_totals")
    answer = await client.ask("/api/v1/stats")
    assert answer.status == 500
    assert b"record_totals" not in answer.body
    assert (await client.ask("/healthz")).status == 200
