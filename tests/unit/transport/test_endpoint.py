"""Endpoints as users write them."""

from __future__ import annotations

import pytest

from receiver.errors import ConfigError
from receiver.transport.endpoint import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("localhost:4317", "localhost", 4317, True),
        ("LocalHost:0", "LocalHost", 0, True),
        (" 127.0.0.1:4318 ", "127.0.0.1", 4318, True),
        ("127.9.9.9:1", "127.9.9.9", 1, True),
        ("[::1]:4317", "::1", 4317, True),
        ("0.0.0.0:4317", "0.0.0.0", 4317, False),  # noqa: S104 - it is only read
        ("[::]:4317", "::", 4317, False),
        ("receiver.example:65535", "receiver.example", 65535, False),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, host: str, port: int, loopback: bool) -> None:
    """Only addresses that nobody else reaches count as loopback."""
    endpoint = parse_endpoint(text)
    assert endpoint == Endpoint(host, port)
    assert endpoint.is_loopback is loopback
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":4317", "localhost:", "localhost:http", "h:65536", "h:-1", "::1:4317", "[h]:1", "h:²"],
)
def test_what_is_no_endpoint_is_a_config_error(text: str) -> None:
    """The text is repeated, with an example of a good one."""
    with pytest.raises(ConfigError, match="is not an endpoint; write host:port"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "reached"),
    [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")],
)
def test_what_is_bound_to_all_addresses_is_reached_on_loopback(text: str, reached: str) -> None:
    """The guard of the query listener knows loopback's names, and not 0.0.0.0."""
    assert str(parse_endpoint(text).from_here) == reached
