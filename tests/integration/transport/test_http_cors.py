"""Rule H16 on the wire: which pages may send, and what their browsers are told."""

from __future__ import annotations

import pytest

from receiver.errors import BusyError
from tests.integration.transport.conftest import Listeners
from tests.support import raw_http

JSON = {"Content-Type": "application/json"}
ALLOWED = ["http://localhost:3000", "http://localhost", "https://app.example"]
OTHERS = ["http://evil.example", "https://localhost:3000", "https://app.example:444", "null"]


@pytest.mark.parametrize("origin", ALLOWED)
async def test_h16_a_preflight_of_an_allowed_origin_is_204(listeners: Listeners, origin: str) -> None:
    """The browser learns that it may POST with the headers that it asked for."""
    listener = await listeners.http()
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-custom",
    }
    answer = await raw_http.request(listener.port, "/v1/traces", method="OPTIONS", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-custom"
    assert int(answer.headers["access-control-max-age"]) > 0
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", OTHERS)
async def test_h16_another_origin_gets_no_cors_headers(listeners: Listeners, origin: str) -> None:
    """Neither to its preflight nor to its POST."""
    listener = await listeners.http()
    for method in ("OPTIONS", "POST"):
        answer = await raw_http.request(
            listener.port, "/v1/traces", b"{}", method=method, headers=JSON | {"Origin": origin}
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v1/traces", "/nowhere"])
@pytest.mark.parametrize("fails", [False, True])
async def test_h16_answers_and_errors_can_be_read_by_the_page(
    listeners: Listeners, path: str, fails: bool
) -> None:
    """ACAO stands on every answer, and Retry-After is exposed."""
    listener = await listeners.http()
    listener.intake.error = BusyError("full") if fails else None
    headers = JSON | {"Origin": "http://localhost:3000"}
    answer = await raw_http.request(listener.port, path, b"{}", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert answer.headers["vary"] == "Origin"


async def test_h16_requested_headers_are_not_repeated_when_they_are_none(listeners: Listeners) -> None:
    """What is no list of header names is replaced by what exporters need."""
    listener = await listeners.http()
    asked = {"Origin": "http://localhost:1", "Access-Control-Request-Headers": "a: b (c)"}
    answer = await raw_http.request(listener.port, "/v1/logs", method="OPTIONS", headers=asked)
    assert answer.headers["access-control-allow-headers"] == "content-type, content-encoding, authorization"


async def test_h16_options_without_an_origin_names_the_method(listeners: Listeners) -> None:
    """A plain OPTIONS is answered by HTTP's own rules."""
    listener = await listeners.http()
    answer = await raw_http.request(listener.port, "/v1/logs", method="OPTIONS")
    assert (answer.status, answer.headers["allow"]) == (204, "POST, OPTIONS")
