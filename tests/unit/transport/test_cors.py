"""The allow-list of origins."""

from __future__ import annotations

import pytest

from receiver.config import ListenConfig
from receiver.transport.cors import OriginRules


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("HTTP://LOCALHOST:3000", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("https://localhost:3000", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:3000.evil.example", False),
        ("http://localhost:*", False),
        ("http://localhost:", False),
        ("http://evil.example", False),
        ("http://[::1", False),
        ("null", False),
        ("", False),
    ],
)
def test_h16_the_default_list_is_this_machine_on_any_port(origin: str, allowed: bool) -> None:
    """The star stands for a port and for nothing else."""
    assert OriginRules(ListenConfig().cors_origins).allows(origin) is allowed


def test_h16_no_origins_switch_cors_off() -> None:
    """Then no answer depends on the origin."""
    assert OriginRules(()).answer_headers("http://localhost") == []
    assert OriginRules(()).preflight_headers("http://localhost", None) == []
